"""Images that come with the library: four photographs and four style images, free to use
(chapter 1).

Example:
    >>> from stylelib import samples
    >>> samples.names()[:4]
    ['astronaut', 'brushstrokes', 'chelsea', 'coffee']
    >>> samples.load("mosaic").size
    (600, 400)
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from PIL import Image

from stylelib.arguments import check_path
from stylelib.errors import FileError, InputError, did_you_mean
from stylelib.files import load_image, make_folder, write_whole

__all__ = ["SAMPLES", "Sample", "load", "names", "path", "write"]


@dataclass(frozen=True)
class Sample:
    """A sample image and its source."""

    name: str
    title: str
    author: str
    license: str
    source: str

    @property
    def filename(self) -> str:
        """The name of the file in the package, for example chelsea.jpg."""
        return f"{self.name}.jpg"


_DRAWN = ("the Painting with Gradients authors", "CC0 1.0", "drawn by tools/draw_samples.py")
_SKIMAGE = "scikit-image sample data"

SAMPLES: dict[str, Sample] = {
    sample.name: sample
    for sample in (
        Sample(
            "astronaut", "Eileen Collins, official portrait", "NASA", "public domain", _SKIMAGE
        ),
        Sample("brushstrokes", "Strokes along a field of whirls", *_DRAWN),
        Sample("chelsea", "Chelsea the cat", "Stéfan van der Walt", "CC0 1.0", _SKIMAGE),
        Sample("coffee", "A cup of espresso", "Rachel Michetti", "CC0 1.0", _SKIMAGE),
        Sample("hatching", "Layers of ink lines on cream paper", *_DRAWN),
        Sample("mosaic", "Tiles with dark joints", *_DRAWN),
        Sample(
            "rocket", "Falcon 9 with the satellite DSCOVR", "SpaceX", "public domain", _SKIMAGE
        ),
        Sample("roundels", "Rings of flat color cut by lines", *_DRAWN),
    )
}
"""The samples by name, with their authors and licenses."""


def names() -> list[str]:
    """The names of the sample images, in alphabetical order."""
    return sorted(SAMPLES)


def path(name: str) -> Path:
    """The path of a sample image.

    Raises:
        InputError: there is no sample with this name.
    """
    if not isinstance(name, str) or name not in SAMPLES:
        hint = did_you_mean(str(name), SAMPLES, f"the samples are {', '.join(names())}")
        raise InputError(f"there is no sample '{name}'; {hint}")
    return Path(str(resources.files(__name__).joinpath(SAMPLES[name].filename)))


def load(name: str) -> Image.Image:
    """A sample as an RGB image."""
    return load_image(path(name))


def write(folder: str | os.PathLike[str]) -> list[Path]:
    """Write all sample images and CREDITS.txt into a folder, which is made if it is missing.

    A file of one of these names may exist if it has the same content.

    Returns:
        The paths of the files, images first.

    Raises:
        FileError: the folder cannot be written to, or holds another file of one of these names.
    """
    target = check_path("folder", folder)
    make_folder(target)
    credits_text = "".join(
        f"{s.filename}: {s.title}. {s.author}; {s.license}; {s.source}.\n"
        for s in map(SAMPLES.__getitem__, names())
    )
    contents = {SAMPLES[name].filename: path(name).read_bytes() for name in names()}
    contents["CREDITS.txt"] = credits_text.encode()
    for filename, data in contents.items():
        file = target / filename
        if file.exists() and not (file.is_file() and file.read_bytes() == data):
            raise FileError(f"'{file}' exists with other content; nothing was written")
    return [write_whole(target / filename, data) for filename, data in contents.items()]
