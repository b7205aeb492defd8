"""A path from one style to another (chapter 27)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from stylelib.arguments import whole
from stylelib.control.styles import Style, read_once
from stylelib.errors import InputError
from stylelib.files import ImageSource, kept
from stylelib.results import TransferResult
from stylelib.style_transfer import transfer

__all__ = ["style_path"]


def style_path(
    content: ImageSource,
    first: ImageSource | Style,
    last: ImageSource | Style,
    count: int = 5,
    **arguments: Any,
) -> list[TransferResult]:
    """Images of one photograph whose style goes from one painting to another in equal parts.

    Image k has the style `first` with the weight 1 - k / (count - 1), and `last` with the rest.
    The first and the last image are those that `transfer` makes with one style alone. Each
    image is a transfer of its own, so the path takes `count` times as long as one.

    Args:
        content: the photograph, as for `transfer`.
        first: the style at the beginning; the weight of a `Style` has no effect.
        last: the style at the end. The same holds for its weight.
        count: the number of images, 2 or more.
        arguments: further ones of `transfer`.

    Returns:
        A result for each image, in order. `figures.filmstrip` shows their images.

    Raises:
        InputError: `count` is below 2, `arguments` contains a style, or `transfer` raises it.

    Example:
        >>> from stylelib import samples
        >>> photo, a, b = (samples.load(name) for name in ("chelsea", "mosaic", "hatching"))
        >>> results = style_path(photo, a, b, count=3, image_shape=48, steps=4)
        >>> [result.image.size for result in results]
        [(72, 48), (72, 48), (72, 48)]
    """
    count = whole("count", count, least=2)
    if "style" in arguments:
        raise InputError("a path has two styles, `first` and `last`: leave out `style`")
    ends = [read_once(each) for each in (first, last)]
    if "init" in arguments:
        arguments["init"] = kept(arguments["init"])
    content, found = kept(content), []
    for k in range(count):
        weights = (1 - k / (count - 1), k / (count - 1))
        styles = [replace(end, weight=w) for end, w in zip(ends, weights, strict=True)]
        found.append(transfer(content, styles, **arguments))
    return found
