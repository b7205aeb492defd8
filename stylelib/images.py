"""Pictures in, pictures out: files, PIL images, normalised tensors (chapter 2).

Two units are used in this library, and never mixed: a *PIL image* has grey levels 0..255, and a
*normalised tensor* has the shape (1, 3, H, W) with values about -2.1..2.6, what `preprocess`
makes of it.
"""

from __future__ import annotations

import io
import os
import tempfile
import warnings
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from PIL import ExifTags, Image, UnidentifiedImageError
from torch import Tensor

from stylelib.errors import FileError, InputError, StylelibError

__all__ = [
    "IMAGE_MEAN",
    "IMAGE_STD",
    "ImageSource",
    "load_image",
    "postprocess",
    "preprocess",
    "save_image",
    "visible_range",
]

IMAGE_MEAN = torch.tensor([0.485, 0.456, 0.406])
"""Mean of each channel (R, G, B) over ImageNet, pixels in 0..1."""
IMAGE_STD = torch.tensor([0.229, 0.224, 0.225])
"""Standard deviation of each channel (R, G, B) over ImageNet, pixels in 0..1."""

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

    The camera's orientation (EXIF) is applied; palette, greyscale (8 and 16 bit), CMYK and
    transparent pictures become RGB, transparency over white. Of an animation the first frame is
    taken. Colour profiles are not applied, and nothing but the pixels is kept.

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
    ):  # colours multiplied by alpha; Pillow converts them one way
        upright = upright.convert({"La": "LA", "RGBa": "RGBA"}[upright.mode])
    if upright.mode.startswith("I;16") or upright.mode == "I":
        levels = np.asarray(upright).astype(np.int64)
        levels[levels == upright.info.get("transparency")] = 65535
        if levels.min() < 0 or levels.max() > 65535:
            raise InputError(
                f"grey levels {levels.min()}..{levels.max()} are outside 0..65535; scale "
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


def save_image(
    image: Image.Image | Tensor, path: str | os.PathLike[str], *, quality: int = 95
) -> Path:
    """Write a picture to a file, whole or not at all.

    Args:
        image: a PIL image, or a normalised tensor of shape (1, 3, H, W) or (3, H, W).
        path: the file; its ending, one of `FORMATS`, chooses the format. An existing file is
            replaced.
        quality: for the formats that lose detail, 1..100.

    Returns:
        The path that was written.

    Raises:
        InputError: an unknown ending, or the image is neither a PIL image nor a tensor that is
            a picture.
        FileError: the folder is missing or cannot be written to.
    """
    picture_format = check_output(path)
    if not isinstance(image, Image.Image | Tensor):
        raise InputError(
            f"what is saved is a PIL image or a tensor, not {type(image).__name__}"
        )
    if type(quality) is not int or not 1 <= quality <= 100:
        raise InputError(f"quality is a whole number from 1 to 100, not {quality!r}")
    picture = postprocess(image) if isinstance(image, Tensor) else _turn_upright(image)
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
    target = Path(path)
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


def preprocess(image: Image.Image, image_shape: int | tuple[int, int]) -> Tensor:
    """Resize a picture and make of it what a network trained on ImageNet expects.

    Pixels are scaled to 0..1, then each channel is normalised:
    (pixel - IMAGE_MEAN) / IMAGE_STD.

    Args:
        image: a PIL image.
        image_shape: (H, W) in pixels, which may change the aspect ratio, or one number: the
            length of the shorter side, the aspect ratio kept.

    Returns:
        A float32 tensor of shape (1, 3, H, W), normalised.

    Raises:
        InputError: `image_shape` is neither a positive whole number nor two of them.

    Source: the recipe of Zhang et al., Dive into Deep Learning, section "Neural Style
    Transfer".
    """
    resized = resize(load_image(image), image_shape)
    pixels = torch.from_numpy(np.array(resized)).float() / 255  # (H, W, 3)
    X = (pixels - IMAGE_MEAN) / IMAGE_STD  # (H, W, 3)
    return X.permute(2, 0, 1)[None].contiguous()  # (1, 3, H, W)


def resize(image: Image.Image, image_shape: int | tuple[int, int]) -> Image.Image:
    """A picture in the size that `image_shape` means for it, as `preprocess` resizes it."""
    height, width = target_shape(image, image_shape)
    return image.resize((width, height), Image.Resampling.BILINEAR)


def target_shape(image: Image.Image, image_shape: int | tuple[int, int]) -> tuple[int, int]:
    """The (height, width) that `image_shape` means for a picture."""
    given = tuple(image_shape) if isinstance(image_shape, tuple | list) else (image_shape,)
    sides = [
        int(side)
        for side in given
        if isinstance(side, int | np.integer) and not isinstance(side, bool)
    ]
    if len(given) not in (1, 2) or len(sides) != len(given) or min(sides) < 1:
        raise InputError(
            "image_shape is (height, width) in pixels, or the shorter side alone; got "
            f"{image_shape!r}"
        )
    if len(sides) == 2:
        height, width = sides
    else:
        scale = sides[0] / min(image.size)
        height, width = max(1, round(image.height * scale)), max(1, round(image.width * scale))
    if height * width > MAX_PIXELS:
        raise InputError(
            f"image_shape {image_shape!r} asks for {height} x {width}, over {MAX_PIXELS:,} "
            "pixels"
        )
    return height, width


def visible_range(device: torch.device | str | None = None) -> tuple[Tensor, Tensor]:
    """The normalised values of black and of white, each of shape (3, 1, 1)."""
    black, white = -IMAGE_MEAN / IMAGE_STD, (1 - IMAGE_MEAN) / IMAGE_STD
    return black.view(3, 1, 1).to(device), white.view(3, 1, 1).to(device)


def postprocess(X: Tensor) -> Image.Image:
    """Make a PIL image of a normalised tensor: the inverse of `preprocess`, its resizing apart.

    Values outside the visible range are clamped. Grey levels are rounded to the nearest (the
    recipe truncates them, and so loses up to one level), which makes the round trip exact.

    Args:
        X: a normalised tensor of shape (1, 3, H, W) or (3, H, W).

    Raises:
        InputError: another shape, or values that are not finite.
    """
    if not isinstance(X, Tensor):
        raise InputError(f"postprocess takes a tensor, not {type(X).__name__}")
    picture = X.detach()[0] if X.ndim == 4 and X.shape[0] == 1 else X.detach()
    if (
        picture.ndim != 3
        or picture.shape[0] != 3
        or 0 in picture.shape
        or not X.is_floating_point()
    ):
        raise InputError(
            "a picture has the shape (1, 3, H, W) or (3, H, W) in floating point, not "
            f"{tuple(X.shape)} {X.dtype}"
        )
    if not bool(torch.isfinite(picture).all()):
        raise InputError("the picture has values that are not finite (nan or inf)")
    pixels = picture.float().cpu().permute(1, 2, 0) * IMAGE_STD + IMAGE_MEAN  # (H, W, 3)
    return Image.fromarray((pixels.clamp(0, 1) * 255).round().to(torch.uint8).numpy())
