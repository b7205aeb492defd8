"""The images of the pages.

1. Every image that a cell shows needs an alternative text, `mystnb: {image: {alt: ...}}` in the
   cell's header. Without it a warning names page and cell, and warnings fail the build.
2. Photographs and paintings that a cell shows as PNG become JPEG; plots stay as they are.
3. Images inside the HTML of outputs become files, so that pages are light.
4. Images have their size, so that nothing moves while they load, and load only when needed.
5. Each image is a link to its file, which `pictures.js` opens in full size.
"""

from __future__ import annotations

import base64
import hashlib
import os
import posixpath
import re
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from docutils import nodes
from PIL import Image
from sphinx.application import Sphinx
from sphinx.util import logging

from stylelib.figures import encode

logger = logging.getLogger(__name__)

IMG = re.compile(r"<img\b[^>]*>")
ATTRIBUTE = re.compile(r'([\w-]+)(?:="([^"]*)")?')
DATA = re.compile(r"data:image/([\w.+-]+);base64,([\w+/=\s]+)")
ENDINGS = {"jpeg": "jpg", "svg+xml": "svg"}
UNITS = {"": 1.0, "px": 1.0, "pt": 4 / 3, "in": 96.0, "cm": 96 / 2.54, "mm": 96 / 25.4}


# --- While pages are read


def cells(doctree: nodes.document) -> Iterator[nodes.container]:
    """The code cells of a page."""
    for container in doctree.findall(nodes.container):
        if container.get("nb_element") == "cell_code":
            yield container


def read_pictures(app: Sphinx, doctree: nodes.document) -> None:
    """Give each cell's images their alternative text, and warn if there is none."""
    for number, cell in enumerate(cells(doctree), start=1):
        options = (cell.get("cell_metadata") or {}).get("mystnb") or {}
        alt = str((options.get("image") or {}).get("alt") or "").strip()
        named = [name_html(node, alt) for node in cell.findall(nodes.raw)]
        for image in cell.findall(nodes.image):
            if "text/html" in other_kinds(image):
                continue
            if alt:
                image["alt"] = alt
            named.append(bool(alt))
            shrink(app, image)
        if not all(named) and app.config.pictures_need_alt:
            logger.warning(
                "%s, code cell %d: an image has no alternative text; add "
                "mystnb: {image: {alt: ...}} to the cell's header",
                app.env.docname,
                number,
                location=cell,
                type="pictures",
                subtype="alt",
            )


def other_kinds(node: nodes.Element | None) -> set[str]:
    """The MIME types of the output that this node belongs to."""
    while node is not None and node.get("nb_element") != "mime_bundle":
        node = node.parent
    return set() if node is None else {child.get("mime_type", "") for child in node.children}


def name_html(node: nodes.raw, alt: str) -> bool:
    """Write a cell's alternative text into its HTML. Return whether every image has one now."""
    html = node.astext()
    if "html" not in node.get("format", "") or "<img" not in html:
        return True
    whole = True

    def group(match: re.Match[str]) -> str:
        nonlocal whole
        tag = match[0]
        if alt:
            tag = re.sub(r' aria-label="[^"]*"', "", tag)
            tag = f'{tag[:-1]} aria-label="{escape(alt)}">'
        whole = whole and ("aria-label=" in tag)
        return tag

    def image(match: re.Match[str]) -> str:
        nonlocal whole
        tag = match[0]
        attributes = dict(ATTRIBUTE.findall(tag))
        if "data-unnamed" in attributes or not attributes.get("alt", "").strip():
            whole = whole and bool(alt)
            tag = tag.replace(" data-unnamed", "")
            if alt:
                tag = re.sub(r' alt="[^"]*"', "", tag).replace(
                    "<img", f'<img alt="{escape(alt)}"', 1
                )
        return tag

    named = re.sub(r'<div class="pictures[^>]* role="group"[^>]*>', group, html)
    node.children = []
    node += nodes.Text(IMG.sub(image, named))
    return whole


def shrink(app: Sphinx, node: nodes.image) -> None:
    """Replace the PNG of a photograph or painting by a JPEG, unless it is part of a plot."""
    file = Path(app.srcdir, node["uri"].lstrip("/"))
    if file.suffix != ".png" or not file.exists():
        return
    with Image.open(file) as image:
        if "Matplotlib" in str(image.info.get("Software", "")) or image.mode != "RGB":
            return
        kind, data = encode(image.convert("RGB"))
    if kind == "image/jpeg" and len(data) < file.stat().st_size:
        write(file.parent, data, "jpg")
        node["uri"] = posixpath.join(posixpath.dirname(node["uri"]), named_by(data, "jpg"))


# --- While pages are written


def named_by(data: bytes, ending: str) -> str:
    return f"{hashlib.sha256(data).hexdigest()[:32]}.{ending}"


def write(folder: Path, data: bytes, ending: str) -> str:
    """Write a file whose name is the hash of its contents. Returns the name."""
    name = named_by(data, ending)
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / name).exists():
        part = folder / f"{name}.{os.getpid()}"
        part.write_bytes(data)
        part.replace(folder / name)  # atomic: another process never sees half a file
    return name


def write_pictures(
    app: Sphinx, pagename: str, _template: str, context: dict[str, Any], _doctree: Any
) -> None:
    """Move images from the page's HTML to files, and give all a size and a link."""
    if app.builder.format != "html" or "<img" not in context.get("body", ""):
        return
    folder = app.builder.imagedir
    files = {name: uri for uri, name in app.builder.images.items()}

    def data_to_file(match: re.Match[str]) -> str:
        data = base64.b64decode(match[2])
        name = write(Path(app.outdir, folder), data, ENDINGS.get(match[1], match[1]))
        return str(context["pathto"](f"{folder}/{name}", resource=True))

    def better(match: re.Match[str]) -> str:
        tag = DATA.sub(data_to_file, match[0])
        attributes = dict(ATTRIBUTE.findall(tag[4:-1].rstrip("/")))
        source = unquote(attributes.get("src", ""))
        name = posixpath.basename(source)
        if posixpath.basename(posixpath.dirname(source)) != folder:
            return tag
        more = "" if "loading" in attributes else ' loading="lazy"'
        own = Path(app.outdir, folder, name)
        size = picture_size(own if own.exists() else Path(app.srcdir, files.get(name, "")))
        sized = "width" in attributes or "width:" in attributes.get("style", "")
        if size and not sized:
            more += ' width="{}" height="{}"'.format(*size)
        tag = tag.replace("<img", "<img" + more, 1)
        before = match.string[: match.start()].rstrip()
        if re.search(r"<a\b[^>]*>$", before):
            return tag
        return f'<a class="opens" href="{attributes["src"]}">{tag}</a>'

    body = IMG.sub(better, context["body"])
    context["body"] = body
    app.add_css_file("pictures.css")
    if 'class="pictures compare"' in body:
        app.add_js_file("vendor/image-compare.js", loading_method="defer")
    app.add_js_file("pictures.js", loading_method="defer")


def picture_size(file: Path) -> tuple[int, int] | None:
    """Width and height in CSS pixels; None if the file does not tell."""
    if not file.is_file():
        return None
    if file.suffix == ".svg":
        head = re.search(r"<svg\b[^>]*>", file.read_text("utf-8", "replace")[:5000])
        attributes = dict(ATTRIBUTE.findall(head[0])) if head else {}
        sides = []
        for side in ("width", "height"):
            said = re.fullmatch(r"([\d.]+)([a-z]*)", attributes.get(side, ""))
            if said is None or said[2] not in UNITS:
                return None
            sides.append(round(float(said[1]) * UNITS[said[2]]))
        return sides[0], sides[1]
    try:
        with Image.open(file) as image:
            return image.size
    except OSError:
        return None


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_config_value("pictures_need_alt", True, "env", bool)
    app.connect("doctree-read", read_pictures, priority=400)  # before Sphinx lists the images
    app.connect("html-page-context", write_pictures)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
