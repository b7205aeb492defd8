"""Image files, read as a person would see them, and written whole or not at all (chapter 2).

This module handles PIL images only and does not need PyTorch.
"""

from __future__ import annotations

import base64
import io
import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from stylelib.arguments import check_path, sides, whole
from stylelib.errors import FileError, InputError, StylelibError

__all__ = [
    "ImageSource",
    "check_output",
    "data_uri",
    "encoded",
    "kept",
    "load_image",
    "load_with_alpha",
    "make_folder",
    "resize",
    "target_shape",
    "write_image",
    "write_whole",
    "written_whole",
]

MAX_PIXELS = 89_478_485
"""Images with more pixels are refused, because a small file can unpack to gigabytes. Pillow
warns above the same limit."""
MAX_BYTES = 2**30
"""Files with more bytes are refused; a device, such as /dev/zero, has no end."""

FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
    ".gif": "GIF",
}
"""The file endings that can be written, and Pillow's names for their formats."""

ImageSource = str | os.PathLike[str] | bytes | BinaryIO | Image.Image


def load_image(source: ImageSource) -> Image.Image:
    """Read an image as RGB, the way a person would see it.

    The camera's orientation (EXIF) is applied. Palette, grayscale (8 and 16 bit), CMYK and
    transparent images become RGB, with white behind transparent pixels. An animation gives its
    first frame. Color profiles are not applied, and nothing but the pixels is kept.

    Args:
        source: a path, the bytes of a file, a file opened in binary mode, or a PIL image (which
            is not changed).

    Returns:
        A new RGB image with 8 bits per channel.

    Raises:
        FileError: the file is missing, empty, truncated, not an image, a directory, larger
            than `MAX_BYTES`, or unpacks to more than `MAX_PIXELS`. EPS is refused, too: it is
            a program, which Pillow gives to Ghostscript.
        InputError: the source is of another kind, or the range of its pixels is unknown (32-bit
            modes).

    Example:
        >>> from stylelib import load_image, samples
        >>> load_image(samples.path("chelsea")).size
        (451, 300)
    """
    image, alpha = load_with_alpha(source)
    if alpha is None:
        return image
    image.putalpha(alpha)
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def load_with_alpha(source: ImageSource) -> tuple[Image.Image, Image.Image | None]:
    """Read an image as `load_image` does, and its alpha channel.

    Returns:
        (image, alpha): RGB as stored, so that the color of a pixel does not depend on its
        alpha; and gray levels, 0 where the image is transparent, or None if it is opaque
        everywhere.
    """
    if isinstance(source, Image.Image):
        image, name = source, "the image"
    else:
        stream, name = _open_source(source)
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            if not isinstance(source, Image.Image):
                image = Image.open(stream)
            if image.format == "EPS":
                raise FileError(f"{name} is a program in PostScript (EPS), which is not run")
            if image.width * image.height > MAX_PIXELS:
                raise Image.DecompressionBombError
            image.load()
            return _to_rgb(image), _alpha(image)
        except StylelibError:
            raise
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise FileError(
                f"{name} unpacks to more than {MAX_PIXELS:,} pixels; make it smaller first"
            ) from error
        except UnidentifiedImageError as error:
            raise FileError(f"{name} is not an image in a format that Pillow reads") from error
        except Exception as error:  # Pillow's decoders raise many kinds for a broken file
            raise FileError(f"{name} is damaged or cut short: {error}") from error


def kept(source: Any) -> Any:
    """The content of an open file, which can be read only once; anything else as it is."""
    if hasattr(source, "read"):
        return _open_source(source)[0].read()
    return source


def _open_source(source: str | os.PathLike[str] | bytes | BinaryIO) -> tuple[BinaryIO, str]:
    """The content of `source` as a seekable stream, and its name in messages."""
    if isinstance(source, bytes | bytearray | memoryview):
        data, name = bytes(source), "the given data"
    elif isinstance(source, str | os.PathLike):
        path, name = Path(source), f"'{os.fspath(source)}'"
        try:
            if path.is_dir():
                raise FileError(f"{name} is a directory, not an image")
            with path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        except FileNotFoundError:
            raise FileError(f"there is no file {name}") from None
        except FileError:
            raise
        except (OSError, ValueError) as error:
            raise FileError(f"cannot read {name}: {error}") from error
    elif hasattr(source, "read"):
        name = f"'{getattr(source, 'name', 'the given file')}'"
        try:
            data = source.read(MAX_BYTES + 1)
        except UnicodeDecodeError:  # opened as text, but the bytes are not text
            data = None
        except (OSError, ValueError) as error:  # a closed file raises ValueError
            raise FileError(f"cannot read {name}: {error}") from error
        if not isinstance(data, bytes):
            raise InputError(f"{name} was opened as text; open it in binary mode, 'rb'")
    else:
        raise InputError(
            "an image must be a path, bytes, a binary file or a PIL image, not "
            f"{type(source).__name__}"
        )
    if not data:
        raise FileError(f"{name} is empty (0 bytes)")
    if len(data) > MAX_BYTES:
        raise FileError(f"{name} has more than {MAX_BYTES:,} bytes; make it smaller first")
    return io.BytesIO(data), name


def _to_rgb(image: Image.Image) -> Image.Image:
    if 0 in image.size:
        raise InputError(
            f"the image has no pixels: its size is {image.size[0]} x {image.size[1]}"
        )
    upright = _plain_alpha(_turn_upright(image))
    if upright.mode.startswith("I;16") or upright.mode == "I":
        levels = np.asarray(upright).astype(np.int64)
        levels[levels == upright.info.get("transparency")] = 65535
        if levels.min() < 0 or levels.max() > 65535:
            raise InputError(
                f"gray levels {levels.min()}..{levels.max()} are outside 0..65535; scale "
                "them first"
            )
        return Image.fromarray(((levels + 128) // 257).astype(np.uint8)).convert("RGB")
    if upright.mode == "F":
        raise InputError(
            "a 32-bit float image (mode 'F') has no agreed range; convert it to 8 bits first"
        )
    if upright.has_transparency_data:
        upright = upright.convert("RGBA")
    # Leave the file's other data out, or the orientation would be applied twice
    plain = Image.new("RGB", upright.size)
    plain.paste(upright.convert("RGB"))
    return plain


def _alpha(image: Image.Image) -> Image.Image | None:
    gray = image.mode.startswith("I")  # 16 bits: a level may be transparent, Pillow cannot tell
    if gray or not image.has_transparency_data:
        return None
    alpha = _plain_alpha(_turn_upright(image)).convert("RGBA").getchannel("A")
    return None if alpha.getextrema() == (255, 255) else alpha


def _plain_alpha(image: Image.Image) -> Image.Image:
    """Colors that are multiplied by alpha, divided by it; Pillow converts them one way only."""
    modes = {"La": "LA", "RGBa": "RGBA"}
    return image.convert(modes[image.mode]) if image.mode in modes else image


def _turn_upright(image: Image.Image) -> Image.Image:
    """Apply the EXIF orientation. Pillow's own `exif_transpose` fails on odd EXIF data."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # an image with damaged EXIF data is still readable
        orientation = 1
    turn = _TURNS.get(orientation) if isinstance(orientation, int) else None
    return image if turn is None else image.transpose(turn)


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def write_image(image: Image.Image, path: str | os.PathLike[str], *, quality: int = 95) -> Path:
    """Write a PIL image to a file, whole or not at all; see `stylelib.save_image`."""
    check_output(path)
    return write_whole(Path(path), encoded(image, Path(path).suffix, quality=quality))


def encoded(image: Image.Image, ending: str, *, quality: int = 95) -> bytes:
    """The content of a file that shows an image; `ending` is one of `FORMATS`."""
    picture_format = FORMATS[ending.lower()]
    quality = whole("quality", quality, most=100)
    picture = _turn_upright(image)
    if picture_format == "JPEG" and picture.mode != "RGB":
        picture = load_image(picture)
    buffer = io.BytesIO()
    try:
        picture.save(buffer, picture_format, quality=quality)
    except Exception as error:  # Pillow's encoders raise many kinds, as its decoders do
        raise InputError(
            f"cannot write a {picture.mode} image of {picture.size} as {picture_format}: "
            f"{error}"
        ) from error
    return buffer.getvalue()


def check_output(path: str | os.PathLike[str]) -> str:
    """Check that an image can be written to a path, and return the format of its ending.

    Raises:
        InputError: the ending is not one of `FORMATS`.
        FileError: the folder is missing or cannot be written to, or the path is a folder.
    """
    target = check_path("path", path)
    if target.suffix.lower() not in FORMATS:
        raise InputError(
            f"cannot write '{target.name}': end the name in one of {', '.join(FORMATS)}"
        )
    try:
        if target.is_dir():
            raise FileError(f"'{target}' is a directory; give the name of a file in it")
        if not target.parent.is_dir():
            raise FileError(f"cannot write '{target}': there is no folder '{target.parent}'")
    except FileError:
        raise
    except (OSError, ValueError) as error:
        raise FileError(f"cannot write '{target}': {error}") from error
    if not os.access(target.parent, os.W_OK):
        raise FileError(
            f"cannot write '{target}': you may not write to the folder '{target.parent}'"
        )
    return FORMATS[target.suffix.lower()]


def write_whole(path: Path, data: bytes) -> Path:
    """Write `data` to `path` whole or not at all; an older file stays until then."""
    with written_whole(path) as stream:
        stream.write(data)
    return path


@contextmanager
def written_whole(path: Path, prefix: str = ".stylelib-") -> Iterator[IO[bytes]]:
    """A stream whose content becomes the file `path` when the block ends without an exception.

    Args:
        path: of the file; an older one stays until then.
        prefix: with which the name of the temporary file beside it begins.

    Raises:
        FileError: the file cannot be written.
    """
    try:
        target = Path(os.path.realpath(path))
    except ValueError as error:  # a name that no file can have
        raise FileError(f"cannot write '{path}': {error}") from error
    if os.path.isdir(target):
        raise FileError(f"'{path}' is a directory; give the name of a file in it")
    temporary = ""
    try:
        with tempfile.NamedTemporaryFile(
            dir=target.parent, prefix=prefix, delete=False
        ) as stream:
            temporary = stream.name
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(
            temporary, target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_umask()
        )
        os.replace(temporary, target)
    except OSError as error:
        raise FileError(f"cannot write '{path}': {error.strerror or error}") from error
    finally:
        if temporary and os.path.exists(temporary):
            os.unlink(temporary)


def data_uri(image: Image.Image, kind: str, **options: Any) -> str:
    """An image as an address that holds it, for the `src` of HTML.

    Args:
        image: the image.
        kind: of the file, "PNG" or "JPEG".
        options: for Pillow's `save`.
    """
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def make_folder(folder: Path) -> None:
    """Make a folder and its parents if they do not exist."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:  # ValueError for a name that no file can have
        said = getattr(error, "strerror", None) or error
        raise FileError(f"cannot make the folder '{folder}': {said}") from error


def _umask() -> int:
    mask = os.umask(0o022)  # reading it means setting it
    os.umask(mask)
    return mask


def resize(image: Image.Image, image_shape: int | tuple[int, int]) -> Image.Image:
    """Resize an image to `image_shape`, as `preprocess` does."""
    height, width = target_shape(image, image_shape)
    return image.resize((width, height), Image.Resampling.BILINEAR)


def target_shape(
    image: Image.Image, image_shape: int | tuple[int, int], name: str = "image_shape"
) -> tuple[int, int]:
    """The (height, width) that the argument called `name` means for an image."""
    given = sides(name, image_shape)
    if max(given) > MAX_PIXELS:
        height, width = given[0], given[-1]
    elif len(given) == 2:
        height, width = given
    else:
        scale = given[0] / min(image.size)
        height, width = max(1, round(image.height * scale)), max(1, round(image.width * scale))
    if height * width > MAX_PIXELS:
        raise InputError(
            f"{name} {image_shape!r} asks for {height} x {width}, over {MAX_PIXELS:,} pixels"
        )
    return height, width
