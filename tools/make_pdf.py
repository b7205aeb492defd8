"""Print the built site to one PDF: _build/painting-with-gradients.pdf.

    python tools/make_pdf.py [file [part of a page's address ...]]

Chromium prints each page, with tags and an outline. pypdf puts a cover and a table of contents
before them, and turns links between pages into links within the file.
"""

import html
import io
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urldefrag

from browser import chromium
from pypdf import PageObject, PdfReader, PdfWriter
from pypdf.generic import (
    ArrayObject,
    BooleanObject,
    DictionaryObject,
    NameObject,
    NullObject,
    NumberObject,
    TextStringObject,
)
from serve_site import server

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "_build" / "html"
TARGET = ROOT / "_build" / "painting-with-gradients.pdf"
COVER = "book/index.html"
LEFT_OUT = ("book/api-",)  # the library, name by name, is for looking things up on the site

READ_CONTENTS = """() => {
  const lines = document.querySelectorAll("#contents nav .caption, #contents nav li > a");
  return Array.from(lines, (each) => {
    const text = each.textContent.trim();
    return each.matches("a") ? ["page", each.href.split("#")[0], text] : ["part", "", text];
  });
}"""
PREPARE = """async (pages) => {
  for (const link of Array.from(document.links)) {
    const address = link.href.split("#")[0];
    const ours = address.startsWith(location.origin);
    if (ours && !pages.includes(address)) link.removeAttribute("href");  // not in the file
  }
  document.documentElement.dataset.theme = "light";
  for (const details of document.querySelectorAll("details.solution")) details.open = true;
  const images = Array.from(document.images);
  for (const image of images) { image.loading = "eager"; image.decoding = "sync"; }
  await Promise.all(images.map((image) => image.decode().catch(() => {})));
  await document.fonts.ready;
}"""


@dataclass
class Chapter:
    """A printed page of the site.

    Attributes:
        url: the page's address on the local server.
        title: the title, as in the contents.
        part: the part of the book that begins with this page, or "".
        pdf: the PDF that Chromium printed.
    """

    url: str
    title: str
    part: str
    pdf: PdfReader


def pages_of(page: "Page", base: str) -> list[tuple[str, str, str]]:
    """Each page's address, title, and the part that begins with it or "", in order."""
    page.goto(base + COVER)
    found, part = [(base + COVER, "To begin with", "")], ""
    for kind, url, text in page.evaluate(READ_CONTENTS):
        if kind == "part":
            part = text
        elif not url.removeprefix(base).startswith(LEFT_OUT):
            found.append((url, text, part))
            part = ""
    return found


def printed(page: "Page") -> PdfReader:
    data = page.pdf(tagged=True, outline=True, prefer_css_page_size=True, print_background=True)
    return PdfReader(io.BytesIO(data))


def destinations(pdf: PdfReader) -> dict[str, int]:
    """The page number of each name that links within a chapter lead to."""
    found = {}
    for name, target in pdf.named_destinations.items():
        number = pdf.get_destination_page_number(target)
        if number is not None:
            found[unquote(str(name)).removeprefix("/")] = number
    return found


def cut_pictures(pdf: PdfReader) -> list[int]:
    """Pages, from 1, on which the edge of the paper cuts an image."""
    found = []
    for number, page in enumerate(pdf.pages, 1):
        top, bottom = float(page.mediabox.top), float(page.mediabox.bottom)
        spans = list(picture_spans(page))
        if any(low < bottom - 1 or high > top + 1 for low, high in spans):
            found.append(number)
    return found


def picture_spans(page: PageObject) -> Iterator[tuple[float, float]]:
    """The lower and upper edge of each image on a page, in points."""
    resources = page.get("/Resources", DictionaryObject()).get_object()
    objects = resources.get("/XObject", DictionaryObject()).get_object()
    images = {
        name for name, each in objects.items() if each.get_object().get("/Subtype") == "/Image"
    }
    found = []

    def visit(operator: bytes, operands: Any, matrix: Any, _text: Any) -> None:
        if operator == b"Do" and operands and operands[0] in images:
            low, high = matrix[5], matrix[5] + matrix[3]
            found.append((min(low, high), max(low, high)))

    page.extract_text(visitor_operand_before=visit)
    yield from found


STYLE = """
  @page { size: A4; margin: 24mm 22mm; }
  body { font-family: "Book Serif", Georgia, serif; color: #111; margin: 0; }
  .front {
    height: 240mm; break-after: page;
    display: flex; flex-direction: column; justify-content: center;
  }
  .front h1 { font-size: 46pt; line-height: 1; letter-spacing: -0.03em; margin: 12mm 0 6mm; }
  .front img { width: 100%; border-radius: 2mm; }
  .front i {
    display: block; width: 40mm; height: 3mm; border-radius: 2mm;
    background: linear-gradient(90deg, #1f6fb2, #f8c537 55%, #c8452f);
  }
  h2 { font-size: 22pt; margin: 0 0 6mm; border: 0; }
  ol { list-style: none; margin: 0; padding: 0; }
  li {
    display: flex; gap: 2mm; align-items: baseline; break-inside: avoid;
    font-size: 10.5pt; line-height: 1.42;
  }
  .part { font-style: italic; color: #9b2f1d; margin: 3.5mm 0 0.8mm; break-after: avoid; }
  li a { color: inherit; text-decoration: none; }
  li span { flex: 1; border-bottom: 0.3mm dotted #999; }
"""


def front_matter(
    page: "Page", base: str, chapters: Sequence[Chapter], starts: Sequence[int]
) -> PdfReader:
    """The cover and the contents. Each line of the contents links to `page:NUMBER`."""
    lines = []
    for chapter, start in zip(chapters, starts, strict=True):
        if chapter.part:
            lines.append(f'<li class="part">{html.escape(chapter.part)}</li>')
        lines.append(
            f'<li><a href="page:{start}">{html.escape(chapter.title)}</a>'
            f"<span></span>{start + 1}</li>"
        )
    page.goto(base + COVER)
    picture = page.evaluate("() => document.querySelector('article img')?.currentSrc || ''")
    shown = f'<img src="{html.escape(picture)}" alt="">' if picture else ""
    page.evaluate(
        """([style, body]) => {
             document.title = "Painting with Gradients";
             for (const each of document.querySelectorAll("style, link[href*='book.css']")) {
               if (each.matches("style")) each.remove();
             }
             document.body.className = "";
             document.body.innerHTML = body;
             const own = document.createElement("style");
             own.textContent = style;
             document.head.append(own);
           }""",
        [
            STYLE,
            f'<main><div class="front">{shown}<h1>Painting with Gradients</h1><i></i></div>'
            f"<h2>Contents</h2><ol>{''.join(lines)}</ol></main>",
        ],
    )
    page.evaluate(PREPARE, [])
    return printed(page)


def page_numbers(page: "Page", count: int) -> PdfReader:
    """`count` empty pages, each with its number at the bottom."""
    sheets = "".join(
        f'<div style="height:297mm;position:relative;break-after:page">'
        f'<p style="position:absolute;bottom:7mm;left:0;right:0;margin:0;text-align:center;'
        f'font:9pt Georgia,serif;color:#555">{number}</p></div>'
        for number in range(1, count + 1)
    )
    page.set_content(f"<style>@page{{size:A4;margin:0}}body{{margin:0}}</style>{sheets}")
    data = page.pdf(prefer_css_page_size=True, tagged=False, outline=False)
    return PdfReader(io.BytesIO(data))


def join(
    front: PdfReader, chapters: Sequence[Chapter], starts: Sequence[int], numbers: PdfReader
) -> PdfWriter:
    """Join all parts into one file, with one outline, one tree of tags and internal links."""
    writer = PdfWriter()
    tags = Tags(writer)
    for pdf in (front, *(chapter.pdf for chapter in chapters)):
        first = len(writer.pages)
        writer.append(pdf, import_outline=pdf is not front)
        tags.take(pdf, first)
    tags.finish()
    before = len(front.pages)
    for number, page in enumerate(numbers.pages):
        if before + number < len(writer.pages):
            writer.pages[before + number].merge_page(page)
    lead_links(writer, before, chapters, starts)
    writer.add_metadata({"/Title": "Painting with Gradients"})
    root = writer.root_object
    root[NameObject("/Lang")] = TextStringObject("en")
    root[NameObject("/ViewerPreferences")] = DictionaryObject(
        {NameObject("/DisplayDocTitle"): BooleanObject(True)}
    )
    writer.page_mode = "/UseOutlines"
    return writer


class Tags:
    """Joins the trees of tags of several files.

    A page's /StructParents and a link's /StructParent are keys of the file's /ParentTree. The
    keys of each file are shifted, so that they stay unique.
    """

    def __init__(self, writer: PdfWriter) -> None:
        self.writer = writer
        self.kids, self.parents = ArrayObject(), ArrayObject()
        self.next = 0

    def take(self, pdf: PdfReader, first: int) -> None:
        root = pdf.root_object.get("/StructTreeRoot")
        if root is None:
            return
        tree = root.get_object().clone(self.writer)
        largest = -1
        for key, value in number_tree(tree.get("/ParentTree")):
            self.parents.append(NumberObject(self.next + key))
            self.parents.append(value)
            largest = max(largest, key)
        for page, source in zip(self.writer.pages[first:], pdf.pages, strict=True):
            if "/StructParents" in source:  # pypdf does not copy it
                key = self.next + int(str(source["/StructParents"]))
                page[NameObject("/StructParents")] = NumberObject(key)
            for annotation in page.get("/Annots", ArrayObject()).get_object():
                link = annotation.get_object()
                if "/StructParent" in link:
                    key = self.next + int(str(link["/StructParent"]))
                    link[NameObject("/StructParent")] = NumberObject(key)
        kids = tree.get("/K", ArrayObject())
        self.kids.extend(kids if isinstance(kids.get_object(), list) else [kids])
        self.next += largest + 1

    def finish(self) -> None:
        """Write one root for all tags."""
        numbers = self.writer._add_object(DictionaryObject({NameObject("/Nums"): self.parents}))
        root = DictionaryObject(
            {
                NameObject("/Type"): NameObject("/StructTreeRoot"),
                NameObject("/K"): self.kids,
                NameObject("/ParentTree"): numbers,
                NameObject("/ParentTreeNextKey"): NumberObject(self.next),
            }
        )
        reference = self.writer._add_object(root)
        for kid in self.kids:
            kid.get_object()[NameObject("/P")] = reference
        self.writer.root_object[NameObject("/StructTreeRoot")] = reference
        self.writer.root_object[NameObject("/MarkInfo")] = DictionaryObject(
            {NameObject("/Marked"): BooleanObject(True)}
        )


def number_tree(node: Any) -> Iterator[tuple[int, Any]]:
    """Keys and values of a PDF's number tree."""
    if node is None or isinstance(node, NullObject):
        return
    node = node.get_object()
    numbers = node.get("/Nums", ArrayObject()).get_object()
    for at in range(0, len(numbers), 2):
        yield int(numbers[at]), numbers[at + 1]
    for kid in node.get("/Kids", ArrayObject()).get_object():
        yield from number_tree(kid)


def lead_links(
    writer: PdfWriter, before: int, chapters: Sequence[Chapter], starts: Sequence[int]
) -> None:
    """Replace links to pages of the site by links to pages of the file."""
    pages = {chapter.url: start for chapter, start in zip(chapters, starts, strict=True)}
    anchors = {chapter.url: destinations(chapter.pdf) for chapter in chapters}
    for page in list(writer.pages):
        for annotation in page.get("/Annots", ArrayObject()).get_object():
            link = annotation.get_object()
            uri = str(link.get("/A", DictionaryObject()).get_object().get("/URI", ""))
            address, anchor = urldefrag(uri)
            if uri.startswith("page:"):
                number = int(uri.removeprefix("page:"))
            elif address in pages:
                number = pages[address] + anchors[address].get(unquote(anchor), 0)
            else:
                continue
            target = writer.pages[before + number]
            del link["/A"]
            link[NameObject("/Dest")] = ArrayObject(
                [target.indirect_reference, NameObject("/Fit")]
            )


def make(site: Path, target: Path, only: Sequence[str] | None = None) -> list[str]:
    """Print the site to a PDF. Returns the problems of the result.

    Args:
        site: the built site.
        target: the file to write.
        only: print only pages whose address contains one of these; None prints all.
    """
    found = []
    with server(site) as serving, chromium() as browser:
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{serving.server_port}/"
        try:
            page = browser.new_page(viewport={"width": 1000, "height": 1400})
            chapters = []
            pages = [
                each
                for each in pages_of(page, base)
                if only is None or any(part in each[0] for part in only)
            ]
            for url, title, part in pages:
                page.goto(url)
                page.evaluate(PREPARE, [each[0] for each in pages])
                pdf = printed(page)
                cut = cut_pictures(pdf)
                if cut:
                    found.append(f"{title}: an image is cut off on its page {cut}")
                chapters.append(Chapter(url, title, part, pdf))
                print(f"{len(pdf.pages):4} pages  {title}", flush=True)
            starts = [
                sum(len(chapter.pdf.pages) for chapter in chapters[:at])
                for at in range(len(chapters))
            ]
            front = front_matter(page, base, chapters, starts)
            numbers = page_numbers(page, sum(len(chapter.pdf.pages) for chapter in chapters))
            writer = join(front, chapters, starts, numbers)
        finally:
            serving.shutdown()
    writer.write(target)
    return found


def main(arguments: Sequence[str]) -> int:
    if not (SITE / COVER).exists():
        print("The book is not built: make book", file=sys.stderr)
        return 1
    target = Path(arguments[0]) if arguments else TARGET
    sys.setrecursionlimit(20_000)  # trees of tags are deep
    found = make(SITE, target, arguments[1:] or None)
    for problem in found:
        print(problem, file=sys.stderr)
    size = target.stat().st_size / 2**20
    print(f"{target}: {len(PdfReader(target).pages)} pages, {size:.0f} MB")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
