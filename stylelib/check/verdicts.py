"""What a check answers: a verdict, as text, in a terminal, and in a notebook."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass

__all__ = ["Verdict"]

_GREEN, _RED = "#1a7f4b", "#b3372f"


@dataclass(frozen=True)
class Verdict:
    """What came out of a check. It is true if the function is right.

    Attributes:
        right: whether the function is right.
        message: one or two sentences: what was checked, or the likely mistake.
        mistake: a short name of the mistake for programs; None if it is right.
        exercise: the name of the exercise, "gram".
        pictured: how the result differs, as HTML for a notebook; may be empty.

    Example:
        >>> verdict = Verdict(False, "Your loss is a sum.", "sum_for_mean", "content_loss")
        >>> print(verdict)
        content_loss: not yet. Your loss is a sum.
        >>> bool(verdict)
        False
    """

    right: bool
    message: str
    mistake: str | None = None
    exercise: str = ""
    pictured: str = ""

    def __bool__(self) -> bool:
        return self.right

    def __str__(self) -> str:
        answer = "right." if self.right else "not yet."
        return f"{self.exercise}: {answer} {self.message}"

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        """The verdict in a notebook: a line with a colored edge, and what differs below it."""
        color, answer = (_GREEN, "Right.") if self.right else (_RED, "Not yet.")
        said = re.sub("`([^`]+)`", r"<code>\1</code>", html.escape(self.message))
        return (
            f'<div style="border-left: 0.35em solid {color}; padding: 0.4em 0.8em">'
            f"<strong>{answer}</strong> {said}{self.pictured}</div>"
        )
