"""Files of pictures: read as a person would see them, written whole or not at all (chapter 2).

PIL images only; nothing here needs PyTorch.
"""

from __future__ import annotations

import io
import os
import tempfile
import warnings
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from stylelib.arguments import check_path, sides, whole
from stylelib.errors import FileError, InputError, StylelibError

__all__ = [
    "ImageSource",
    "check_output",
    "load_image",
    "make_folder",
    "resize",
    "target_shape",
    "write_image",
    "write_whole",
]

MAX_PIXELS = 89_478_485
"""Pictures with more pixels are refused: a small file can unpack to gigabytes. Pillow's own
limit of caution."""

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
"""The endings of names that can be written, and Pillow's names of their formats."""

ImageSource = str | os.PathLike[str] | bytes | BinaryIO | Image.Image


def load_image(source: ImageSource) -> Image.Image:
    """Read a picture as RGB, the way a person would see it.

    The camera's orientation (EXIF) is applied; palette, grayscale (8 and 16 bit), CMYK and
    transparent pictures become RGB, transparency over white. Of an animation the first frame is
    taken. Color profiles are not applied, and nothing but the pixels is kept.

    Args:
        source: a path, the bytes of a file, a file opened in binary mode, or a PIL image (which
            is not changed).

    Returns:
        A new RGB image of 8 bits a channel.

    Raises:
        FileError: the file is missing, empty, truncated, no picture, a directory, or unpacks to
            over `MAX_PIXELS`.
        InputError: the source is of no known kind, or its pixels have no range one could guess
            (32-bit modes).

    Example:
        >>> from stylelib import load_image, samples
        >>> load_image(samples.path("chelsea")).size
        (451, 300)
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
            if image.width * image.height > MAX_PIXELS:
                raise Image.DecompressionBombError
            image.load()
            return _to_rgb(image)
        except StylelibError:
            raise
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise FileError(
                f"{name} unpacks to more than {MAX_PIXELS:,} pixels; make it smaller first"
            ) from error
        except UnidentifiedImageError as error:
            raise FileError(f"{name} is not a picture of any format Pillow knows") from error
        except Exception as error:  # on a broken file Pillow's decoders raise almost anything
            raise FileError(f"{name} is damaged or cut short: {error}") from error


def _open_source(source: str | os.PathLike[str] | bytes | BinaryIO) -> tuple[BinaryIO, str]:
    """The content of `source` as a seekable stream, and what to call it in an error."""
    if isinstance(source, bytes | bytearray | memoryview):
        data, name = bytes(source), "the given data"
    elif isinstance(source, str | os.PathLike):
        path, name = Path(source), f"'{os.fspath(source)}'"
        try:
            if path.is_dir():
                raise FileError(f"{name} is a directory, not a picture")
            data = path.read_bytes()
        except FileNotFoundError:
            raise FileError(f"there is no file {name}") from None
        except FileError:
            raise
        except (OSError, ValueError) as error:
            raise FileError(f"cannot read {name}: {error}") from error
    elif hasattr(source, "read"):
        name = f"'{getattr(source, 'name', 'the given file')}'"
        try:
            data = source.read()
        except UnicodeDecodeError:  # text mode, and the bytes are no text
            data = None
        except (OSError, ValueError) as error:  # a closed file is a ValueError
            raise FileError(f"cannot read {name}: {error}") from error
        if not isinstance(data, bytes):
            raise InputError(f"{name} was opened as text; open it in binary mode, 'rb'")
    else:
        raise InputError(
            "a picture is a path, bytes, a binary file or a PIL image, not "
            f"{type(source).__name__}"
        )
    if not data:
        raise FileError(f"{name} is empty (0 bytes)")
    return io.BytesIO(data), name


def _to_rgb(image: Image.Image) -> Image.Image:
    if 0 in image.size:
        raise InputError(
            f"the image has no pixels: its size is {image.size[0]} x {image.size[1]}"
        )
    upright = _turn_upright(image)
    if upright.mode in (
        "La",
        "RGBa",
    ):  # colors multiplied by alpha; Pillow converts them one way
        upright = upright.convert({"La": "LA", "RGBa": "RGBA"}[upright.mode])
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
        opaque = Image.new("RGBA", upright.size, "white")
        opaque.alpha_composite(upright.convert("RGBA"))
        return opaque.convert("RGB")
    # Without the file's other data: the orientation must not be applied twice
    plain = Image.new("RGB", upright.size)
    plain.paste(upright.convert("RGB"))
    return plain


def _turn_upright(image: Image.Image) -> Image.Image:
    """Apply the EXIF orientation; Pillow's own exif_transpose fails on odd EXIF data."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # damaged EXIF data do not make a picture unreadable
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
    picture_format = check_output(path)
    quality = whole("quality", quality, most=100)
    picture = _turn_upright(image)
    if picture_format == "JPEG" and picture.mode != "RGB":
        picture = load_image(picture)
    buffer = io.BytesIO()
    try:
        picture.save(buffer, picture_format, quality=quality)
    except (OSError, ValueError, KeyError, OverflowError, SystemError) as error:
        raise InputError(
            f"cannot write a {picture.mode} image of {picture.size} as {picture_format}: "
            f"{error}"
        ) from error
    return write_whole(Path(path), buffer.getvalue())


def check_output(path: str | os.PathLike[str]) -> str:
    """The format that a picture's name asks for; an error now if writing it would fail later.

    Raises:
        InputError: the ending is not one of `FORMATS`.
        FileError: there is no such folder, it cannot be written to, or the name is that of a
            folder.
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
            f"cannot write '{target}': the folder '{target.parent}' is not yours to write to"
        )
    return FORMATS[target.suffix.lower()]


def write_whole(path: Path, data: bytes) -> Path:
    """Write `data` to `path` whole or not at all: until it is written, the older file stays."""
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise FileError(f"'{path}' is a directory; give the name of a file in it")
    temporary = ""
    try:
        with tempfile.NamedTemporaryFile(
            dir=target.parent, prefix=".stylelib-", delete=False
        ) as stream:
            temporary = stream.name
            stream.write(data)
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
    return path


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it, where they are missing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"cannot make the folder '{folder}': {error.strerror}") from error


def _umask() -> int:
    mask = os.umask(0o022)  # there is no way to read it but to set it
    os.umask(mask)
    return mask


def resize(image: Image.Image, image_shape: int | tuple[int, int]) -> Image.Image:
    """A picture in the size that `image_shape` means for it, as `preprocess` resizes it."""
    height, width = target_shape(image, image_shape)
    return image.resize((width, height), Image.Resampling.BILINEAR)


def target_shape(
    image: Image.Image, image_shape: int | tuple[int, int], name: str = "image_shape"
) -> tuple[int, int]:
    """The (height, width) that an argument of that name means for a picture."""
    given = sides(name, image_shape)
    if len(given) == 2:
        height, width = given
    else:
        scale = given[0] / min(image.size)
        height, width = max(1, round(image.height * scale)), max(1, round(image.width * scale))
    if height * width > MAX_PIXELS:
        raise InputError(
            f"{name} {image_shape!r} asks for {height} x {width}, over {MAX_PIXELS:,} pixels"
        )
    return height, width
