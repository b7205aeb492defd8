"""Every page becomes a notebook that needs nothing beside it. What the pages have is counted in
their text, by expressions of this file."""

import base64
import json
import re
from pathlib import Path

import nbformat
import notebooks
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from plain_markdown import Page, blocks

from stylelib import watching

BOOK = Path(__file__).parent.parent / "book"
PAGES = [
    path for path in sorted(BOOK.glob("*.md")) if "```{code-cell}" in path.read_text("utf-8")
]
SITE = "https://example.org/painting"
CODE = re.compile(r"^```.*?^```$|`[^`\n]+`", re.DOTALL | re.MULTILINE)
MATH = re.compile(r"\$\$.+?\$\$|\$[^$]+\$", re.DOTALL)


def nowhere(_page):
    return None


def prose_of(notebook):
    """The Markdown of a notebook without code, formulas and the bytes of images."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            text = re.sub(r"base64,[\w+/=]+", "base64,", cell.source)
            yield MATH.sub("", CODE.sub("", text))


@pytest.fixture(scope="module", params=PAGES, ids=lambda path: path.stem)
def page(request):
    return request.param


@pytest.fixture(scope="module")
def text(page):
    return page.read_text("utf-8")


@pytest.fixture(scope="module")
def notebook(page):
    return notebooks.notebook_of(page, nowhere)


def test_it_is_a_valid_notebook_without_outputs(notebook):
    nbformat.validate(notebook)
    again = nbformat.reads(nbformat.writes(notebook), as_version=4)
    assert all(not cell.get("outputs") for cell in again.cells)
    assert len({cell.id for cell in again.cells}) == len(again.cells)


def test_it_is_the_same_each_time(page, notebook):
    assert nbformat.writes(notebooks.notebook_of(page, nowhere)) == nbformat.writes(notebook)


def test_nothing_of_myst_is_left(notebook):
    for prose in prose_of(notebook):
        assert not re.search(r"\{[\w:-]+\}`|^(`{3,}|:{3,})\{?", prose, re.MULTILINE), prose
        assert not re.search(r"^\([\w-]+\)=|^:[\w-]+:|^%|^\+\+\+", prose, re.MULTILINE), prose
        # a role that was cut off, or one within an option
        assert not re.search(r"\{(cite|term|numref|ref|time|figure)", prose), prose


def test_no_reference_leads_nowhere(notebook):
    for prose in prose_of(notebook):
        for target in re.findall(r"\]\(([^)\s]+)\)|href=\"([^\"]+)\"", prose):
            assert "".join(target).startswith("https://"), prose
        for source in re.findall(r"src=\"([^\"]*)\"", prose):
            assert re.fullmatch(r"data:image/[\w+]+;base64,", source)
        assert not re.search(r"!\[", prose)


def test_on_the_site_references_lead_to_its_pages(page):
    made = notebooks.notebook_of(page, lambda name: f"{SITE}/book/{name}.html", SITE)
    found = {
        name
        for prose in prose_of(made)
        for name in re.findall(rf"\]\({SITE}/book/([\w-]+)\.html[^)]*\)", prose)
    }
    linked = set(re.findall(r"\]\(([\w-]+)\.md[^)]*\)", page.read_text("utf-8")))
    assert linked <= found
    assert all((BOOK / f"{name}.md").exists() for name in found)


def test_it_has_all_cells_of_the_page_in_their_order(text, notebook):
    # a header is YAML between dashes, or lines of options
    cells = re.findall(r"^```\{code-cell\}[^\n]*\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    wanted = [
        re.sub(r"\A---\n.*?\n---\n|\A(?::[^\n]*\n)+", "", cell, flags=re.DOTALL)
        for cell in cells
    ]
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    assert [each.strip() for each in wanted] == [each.strip() for each in code[-len(wanted) :]]
    assert len(code) - len(wanted) in (1, 2)  # the installation, and perhaps images


def test_its_code_can_be_compiled(notebook):
    for cell in notebook.cells:
        if cell.cell_type == "code":
            compile(TransformerManager().transform_cell(cell.source), "cell", "exec")


def test_all_solutions_are_folded(text, notebook):
    told = len(re.findall(r"^:::\{solution\}", text, re.MULTILINE))
    with_code = len(re.findall(r"^```\{solution-start\}", text, re.MULTILINE))
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    assert sum(source.count("<details>") for source in sources) == told
    assert sum(source.count("</details>") for source in sources) == told
    folds = [
        cell for cell in notebook.cells if cell.metadata.get("jp-MarkdownHeadingCollapsed")
    ]
    assert len(folds) == with_code
    assert notebook.metadata["colab"]["collapsed_sections"] == [cell.id for cell in folds]


def test_a_fold_holds_its_solution_and_nothing_else(text, notebook):
    starts = r"^```\{solution-start\}.*?^```$(.*?)^```\{solution-end\}"
    for_each = [
        len(re.findall(r"^```\{code-cell\}", inside, re.MULTILINE))
        for inside in re.findall(starts, text, re.DOTALL | re.MULTILINE)
    ]
    found, folded = [], False
    for cell in notebook.cells:
        heading = re.match(r"#{1,4} ", cell.source) if cell.cell_type == "markdown" else None
        if heading:
            folded = bool(cell.metadata.get("jp-MarkdownHeadingCollapsed"))
            found += [0] * folded
        elif folded and cell.cell_type == "code":
            found[-1] += 1
    assert found == for_each


def test_the_files_that_it_loads_are_in_it(text, notebook, tmp_path, monkeypatch):
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    named = set(re.findall(r'"(images/[\w/-]+\.\w+)"', "\n".join(code[2:])))
    if not named and "images/" not in "".join(code[1:]):
        assert not any("b64decode" in source for source in code)
        return
    monkeypatch.chdir(tmp_path)
    exec(code[1], {})
    written = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")}
    assert named <= written
    for name in written:
        assert (tmp_path / name).read_bytes() == (BOOK / name).read_bytes()
    if "images/pairs" in text:
        pairs = {path.name for path in (BOOK / "images" / "pairs").iterdir()}
        assert {Path(name).name for name in written if "/pairs/" in name} == pairs
    exec(code[1], {})  # what is there is left alone


def test_what_the_reader_has_put_there_is_left_alone(tmp_path, monkeypatch):
    made = notebooks.notebook_of(BOOK / "07-synthesized-image.md", nowhere)
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "temple.jpg").write_bytes(b"mine")
    monkeypatch.chdir(tmp_path)
    exec(made.cells[2].source, {})
    assert (tmp_path / "images" / "temple.jpg").read_bytes() == b"mine"
    assert (tmp_path / "images" / "hokusai-great-wave-1831.jpg").exists()


def test_its_first_cells_are_the_title_and_the_installation(notebook, monkeypatch):
    monkeypatch.setattr(watching, "_every", None)  # the cell changes it
    title, install = notebook.cells[:2]
    assert re.fullmatch(r"# .+", title.source)
    assert f'"./{notebooks.WHEEL}[notebooks]"' in install.source
    ran = []
    code = TransformerManager().transform_cell(install.source)
    exec(code, {"get_ipython": lambda: ran.append("asked")})
    assert not ran  # the library is here: nothing is installed


def test_on_the_site_it_installs_the_wheel_from_there():
    made = notebooks.notebook_of(PAGES[0], nowhere, SITE)
    assert f'"stylelib[notebooks] @ {SITE}/{notebooks.WHEEL}"' in made.cells[1].source


# --- the translation by itself


@pytest.fixture
def translate(tmp_path):
    """From MyST to Markdown, on a page of its own between two others."""

    def run(text, link=nowhere):
        (tmp_path / "references.bib").write_text(
            "@article{one, author={Doe, Jane}, title={{A} Title}, journal={arXiv:1234.5}, year={2001}}\n"
            "@article{two, author={Doe, Jane and Roe, R.}, title={T}, journal={J}, year={2002}}\n"
            "@misc{three, author={Lo, A. and Li, B. and Wu, C.}, title={T}, year={2003}}\n"
        )
        (tmp_path / "drawing.svg").write_text("<svg/>")
        (tmp_path / "02-other.md").write_text(":name: fig-first\n:name: fig-second\n")
        (tmp_path / "code.py").write_text(
            "def first():\n    return 1\n\n\ndef second():\n    return 2\n"
        )
        path = tmp_path / "01-page.md"
        path.write_text(text)
        return Page.read(path, link, lambda page: f"{page}: 5 s").plain(text)

    return run


@pytest.mark.parametrize(
    ("myst", "plain"),
    [
        ("{term}`loss`", "loss"),
        ("{term}`losses <loss>`", "losses"),
        ("{term}`two\nwords <word>`", "two words"),
        ("{math}`x^2`", "$x^2$"),
        ("as {cite:p}`one` says", "as (Doe, 2001) says"),
        ("{cite:t}`two` say", "Doe and Roe (2002) say"),
        ("{cite:p}`one,three`", "(Doe, 2001; Lo et al., 2003)"),
        ("Lo et\nal. {cite:p}`three` say", "Lo et\nal. (2003) say"),
        ("[the `x` of it](02-other.md)", "the `x` of it"),
        ("see {numref}`fig-second`", "see Figure 2 of chapter 2"),
        ("`{term}` and ``{ref}`x` `` stay", "`{term}` and ``{ref}`x` `` stay"),
        ("$a_{b}`c$ stays", "$a_{b}`c$ stays"),
        ("(a-label)=\n## Heading", "## Heading"),
        ("```python\n{term}`x`\n```", "```python\n{term}`x`\n```"),
        (":::{note}\nOne {term}`loss`.\n\nTwo.\n:::", "> **Note**\n>\n> One loss.\n>\n> Two."),
        ("```{admonition} Title\nText\n```", "> **Title**\n>\n> Text"),
        ("```{math}\n:label: eq\nx = 1\n```", "$$\nx = 1\n$$"),
        ("```{code-block} bash\nmake\n```", "```bash\nmake\n```"),
        ("one\n\n% comment\ntwo", "one\n\ntwo"),
    ],
)
def test_myst_becomes_markdown(translate, myst, plain):
    assert translate(myst) == plain


def test_links_lead_where_they_are_told(translate):
    told = translate("[there](02-other.md#part)", lambda page: f"{page}.ipynb")
    assert told == "[there](02-other.ipynb#part)"


def test_cards_in_html(translate):
    card = ':::{container} cards\n- <a href="02-other.html">![A](drawing.svg) 2. Other</a>\n  It. {time}`02-other`\n:::'
    assert "- <img alt" in translate(card)
    assert translate(card).endswith("> 2. Other\n  It. 02-other: 5 s")
    told = translate(card, lambda page: f"{page}.ipynb")
    assert told.startswith('- <a href="02-other.ipynb"><img alt="A" src="data:')
    assert told.endswith(" 2. Other</a>\n  It. 02-other: 5 s")


def test_an_exercise_and_its_solution(translate):
    exercise = ":::{exercise}\n:label: ex-a\nAsk.\n:::\n"
    other = exercise.replace("ex-a", "ex-b")
    solution = ":::{solution} ex-b\n:class: dropdown\nSay.\n\n```python\nx\n```\n:::"
    assert translate(exercise + other + solution) == (
        "### Exercise 1\n\nAsk.\n\n### Exercise 2\n\nAsk.\n\n"
        "<details>\n<summary>Solution to exercise 2</summary>\n\nSay.\n\n```python\nx\n```\n\n</details>"
    )


def test_a_drawing_is_in_the_text(translate):
    told = translate('```{figure} drawing.svg\n:name: fig-x\n:alt: A "b"\n\nCaption.\n```')
    data = base64.b64encode(b"<svg/>").decode()
    assert told == (
        f'<img alt="A &quot;b&quot;" src="data:image/svg+xml;base64,{data}">\n\n**Figure 1.** Caption.'
    )


def test_included_code_is_in_the_text(translate, tmp_path):
    told = translate("```{literalinclude} code.py\n:pyobject: second\n```")
    assert told.endswith("```python\ndef second():\n    return 2\n```")
    assert f"`{tmp_path.name}/code.py`" in told


@pytest.mark.parametrize("raw", ["{unknown}`x`", "```{unknown}\nx\n```"])
def test_what_has_no_translation_is_an_error(translate, raw):
    with pytest.raises(ValueError, match="unknown has no plain Markdown"):
        translate(raw)


def test_a_fold_without_an_end_is_an_error(tmp_path):
    (tmp_path / "references.bib").write_text("")
    path = tmp_path / "01-page.md"
    start = "# T\n\n:::{exercise}\n:label: ex-a\n:::\n\n```{solution-start} ex-a\n```\nIn.\n\n"
    path.write_text(start + "```{solution-end}\n```\n\nText.\n")
    with pytest.raises(ValueError, match="no heading or exercise ends a folded solution"):
        notebooks.notebook_of(path, nowhere)


def test_a_longer_fence_may_hold_a_shorter_one():
    (block,) = blocks("````{note}\n```python\nx\n```\n````")
    assert block.content == "```python\nx\n```"


# --- make lab


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """A book of two pages, and what writes its notebooks."""
    book = tmp_path / "book"
    book.mkdir()
    (book / "references.bib").write_text("")
    for name in ("01-one", "02-two"):
        (book / f"{name}.md").write_text(
            "# T\n\n[a](02-two.md) [b](glossary.md)\n\n```{code-cell} ipython3\n1\n```\n"
        )
    monkeypatch.setattr(notebooks, "BOOK", book)
    return book, tmp_path / "lab"


def test_notebooks_of_the_lab_lead_to_each_other(lab):
    _, folder = lab
    notebooks.write_all(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["01-one.ipynb", "02-two.ipynb"]
    assert (
        "[a](02-two.ipynb) b"
        in json.loads((folder / "01-one.ipynb").read_text())["cells"][2]["source"][0]
    )


def test_a_changed_notebook_of_the_lab_is_left_alone(lab, capsys):
    book, folder = lab
    notebooks.write_all(folder)
    mine = nbformat.read(folder / "01-one.ipynb", as_version=4)
    mine.cells[-1].source = "2"
    nbformat.write(mine, folder / "01-one.ipynb")
    for page in book.glob("*.md"):
        page.write_text(page.read_text().replace("# T", "# New"))
    notebooks.write_all(folder)
    assert nbformat.read(folder / "01-one.ipynb", as_version=4).cells[-1].source == "2"
    assert nbformat.read(folder / "02-two.ipynb", as_version=4).cells[0].source == "# New"
    assert "01-one.ipynb has been changed" in capsys.readouterr().out
