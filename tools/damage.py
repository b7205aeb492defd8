"""Damage made at random: bytes of files, images of every kind, values of every type.

All functions take a `random.Random`, so a seed gives the same damage again.
"""

import io
import math
import random
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import ExifTags, Image

Image.init()
FORMATS = sorted(set(Image.SAVE) & set(Image.OPEN))
"""All the formats that Pillow both writes and reads."""
MODES = (
    *("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK"),
    *("YCbCr", "LAB", "HSV", "I", "F", "I;16", "I;16B"),
)
PNG = b"\x89PNG\r\n\x1a\n"
HEADERS = (
    *(PNG, b"\xff\xd8\xff\xe0", b"GIF89a", b"BM", b"II*\0", b"MM\0*", b"MM\0+", b"RIFF"),
    *(b"8BPS", b"qoif", b"P6\n9999999 9999999\n255\n", b"P7\n", b"\0\0\1\0", b"\0\0\2\0"),
    *(b"%!PS-Adobe-3.0 EPSF-3.0\n", b"DDS ", b"SIMPLE  =", b"/* XPM */", b"#define im_width"),
    *(
        b"PK\3\4",
        b"\x80\2",
        b"\x89HDF\r\n\x1a\n",
        b"GRIB",
        b"BUFR",
        b"%PDF-1.7",
        b"\0\0\0 ftyp",
    ),
)
SIZES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
"""Numbers at which lengths and dimensions overflow."""
PIXELS = 89_000_000
"""Just below the number of pixels that the library refuses."""


@dataclass(frozen=True)
class Case:
    """A call of the library, and the folder in which it may write; None: nowhere."""

    call: Callable[[], object]
    folder: Path | None = None


Damage = Callable[[random.Random, bytearray], None]


def place(rng: random.Random, data: bytearray) -> int:
    """A position, as often in the header as behind it."""
    return rng.randrange(min(len(data), rng.choice((64, 1024, 1 << 30))))


def flip(rng: random.Random, data: bytearray) -> None:
    """Flip bits."""
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        data[place(rng, data)] ^= 1 << rng.randrange(8)


def cut(rng: random.Random, data: bytearray) -> None:
    """Drop the end, or something in between."""
    begin = place(rng, data)
    del data[begin : rng.choice((len(data), begin + rng.randint(1, 64)))]


def swap(rng: random.Random, data: bytearray) -> None:
    """Exchange two parts."""
    size = rng.randint(1, max(1, len(data) // 4))
    a, b = place(rng, data), place(rng, data)
    data[a : a + size], data[b : b + size] = data[b : b + size], data[a : a + size]


def repeat(rng: random.Random, data: bytearray) -> None:
    """Insert a part again, once or many times."""
    begin = place(rng, data)
    part = data[begin : begin + rng.randint(1, 64)]
    data[begin:begin] = part * rng.choice((1, 2, 200))


def number(rng: random.Random, data: bytearray) -> None:
    """Put a number where a length or a dimension may be."""
    size = rng.choice((1, 2, 4))
    value = rng.choice(SIZES) % (1 << 8 * size)
    begin = place(rng, data)
    data[begin : begin + size] = value.to_bytes(size, rng.choice(("big", "little")))


def header(rng: random.Random, data: bytearray) -> None:
    """Begin like another format."""
    start = rng.choice(HEADERS)
    data[: rng.choice((0, len(start)))] = start


def noise(rng: random.Random, data: bytearray) -> None:
    """Overwrite a part by noise."""
    begin = place(rng, data)
    data[begin : begin + 16] = rng.randbytes(rng.randint(1, 64))


DAMAGES: tuple[Damage, ...] = (flip, flip, cut, swap, repeat, number, number, header, noise)


def damaged(rng: random.Random, data: bytes) -> bytes:
    """The same file, damaged in one to three ways. Checksums are right as often as not."""
    found = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        if found:
            rng.choice(DAMAGES)(rng, found)
    return checked(bytes(found)) if rng.random() < 0.7 else bytes(found)


def checked(data: bytes) -> bytes:
    """A PNG file with right checksums, so that decoders go on to what is damaged."""
    if not data.startswith(PNG):
        return data
    found, at = bytearray(data), len(PNG)
    while at + 12 <= len(found):
        end = at + 8 + int.from_bytes(found[at : at + 4], "big")
        if end + 4 > len(found):
            break
        found[end : end + 4] = zlib.crc32(found[at + 4 : end]).to_bytes(4, "big")
        at = end + 4
    return bytes(found)


def repacked(rng: random.Random, data: bytes) -> bytes:
    """A zip file in which entries are damaged, lost, doubled or renamed, checksums right."""
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(packed, "w") as new:
        chosen = rng.choice(old.namelist())
        for name in old.namelist():
            content = old.read(name)
            if name == chosen:
                content = damaged(rng, content)
                name = rng.choice((name, name, name, "../" + name, "/" + name, "x" * 300))
            if name != chosen or rng.random() < 0.9:
                new.writestr(name, content)
    return packed.getvalue()


def picture(rng: random.Random, mode: str | None = None) -> Image.Image:
    """A small image of any mode, with noise in its bands."""
    size = rng.randint(1, 40), rng.randint(1, 40)
    mode = mode or rng.choice(MODES)
    image = Image.frombytes("L", size, rng.randbytes(size[0] * size[1]))
    if mode == "F":
        return image.convert("F").point(lambda level: level * rng.choice((1, -1, 1e38)) + 0)
    if mode.startswith("I") or mode in ("1", "P"):
        image = image.convert("I").convert(mode) if ";" in mode else image.convert(mode)
        if mode == "P" and rng.random() < 0.5:
            image.putpalette(rng.randbytes(3 * rng.randint(1, 256)))
        return image
    bands = Image.getmodebands(mode)
    return Image.merge(mode, [image] * bands) if bands > 1 else image


def labeled(rng: random.Random, image: Image.Image) -> Image.Image:
    """The same image with data of its own beside the pixels, mostly odd."""
    image.info["transparency"] = rng.choice((0, 300, -1, b"\0\1", (1, 2, 3), "x", None, 1.5))
    if rng.random() < 0.5:
        image.info["exif"] = exif(rng)
    return image


def exif(rng: random.Random) -> bytes:
    """EXIF data with an orientation, right or damaged."""
    found = Image.Exif()
    found[ExifTags.Base.Orientation] = rng.choice((1, 2, 3, 6, 8, 0, 9, 65535))
    found[ExifTags.Base.Artist] = "x" * rng.choice((0, 3, 1000))
    data = found.tobytes()
    return data if rng.random() < 0.5 else damaged(rng, data)


def image_file(rng: random.Random) -> bytes:
    """A good image file of any format, with any options."""
    if rng.random() < 0.002:
        return huge(rng)
    options: dict[str, Any] = {
        "exif": exif(rng),
        "icc_profile": rng.randbytes(rng.choice((1, 200))),
        "transparency": rng.choice((0, 7, b"\0\x80")),
        "compression": rng.choice(("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg")),
        "progressive": True,
        "save_all": True,
        "append_images": [picture(rng, "RGB") for _ in range(2)],
    }
    kind = rng.choice(FORMATS)
    while True:
        chosen = {name: options[name] for name in options if rng.random() < 0.3}
        stream = io.BytesIO()
        try:
            picture(rng).save(stream, kind, **chosen)
            return stream.getvalue()
        except Exception:  # not every format takes every mode and option
            kind = rng.choice(FORMATS)


def huge(rng: random.Random) -> bytes:
    """A small file of as many pixels as are allowed, or a few more."""
    width = rng.choice((9_434, 1_500, 60_000))
    height = PIXELS // width + rng.choice((0, 0, 60))
    stream = io.BytesIO()
    mode = rng.choice(("1", "L", "RGBA", "P", "I;16"))
    kind = "PNG" if rng.random() < 0.7 or mode == "I;16" else "GIF"
    Image.new(mode, (width, height)).save(stream, kind, compress_level=1)
    return stream.getvalue()


ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 7, 10**12, 2**63, 10**400, -(10**400)),
    *(0.0, -0.0, 0.5, -1.5, 1e-300, 1e300, math.nan, math.inf, -math.inf, 1j),
    *("", "content", "noise", "max", "0", "nan", "x" * 5000, "\0", "\ud800"),
    *(b"", b"\0", bytearray(b"x"), Path("nowhere"), Path(), object()),
    *([], [[]], [None], [math.nan], [1, 2, 3], (), (0, 0), (-1, 5), (5,), (7, 9), (1, 2, 3)),
    *({}, {"content": math.nan}, {"content": 0.5, "style": 0.5}, {0: 1.0}, {None: None}),
    *(set(), {1}, frozenset("a"), range(3), Decimal("0.5"), Fraction(1, 3), Ellipsis),
    *(np.float64("nan"), np.float32(0.5), np.int8(-1), np.array(2), np.array([]), np.bool_(1)),
    *(np.array(["a"]), np.array([None]), np.array(3.5), np.ones((2, 2)), np.datetime64(0, "s")),
    *(torch.tensor(math.nan), torch.tensor(3), torch.zeros(0), torch.ones(1, 3, 9, 9)),
    *(torch.tensor(1j), torch.ones(2, device="meta"), torch.eye(2).to_sparse(), torch.float32),
)
"""Values that an argument may not have."""


def odd(rng: random.Random) -> Any:
    """A value that an argument may not have; sometimes several in a list or under a name."""
    value = rng.choice(ODD)
    if rng.random() < 0.15:
        return [value, rng.choice(ODD)]
    if rng.random() < 0.1:
        return {rng.choice(("content", "style", "tv", "0", "x")): value}
    return value
