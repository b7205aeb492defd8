"""Each chapter runs from its first cell to its last, at the tiny profile."""

from pathlib import Path

import jupytext
import pytest
from nbclient import NotebookClient

BOOK = Path(__file__).parent.parent / "book"
CHAPTERS = sorted(path for path in BOOK.glob("*.md") if "```{code-cell}" in path.read_text())


def test_there_are_chapters():
    assert len([path for path in CHAPTERS if path.name[:2].isdigit()]) >= 13


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_chapter_runs_and_imports_stylelib(path, monkeypatch):
    monkeypatch.setenv("STYLELIB_PROFILE", "tiny")
    notebook = jupytext.read(path)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(BOOK)}}).execute()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code
    assert all(cell.execution_count for cell in code)
    assert any("from stylelib" in cell.source for cell in code)
