"""A sheet of previews: one small image for each pair of two settings (chapter 29)."""

from __future__ import annotations

import inspect
import itertools
import os
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from stylelib.arguments import several
from stylelib.control.styles import Styles, read_once
from stylelib.errors import DivergenceError, InputError, Interrupted, did_you_mean
from stylelib.files import ImageSource, kept, write_image, write_whole
from stylelib.results import TransferResult, check_settings_output, json_of
from stylelib.style_transfer import transfer

if TYPE_CHECKING:
    from stylelib.figures import Pictures

__all__ = ["Axis", "Sheet", "filled", "sheet"]

Axis = Mapping[str, Sequence[Any] | Mapping[str, Any]]
"""An argument with its values, {"strength": [0.5, 1]}, or with a label for each of them,
{"style": {"wave": wave, "tiles": mosaic}}."""
Cell = TransferResult | InputError | DivergenceError | None
"""An image, the reason why there is none, or None if Ctrl-C came before it."""
WIDE = 7
"""The width of a letter below an image, in pixels."""


@dataclass(frozen=True, eq=False)
class Sheet:
    """Images in rows and columns, with what is different between them. It shows itself in a
    notebook.

    Attributes:
        results: a list for each row. In place of an image that could not be made it has the
            error, and None if Ctrl-C came before it.
        rows: a label for each row, such as "recipe d2l".
        columns: a label for each column.
        interrupted: whether Ctrl-C ended it.
    """

    results: list[list[Cell]] = field(repr=False)
    rows: list[str]
    columns: list[str]
    interrupted: bool = field(default=False, repr=False)

    @cached_property
    def pictures(self) -> Pictures:
        """The images with their labels. Below each stand its row, its column, the time it took,
        and the weights of its losses; or why there is no image.

        Raises:
            MissingExtraError: matplotlib is not installed.
        """
        from stylelib.figures import arranged

        wrapped = partial(textwrap.wrap, break_on_hyphens=False)
        cells = [cell for row in self.results for cell in row]
        made = [cell.image for cell in cells if isinstance(cell, TransferResult)]
        blank = Image.new("RGB", made[0].size, (208, 208, 208))
        names = itertools.product(self.rows, self.columns)
        images, titles = [], []
        for cell, labels in zip(cells, names, strict=True):
            image = cell.image if isinstance(cell, TransferResult) else blank
            lines = [line for line in (*labels, said_of(cell)) if line]
            wide = max(10, image.width // WIDE)
            images.append(image)
            titles.append("\n".join(part for line in lines for part in wrapped(line, wide)))
        return arranged(images, titles, columns=len(self.columns))

    @property
    def image(self) -> Image.Image:
        """All images with their labels as one RGB image."""
        return self.pictures.image

    def _ipython_display_(self) -> None:
        self.pictures._ipython_display_()

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the sheet as one image, and the settings of its images beside it, as JSON.

        Returns:
            The path of the image.

        Raises:
            InputError: the name does not end like an image file.
            FileError: the folder is missing or cannot be written to.
        """
        cells = [
            [
                cell.record() if isinstance(cell, TransferResult) else {"error": said_of(cell)}
                for cell in row
            ]
            for row in self.results
        ]
        check_settings_output(path)
        written = write_image(self.image, path)
        record = {"rows": self.rows, "columns": self.columns, "results": cells}
        write_whole(Path(f"{written}.json"), json_of(record))
        return written


def sheet(
    content: ImageSource,
    style: Styles | None = None,
    *,
    columns: Axis,
    rows: Axis | None = None,
    image_shape: int | tuple[int, int] = 128,
    **arguments: Any,
) -> Sheet:
    """Small images of one photograph, one for each pair of values of two arguments.

    Args:
        content: the photograph, as for `transfer`.
        style: the style or the styles, if no axis has them.
        columns: an argument of `transfer` and its values from left to right, such as
            {"strength": [0.3, 0.6, 1]}. A mapping in place of the list has a label for each
            value: {"style": {"wave": wave, "tiles": mosaic}}.
        rows: another argument with its values, from top to bottom; None makes one row.
        image_shape: the size of each image, as for `transfer`.
        arguments: those of `transfer` that are the same for all images.

    Returns:
        The images with their labels. Where `transfer` refuses an image or diverges, the
        sheet has the words of the error.

    Raises:
        InputError: an axis has no argument of `transfer`, or one that is given twice, or no
            image could be made.
        MissingExtraError: matplotlib is not installed.
        Interrupted: Ctrl-C after the first step. Its `.result` is the sheet so far.

    Example:
        >>> from stylelib import samples
        >>> photo, mosaic = samples.load("chelsea"), samples.load("mosaic")
        >>> columns, rows = {"strength": [0.5, 1]}, {"recipe": ["d2l", "gatys"]}
        >>> found = sheet(photo, mosaic, columns=columns, rows=rows, image_shape=32, steps=4)
        >>> found
        Sheet(rows=['recipe d2l', 'recipe gatys'], columns=['strength 0.5', 'strength 1'])
        >>> found.results[0][1].image.size
        (48, 32)
    """
    import stylelib.figures  # noqa: F401  it may be missing, which is better known before

    styled = {} if style is None else {"style": [read_once(each) for each in as_list(style)]}
    same = {"content": kept(content), **styled, "image_shape": image_shape} | arguments
    known = inspect.signature(transfer).parameters
    swept = [argument_of("columns", columns)]
    if rows is not None:
        swept.append(argument_of("rows", rows))
    for name in [*swept, *arguments]:
        if name not in known:
            raise InputError(
                f"transfer has no argument {name!r}; "
                + did_you_mean(name, known, f"it has {', '.join(known)}")
            )
    for name in swept:
        if swept.count(name) > 1 or (name in same and name != "image_shape"):
            raise InputError(f"{name} is given twice: take it out of an axis")
    if "style" not in {*same, *swept}:
        raise InputError("a sheet needs a style: give one, or an axis of them")
    return filled(lambda settings: transfer(**(same | settings)), columns, rows)


def as_list(style: Styles) -> list[Any]:
    """A list of styles from one or several."""
    return list(style) if isinstance(style, list | tuple) else [style]


def filled(
    make: Callable[[dict[str, Any]], TransferResult], columns: Axis, rows: Axis | None = None
) -> Sheet:
    """A sheet whose images are made by a function of the settings that differ.

    Args:
        make: from the row's and the column's argument, by name, to an image.
        columns: as for `sheet`.
        rows: as for `sheet`.

    Raises:
        InputError: an axis is not one argument with its values, or no image could be made.
        Interrupted: as for `sheet`.
    """
    across = labeled("columns", columns)
    down = {"": {}} if rows is None else labeled("rows", rows)
    found: list[list[Cell]] = [[None] * len(across) for _ in down]
    done = Sheet(found, list(down), list(across))
    for (i, row), (j, column) in itertools.product(
        enumerate(down.values()), enumerate(across.values())
    ):
        try:
            found[i][j] = make(row | column)
        except (InputError, DivergenceError) as error:
            found[i][j] = error
        except KeyboardInterrupt as stop:
            found[i][j] = getattr(stop, "result", None)  # None before the first step
            if not any(isinstance(cell, TransferResult) for row in found for cell in row):
                raise
            stopped = Sheet(found, done.rows, done.columns, interrupted=True)
            raise Interrupted("stopped by Ctrl-C; the sheet is in .result", stopped) from stop
    errors = [cell for row in found for cell in row if isinstance(cell, Exception)]
    if len(errors) == len(down) * len(across):
        raise errors[0]
    return done


def argument_of(name: str, axis: Axis) -> str:
    """The argument of an axis; `name` is "columns" or "rows"."""
    if not isinstance(axis, Mapping) or len(axis) != 1:
        raise InputError(
            f'{name} must be one argument with its values, such as {{"strength": [0.5, 1]}}, '
            f"not {axis!r}"
        )
    return next(iter(axis))


def labeled(name: str, axis: Axis) -> dict[str, dict[str, Any]]:
    """The settings of an axis by their labels."""
    argument = argument_of(name, axis)
    values = axis[argument]
    if not isinstance(values, Mapping):
        listed = several(argument, values)
        values = {said(value) or str(k + 1): value for k, value in enumerate(listed)}
        if len(values) < len(listed):
            raise InputError(f"{name} has a value of {argument} twice: {listed}")
    elif not values:
        raise InputError(f"{name} has no values of {argument}: give at least one")
    word = argument.replace("_", " ")
    return {f"{word} {label}": {argument: value} for label, value in values.items()}


def said(value: Any) -> str:
    """A value in few words; "" if there are none for it, as for an image."""
    if value is None:
        return "default"
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {said(each)}" for key, each in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(said(each) for each in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Real):
        return f"{float(value):g}"
    if isinstance(value, os.PathLike):
        return Path(value).stem
    return value if isinstance(value, str) else ""


def said_of(cell: Cell) -> str:
    """The seconds that an image took and the weights of its losses, or why there is none."""
    if not isinstance(cell, TransferResult):
        return "not made" if cell is None else str(cell)
    weights, factors = cell.settings["weights"], cell.weight_factors
    known = [name for name in cell.gradient_shares if (weights or {}).get(name)]
    parts = [f"{name} {weights[name] * factors.get(name, 1.0):.3g}" for name in known]
    seconds = cell.history[-1].seconds if cell.history else 0.0
    return f"{seconds:.1f} s" + (f"; weights {', '.join(parts)}" if parts else "")
