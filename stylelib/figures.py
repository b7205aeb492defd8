"""Images on the page: side by side, before and after, and one after the other.

They are shown with their own pixels and with captions in the page's font. No plot is drawn.
"""

from __future__ import annotations

import base64
import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib import import_module
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from stylelib.arguments import choice, number, several, whole
from stylelib.errors import InputError, missing
from stylelib.files import load_image
from stylelib.images import postprocess

try:
    import matplotlib as mpl
except ModuleNotFoundError as error:
    raise missing("matplotlib", "figures") from error

__all__ = ["Pictures", "arranged", "compare", "encode", "filmstrip", "show_images"]

Showable = Image.Image | Tensor | NDArray[Any]

PAGE = 720
"""The approximate width of a page's text, in CSS pixels."""
LARGE, TINY = 300, 128
"""In CSS pixels. Images smaller than `LARGE` are enlarged by whole factors up to it; those
smaller than `TINY`, to the size of the images beside them, or to `LARGE`."""
SMALL_FILE = 64 * 64
"""Images of at most this many pixels are stored without loss."""
GAP = 12
"""The gap between images, in CSS pixels."""


@dataclass(frozen=True)
class _Picture:
    """An image, its caption, and the width and height in CSS pixels at which it is shown."""

    image: Image.Image
    title: str
    size: tuple[int, int]


class Pictures:
    """Images that show themselves in a notebook and in the book; see `show_images`.

    Everywhere else, `image` is one PIL image of all of them with their titles.

    Args:
        pictures: the images to show.
        columns: the number of images in a row.
        width: the total width, in CSS pixels.
        kind: "", "compare" or "filmstrip".
        label: a description of the whole, for readers who cannot see it.
    """

    def __init__(
        self,
        pictures: Sequence[_Picture],
        columns: int,
        width: float = PAGE,
        kind: str = "",
        label: str = "",
    ) -> None:
        self._pictures, self._columns, self._width = list(pictures), columns, width
        self._kind, self._label = kind, label
        self._shown_in: object = None  # the cell that shows it

    def __repr__(self) -> str:
        sizes = {picture.image.size for picture in self._pictures}
        size = f" of {' x '.join(map(str, sizes.pop()))}" if len(sizes) == 1 else ""
        many = "" if len(self._pictures) == 1 else "s"
        titles = "; ".join(" ".join(p.title.split()) for p in self._pictures if p.title)
        said = f": {titles}" if titles else ""
        return f"<{len(self._pictures)} image{many}{size}{said}>"

    @property
    def _still(self) -> list[_Picture]:
        """The images to show where nothing moves."""
        pictures = self._pictures
        return [pictures[0], pictures[-1]] if self._kind == "filmstrip" else pictures

    @property
    def image(self) -> Image.Image:
        """All images as one RGB image, with their titles below them. A filmstrip gives the
        first and the last.
        """
        font = ImageFont.truetype(
            Path(mpl.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"), 13
        )
        pictures, columns = self._still, min(self._columns, len(self._still))
        rows = [pictures[at : at + columns] for at in range(0, len(pictures), columns)]
        widths = [max(p.size[0] for p in pictures[at::columns]) for at in range(columns)]
        heights = [max(p.size[1] + 18 * len(p.title.splitlines()) for p in row) for row in rows]
        canvas = Image.new(
            "RGB",
            (sum(widths) + GAP * (columns - 1), sum(heights) + GAP * (len(rows) - 1)),
            "white",
        )
        draw = ImageDraw.Draw(canvas)
        for index, picture in enumerate(pictures):
            row, column = divmod(index, columns)
            x = sum(widths[:column]) + GAP * column
            y = sum(heights[:row]) + GAP * row
            canvas.paste(picture.image.resize(picture.size, Image.Resampling.NEAREST), (x, y))
            draw.text((x, y + picture.size[1] + 2), picture.title, "black", font)
        return canvas

    def _repr_html_(self) -> str:
        columns = min(self._columns, len(self._still))
        style = (
            f"--columns:{columns};--narrow:{min(columns, 2)};display:grid;"
            f"grid-template-columns:repeat({columns},minmax(0,max-content));gap:{GAP}px;"
            f"max-width:min(100%,{self._width:g}px);align-items:start"
        )
        pictures = self._pictures
        alone = len(pictures) == 1 and not pictures[0].title
        group = "" if alone else ' role="group"'
        label = f' aria-label="{escape(self._label)}"' if self._label else ""
        if self._kind == "filmstrip":  # the slider's name; a page may rename the group
            label += f' data-label="{escape(self._label)}"'
        hidden = range(1, len(pictures) - 1) if self._kind == "filmstrip" else ()
        shown = [
            _to_html(picture, f"image {at + 1} of {len(pictures)}", at in hidden)
            for at, picture in enumerate(pictures)
        ]
        kind = " ".join(filter(None, ["pictures", self._kind]))
        return f'<div class="{kind}"{group}{label} style="{style}">\n{"".join(shown)}</div>'

    def _ipython_display_(self) -> None:
        """Show the images, but only once in a cell, whose result they may be, too."""
        shell = import_module("IPython").get_ipython()
        cell = (id(shell), getattr(shell, "execution_count", None))
        if self._shown_in == cell:
            return
        self._shown_in = cell
        kind, data = encode(self.image)
        bundle = {
            "text/plain": repr(self),
            "text/html": self._repr_html_(),
            kind: base64.b64encode(data).decode(),
        }
        import_module("IPython.display").display(bundle, raw=True)

    def _show(self) -> Pictures:
        """Show the images in the calling cell, if there is one, as a plot is shown."""
        if "IPython" in sys.modules and import_module("IPython").get_ipython() is not None:
            import_module("IPython.display").display(self)
        return self


def show_images(
    images: Sequence[Showable],
    titles: Sequence[str] | None = None,
    *,
    columns: int | None = None,
    width: float = 9.0,
    cmap: str = "magma",
) -> Pictures:
    """Show images in a grid, each with its title below it.

    An image is shown with its own pixels, or smaller if the page is too narrow for the grid. A
    small image is enlarged by a whole factor, with each pixel a square. Maps and tiny images
    are enlarged to the size of the images beside them. Photographs and paintings are stored as
    JPEG of high quality; maps, and images of few colors or pixels, are stored without loss.

    Args:
        images: PIL images; normalized tensors (1, 3, H, W) or (3, H, W); or maps of values (H,
            W), tensors or arrays. The colors of a map span its smallest to its largest value;
            values that are not finite are white.
        titles: a title for each image, which may have several lines.
        columns: the number of images in a row; None puts all in one row.
        width: the largest width of the grid, in inches of 96 CSS pixels.
        cmap: the name of matplotlib's colormap for maps.

    Returns:
        The images. In a notebook the call shows them; elsewhere use `.image`.

    Raises:
        InputError: there are no images, the number of titles differs from that of images, an
            array is not a map, or matplotlib does not have the colormap.

    Example:
        >>> from stylelib import samples
        >>> from stylelib.figures import show_images
        >>> show_images([samples.load("chelsea"), samples.load("mosaic")], ["content", "style"])
        <2 images: content; style>
    """
    return arranged(images, titles, columns=columns, width=width, cmap=cmap)._show()


def arranged(
    images: Sequence[Showable],
    titles: Sequence[str] | None = None,
    *,
    columns: int | None = None,
    width: float = 9.0,
    cmap: str = "magma",
) -> Pictures:
    """Images in a grid, as `show_images` shows them, without showing them."""
    images = several("images", images)
    titles = _check_titles(titles, len(images))
    columns = len(images) if columns is None else whole("columns", columns)
    across = number("width", width, above=0) * 96
    known = choice("cmap", cmap, mpl.colormaps)
    cell = min(PAGE, across) / columns
    opened = [_to_image(image, known) for image in images]
    # Maps and tiny images are as large as the others, so that they can be compared
    tiny = [
        _is_map(given) or max(image.size) < TINY
        for given, image in zip(images, opened, strict=True)
    ]
    sizes = [_shown_size(image, cell) for image in opened]
    others = [max(size) for size, is_tiny in zip(sizes, tiny, strict=True) if not is_tiny]
    longest = max(others or [LARGE, *(max(image.size) for image in opened)])
    pictures = [
        _Picture(image, title, _scaled(image, longest) if is_tiny else size)
        for image, title, size, is_tiny in zip(opened, titles, sizes, tiny, strict=True)
    ]
    return Pictures(pictures, columns, across)


def compare(
    before: Showable,
    after: Showable,
    *,
    alt: str,
    labels: Sequence[str] = ("before", "after"),
) -> Pictures:
    """Show two images of the same thing.

    The book shows one over the other, with a slider that uncovers the first; a notebook shows
    them side by side.

    Args:
        before: a PIL image, or a normalized tensor (1, 3, H, W) or (3, H, W).
        after: an image of the same kinds and aspect ratio, with any number of pixels.
        alt: a description, for readers who cannot see the images.
        labels: the names of the two images.

    Returns:
        The images, as `show_images` does.

    Raises:
        InputError: an image is of another kind, the aspect ratios differ by more than 2%, a
            text is empty, or there are not two labels.
    """
    label = _check_text("alt", alt)
    names = [_check_text("labels", name) for name in several("labels", labels, least=0)]
    if len(names) != 2:
        raise InputError(
            f"labels must be two texts, such as ('before', 'after'), not {labels!r}"
        )
    first, second = _to_image(before), _to_image(after)
    ratios = [image.width / image.height for image in (first, second)]
    if max(ratios) > 1.02 * min(ratios):
        raise InputError(
            f"the two images have different shapes, {first.width} x {first.height} and "
            f"{second.width} x {second.height}; cut or resize one of them"
        )
    size = max(_shown_size(first, PAGE), _shown_size(second, PAGE))
    pictures = [_Picture(first, names[0], size), _Picture(second, names[1], size)]
    return Pictures(pictures, 2, kind="compare", label=label)._show()


def filmstrip(images: Sequence[Showable], titles: Sequence[str], *, label: str) -> Pictures:
    """Show a sequence of images.

    The book shows one at a time, with a slider that moves through them; a notebook and the
    printed book show the first and the last side by side.

    Args:
        images: two or more images, of the kinds that `compare` takes.
        titles: a title for each image.
        label: what the slider changes, such as "The image after 1 to 100 steps".

    Returns:
        The images, as `show_images` does.

    Raises:
        InputError: there are fewer than two images, the number of titles differs from that of
            images, an image is of another kind, or there is no label.
    """
    images = several("images", images)
    if len(images) < 2:
        raise InputError("images has one image: a filmstrip needs two or more")
    titles = _check_titles(titles, len(images))
    label = _check_text("label", label)
    opened = [_to_image(image) for image in images]
    largest = max(_shown_size(image, PAGE / 2)[0] for image in opened)
    pictures = [
        _Picture(image, title, (largest, max(1, round(image.height * largest / image.width))))
        for image, title in zip(opened, titles, strict=True)
    ]
    return Pictures(pictures, 2, kind="filmstrip", label=label)._show()


def encode(image: Image.Image) -> tuple[str, bytes]:
    """The kind and the bytes of a file for an RGB image.

    The kind is "image/png", without loss, for at most 256 colors or `SMALL_FILE` pixels, else
    "image/jpeg".
    """
    buffer = io.BytesIO()
    if image.getcolors(256) is not None:
        _with_palette(image).save(buffer, "PNG", optimize=True)
    elif image.width * image.height <= SMALL_FILE:
        image.save(buffer, "PNG", optimize=True)
    else:
        # Color at full resolution: at the usual half, small strokes lose their color.
        # Not progressive: libjpeg prints warnings of its own if that needs much memory.
        image.save(buffer, "JPEG", quality=90, subsampling=0)
        return "image/jpeg", buffer.getvalue()
    return "image/png", buffer.getvalue()


def _with_palette(image: Image.Image) -> Image.Image:
    """The same pixels, stored as indices into a palette of at most 256 colors."""
    channels = np.asarray(image).astype(np.uint32)  # (H, W, 3)
    packed = channels[..., 0] << 16 | channels[..., 1] << 8 | channels[..., 2]
    colors, numbers = np.unique(packed, return_inverse=True)
    result = Image.fromarray(numbers.reshape(packed.shape).astype(np.uint8))
    palette = np.stack([colors >> 16, colors >> 8 & 255, colors & 255], axis=1)
    result.putpalette(palette.astype(np.uint8).tobytes())
    return result


def _is_map(image: object) -> TypeGuard[Tensor | NDArray[Any]]:
    return isinstance(image, np.ndarray | Tensor) and image.ndim == 2


def _to_image(image: Showable, cmap: str | None = None) -> Image.Image:
    """An RGB image of something showable; of a map only if a colormap is given."""
    if cmap is not None and _is_map(image):
        return _colored(image, cmap)
    if isinstance(image, Tensor):
        image = postprocess(image)
    if isinstance(image, np.ndarray):
        shown = "an array must be a map (H, W)" if cmap else "arrays are not shown here"
        raise InputError(f"{shown}, not {image.shape}")
    return load_image(image)


def _colored(values: Tensor | NDArray[Any], cmap: str) -> Image.Image:
    """A map (H, W) in colors, from its smallest to its largest value."""
    array = values.detach().float().cpu().numpy() if isinstance(values, Tensor) else values
    if array.dtype.kind not in "biuf" or 0 in array.shape:
        raise InputError(
            f"a map must have real values (H, W), not {array.shape} of {array.dtype}"
        )
    numbers = array.astype(np.float64)
    finite = np.isfinite(numbers)
    if finite.any():
        least, greatest = numbers[finite].min(), numbers[finite].max()
        numbers = (numbers - least) / ((greatest - least) or 1.0)
    colors = mpl.colormaps[cmap](np.where(finite, numbers, 0.0), bytes=True)[..., :3]
    colors[~finite] = 255
    return Image.fromarray(np.ascontiguousarray(colors))


def _shown_size(image: Image.Image, room: float) -> tuple[int, int]:
    """The image's own size; for a small image, a multiple of it."""
    times = max(1, int(min(LARGE, room) // max(image.size)))
    return image.width * times, image.height * times


def _scaled(image: Image.Image, longest: int) -> tuple[int, int]:
    """The size at which the longer side is `longest`, but at least the image's own."""
    scale = max(1.0, longest / max(image.size))
    return max(1, round(image.width * scale)), max(1, round(image.height * scale))


def _to_html(picture: _Picture, name: str, hidden: bool) -> str:
    """An image and its caption. The alternative text is the caption, or else `name`."""
    kind, data = encode(picture.image)
    width, height = picture.size
    # Pixels of an enlarged image are squares; a notebook's theme must not shrink the image
    square = ";image-rendering:pixelated" if width > picture.image.width else ""
    alt = " ".join(picture.title.split()) or name
    unnamed = "" if picture.title else " data-unnamed"
    title = escape(picture.title).replace("\n", "<br>")
    return (
        f'<figure{" hidden" * hidden} style="margin:0">'
        f'<img src="data:{kind};base64,{base64.b64encode(data).decode()}" alt="{escape(alt)}"'
        f'{unnamed} width="{width}" height="{height}" loading="lazy"'
        f' style="max-width:100%;height:auto{square}">'
        + (f"<figcaption>{title}</figcaption>" if title else "")
        + "</figure>\n"
    )


def _check_titles(titles: Any, count: int) -> list[str]:
    """Check that there are as many titles as images; None means no titles."""
    if titles is None:
        return [""] * count
    listed = [str(title) for title in several("titles", titles, least=0)]
    if len(listed) != count:
        raise InputError(f"{count} images have {len(listed)} titles")
    return listed


def _check_text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{name} must be a text that describes the image, not {value!r}")
    return value
