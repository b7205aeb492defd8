"""Formulas as MathML, written when the book is built. Browsers and screen readers support it,
so the pages need no script.
"""

from __future__ import annotations

import html
from typing import Any

from docutils import nodes
from math_core import LatexError, LatexToMathML
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

LOG = logging.getLogger(__name__)
CONVERTER = LatexToMathML()
LONG = 40  # characters of TeX; longer formulas may scroll, since browsers do not break them


def to_mathml(tex: str, display: bool) -> str:
    """Convert a formula to MathML.

    Raises:
        ValueError: the TeX cannot be read.
    """
    if display and r"\\" in tex and r"\begin" not in tex:
        tex = rf"\begin{{aligned}}{tex}\end{{aligned}}"
    try:
        return CONVERTER.convert_with_local_state(tex, displaystyle=display)
    except LatexError as error:
        raise ValueError(f"the formula {tex} cannot be read: {error}") from error


def written(node: nodes.Element, display: bool) -> str:
    tex = node.astext().strip()
    try:
        return to_mathml(tex, display)
    except ValueError as error:
        LOG.warning("%s", error, location=node)
        return f"<code>{html.escape(tex)}</code>"


def visit_inline(self: Any, node: nodes.Element) -> None:
    formula = written(node, display=False)
    if len(node.astext()) > LONG:
        formula = f'<span class="math-long">{formula}</span>'
    self.body.append(formula)
    raise nodes.SkipNode


def visit_block(self: Any, node: nodes.Element) -> None:
    self.body.append(self.starttag(node, "div", CLASS="math-block"))
    self.body.append(written(node, display=True))
    if node["number"]:
        self.body.append(f'<span class="eqno">({get_node_equation_number(self, node)})')
        self.add_permalink_ref(node, "Link to this equation")
        self.body.append("</span>")
    self.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
