"""What the book's extensions write into its pages."""

import re
from types import SimpleNamespace

import light_pages
import mathml
import pytest
import reading
from bs4 import BeautifulSoup
from docutils import nodes

# --- formulas


@pytest.mark.parametrize(
    ("tex", "wanted"),
    [
        (r"\frac{a}{b}", "<mfrac><mi>a</mi><mi>b</mi></mfrac>"),
        ("x_{t+1}", "<msub>"),
        (r"\sum_{i=1}^{n} i", "∑"),
        (r"\lVert F \rVert^2", "<mi>F</mi>"),
        (r"\begin{aligned} a &= b \\ c &= d \end{aligned}", "<mtable"),
        (r"10^{-4}", "<mn>10</mn>"),
    ],
)
def test_formulas_become_mathml(tex, wanted):
    assert wanted in mathml.to_mathml(tex, display=True)


@pytest.mark.parametrize("wrong", [r"\frac{a}", r"\begin{aligned} a", r"a_b_c"])
def test_a_formula_that_cannot_be_read_is_said(wrong):
    with pytest.raises(ValueError, match=re.escape(wrong)):
        mathml.to_mathml(wrong, display=True)


def test_an_unknown_command_is_not_passed_on_in_silence():
    with pytest.raises(ValueError, match=r"\\nosuchthing"):
        mathml.to_mathml(r"a \nosuchthing b", display=False)


# --- what a screen reader would stumble over


def mended(body):
    context = {"body": body}
    light_pages.mend(None, "page", "", context, None)
    return context["body"]


def test_below_an_empty_corner_of_a_table_stand_headers_of_rows():
    head = '<table><thead><tr><th class="head"><p></p></th><th class="head">a</th></tr></thead>'
    table = mended(head + '<tr class="r"><td><p>x</p></td><td>1</td></tr></table>')
    assert table == (
        '<table><thead><tr><td></td><th class="head">a</th></tr></thead>'
        '<tr class="r"><th scope="row"><p>x</p></th><td>1</td></tr></table>'
    )
    plain = '<table><thead><tr><th class="head">a</th></tr></thead><tr><td>1</td></tr></table>'
    assert mended(plain) == plain
    assert mended('<table><th class="blank">&nbsp;</th></table>') == "<table><td></td></table>"


def test_parameters_are_no_list_of_definitions():
    signature = '<dt class="sig x">f(<dl><dd>a,</dd></dl>)</dt><dl><dd>b</dd></dl>'
    assert mended(signature) == (
        '<dt class="sig x">f(<span class="dl"><span class="dd">a,</span></span>)</dt>'
        "<dl><dd>b</dd></dl>"
    )


def test_a_solution_is_folded_by_the_browser():
    translator = SimpleNamespace(
        body=["before"], starttag=lambda node, tag, CLASS: f'<{tag} class="{CLASS}" id="s">'
    )
    node = nodes.admonition()
    light_pages.visit_solution(translator, node)
    translator.body += [
        '<p class="admonition-title">Solution to<a href="#e"> Exercise 1</a></p>',
        '<section id="solution-content"><p>Yes.</p></section>',
    ]
    light_pages.depart_solution(translator, node)
    assert "".join(translator.body) == (
        'before<details class="admonition" id="s">'
        '<summary class="admonition-title">Solution to Exercise 1</summary>'
        '<div class="content"><p>Yes.</p></div></details>\n'
    )


# --- previews

PAGE = """<html><body><nav><a class="reference internal" href="b.html">b</a></nav><article>
<p>A <a class="reference internal" href="b.html#term-t"><span>t</span></a>, again
<a class="reference internal" href="b.html#term-t">t</a>,
<a class="reference internal" href="b.html">b</a>, <a class="reference internal" href="#x">x</a>,
<a class="reference internal" href="gone.html">gone</a></p>
<dt class="sig x"><a class="reference internal" href="b.html">b</a></dt>
<p id="x">plain</p></article></body></html>"""
OTHER = """<article><section id="b"><h1>B<a class="headerlink" href="#b">#</a></h1>
<p class="page-times">3 min</p><p>First, <a href="a.html">a</a>.</p><p>Second.</p>
<dl><dt id="term-t">t</dt><dd><p>What t is: <span class="math"><math><mi>t</mi></math></span></p></dd></dl>
</section></article>"""


def test_links_know_what_they_lead_to(tmp_path):
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "a.html").write_text(PAGE)
    (tmp_path / "book" / "b.html").write_text(OTHER)
    light_pages.add_previews(tmp_path)
    text = (tmp_path / "book" / "a.html").read_text()
    soup = BeautifulSoup(text, "html.parser")
    marked = [a["data-preview"] for a in soup.select("article a[data-preview]")]
    assert marked == ["preview-1", "preview-1", "preview-2"]
    assert soup.select_one("nav a[data-preview]") is None
    term, page = (str(soup.find(id=f"preview-{number}")) for number in (1, 2))
    assert "<b>t</b>" in term
    assert "<math>" in term
    assert "<b>B</b>" in page
    assert "First, a." in page
    assert "Second" not in page
    assert "\0" not in text


def test_a_long_preview_is_cut():
    cut = light_pages.clean("<p>" + "word " * 500 + "</p><p>and more</p>")
    assert len(cut) < light_pages.LONGEST + 20
    assert "…" in cut
    assert "and more" not in cut


# --- what is left out


def test_of_the_static_files_only_what_is_used_is_kept(tmp_path):
    site, own = tmp_path / "site", tmp_path / "own"
    for file in (
        own / "book.css",
        own / "fonts" / "a.woff2",
        site / "_static" / "book.css",
        site / "_static" / "fonts" / "a.woff2",
        site / "_static" / "pygments.css",
        site / "_static" / "theme.css",
        site / "_static" / "scripts" / "theme.js",
    ):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("")
    (site / "index.html").write_text('<link href="_static/pygments.css?v=1">')
    light_pages.leave_out_the_unused(site, own)
    left = {path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file()}
    assert left == {
        "index.html",
        "_static/book.css",
        "_static/fonts/a.woff2",
        "_static/pygments.css",
    }
    assert not (site / "_static" / "scripts").exists()


# --- reading


def test_words_and_lines_of_code_are_counted_but_not_what_is_printed_or_folded():
    document = nodes.document(None, None)
    document += nodes.paragraph("", "word " * 420)
    code = "\n\n".join(["x = 1"] * 50)
    document += nodes.container("", nodes.literal_block(code, code), classes=["cell"])
    output = nodes.container("", nodes.literal_block(code, code), classes=["cell_output"])
    folded = nodes.container("", nodes.literal_block(code, code), classes=["tag_hide-input"])
    document += [output, folded]
    assert reading.minutes_to_read(document) == 4


def test_times_are_short():
    assert reading.spell_seconds(0.2) == "1 s"
    assert reading.spell_seconds(89) == "89 s"
    assert reading.spell_seconds(170) == "3 min"
