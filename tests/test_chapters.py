"""Each chapter runs from its first cell to its last, at the tiny profile."""

from pathlib import Path

import jupytext
import pytest
from IPython.core.interactiveshell import InteractiveShell
from matplotlib import pyplot as plt

BOOK = Path(__file__).parent.parent / "book"
CHAPTERS = sorted(
    path for path in BOOK.glob("*.md") if "```{code-cell}" in path.read_text("utf-8")
)


def test_there_are_chapters():
    assert len([path for path in CHAPTERS if path.name[:2].isdigit()]) >= 21


@pytest.mark.filterwarnings("default")  # the pages' own affair
@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_chapter_runs_and_imports_stylelib(path, monkeypatch):
    """In a shell of its own in this process: starting a kernel takes longer than most pages."""
    monkeypatch.setenv("STYLELIB_PROFILE", "tiny")
    monkeypatch.chdir(BOOK)
    code = [cell.source for cell in jupytext.read(path).cells if cell.cell_type == "code"]
    assert code
    shell = InteractiveShell.instance()
    try:
        for source in code:
            shell.run_cell(source).raise_error()
    finally:
        shell.reset(new_session=True)
        plt.close("all")
        InteractiveShell.clear_instance()
    assert any("from stylelib" in source for source in code)
