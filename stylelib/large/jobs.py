"""The jobs of a batch: which image shall be painted in which style, and how (chapter 31).

A job is the same job again if the contents of its files and its settings are the same.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from stylelib.arguments import several
from stylelib.control.styles import Style
from stylelib.errors import FileError, InputError, did_you_mean
from stylelib.files import FORMATS, MAX_BYTES
from stylelib.large.tables import read_table
from stylelib.style_transfer import transfer
from stylelib.synthesis import INITS

__all__ = [
    "NOT_SETTINGS",
    "Files",
    "Job",
    "JobStyle",
    "Jobs",
    "check_settings",
    "identity",
    "jobs_of",
    "photographs_in",
]

JobStyle = str | os.PathLike[str] | Style | Sequence[str | os.PathLike[str] | Style]
"""The style of a job: the path of an image, a `Style` of one, or a list of several to mix."""

NOT_SETTINGS = ("content", "style", "net", "callback", "state", "checkpoint")
"""Arguments of `transfer` that are no settings of a job."""
NOT_IDENTITY = ("device", "memory")
"""Settings that say how a job is done, not what it is."""
IMAGES_OF_STYLE = {"image": "style", "here": "mask", "there": "mask"}
"""The fields of a `Style` that are images, and what they are called."""
NAMES = {"size": "image_shape", "style_size": "style_shape"}
"""What two settings are called on the command line."""

DEFAULTS: dict[str, Any] = {
    name: parameter.default
    for name, parameter in inspect.signature(transfer).parameters.items()
    if name not in NOT_SETTINGS
}
"""The settings of a job, by name."""


@dataclass(frozen=True)
class Files:
    """The files of a job, read.

    Attributes:
        content: of the photograph's file.
        styles: each with the contents of files instead of their paths.
        init: what to start from: a word, or the content of a file.
    """

    content: bytes = field(repr=False)
    styles: list[Style] = field(repr=False)
    init: str | bytes | None = field(default=None, repr=False)

    @cached_property
    def digests(self) -> dict[str, Any]:
        """The SHA-256 of each file, in types that JSON supports."""
        return {
            "content": _digest(self.content),
            "styles": [
                {
                    each.name: _digest(getattr(style, each.name))
                    for each in fields(style)
                    if each.name in IMAGES_OF_STYLE or _unusual(style, each.name)
                }
                for style in self.styles
            ],
            "init": _digest(self.init),
        }


@dataclass(frozen=True)
class Job:
    """One image to paint.

    Attributes:
        content: the path of the photograph.
        style: the path of the style image, a `Style` whose images are paths, or a list of
            several, which are mixed.
        settings: arguments of `stylelib.transfer` by name, for this job alone.
    """

    content: str | os.PathLike[str]
    style: JobStyle
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def styles(self) -> list[Style]:
        """The styles."""
        listed: list[Any] = [self.style]
        if not isinstance(self.style, str | os.PathLike | Style):
            listed = several("style", self.style)
        return [each if isinstance(each, Style) else Style(each) for each in listed]

    @property
    def style_names(self) -> list[str]:
        """The paths of the style images."""
        listed = self.style if isinstance(self.style, list | tuple) else [self.style]
        return [str(each.image if isinstance(each, Style) else each) for each in listed]

    @property
    def style_name(self) -> str:
        """What to call the styles together."""
        return " + ".join(self.style_names)

    def read(self, common: Mapping[str, Any]) -> tuple[Files, dict[str, Any]]:
        """Its files, and its settings with the default of each that is not set.

        Raises:
            FileError: a file cannot be read.
            InputError: there is no such setting.
        """
        check_settings(self.settings)
        settings = DEFAULTS | dict(common) | dict(self.settings)
        init = settings["init"]
        if init is not None and init not in INITS:
            init = _content(init, "init")
        content, styles = _content(self.content, "content"), map(_read_style, self.styles)
        return Files(content, list(styles), init), settings


Jobs = str | os.PathLike[str] | Sequence[str | os.PathLike[str] | Job | Mapping[str, Any]]
"""What `batch` accepts: a folder, a table, or a list of paths, jobs or rows."""


def jobs_of(jobs: Jobs, styles: JobStyle | None = None) -> list[Job]:
    """The jobs that an argument of `batch` means.

    Args:
        jobs: a folder of photographs, a table (.csv), or a list of paths, of `Job` objects, or
            of mappings with the keys of a table.
        styles: the path of a style, or a list; each photograph is painted in each. A table
            needs none where it names them.

    Raises:
        FileError: the folder or the table cannot be read.
        InputError: there are no jobs, or no styles for them.
    """
    if isinstance(jobs, str | os.PathLike):
        rows = _rows_in(Path(jobs))
    else:
        rows = several("jobs", jobs, least=0)
    if not rows:
        raise InputError(f"there is no image to paint in {jobs!r}")
    given: list[Any] = []
    if styles is not None:
        alone = isinstance(styles, str | os.PathLike | Style)
        given = [styles] if alone else several("styles", styles)
    if not given and not any(_names_style(row) for row in rows):
        raise InputError("the batch has no style: give styles")
    return [job for row in rows for job in _jobs_of_row(row, given)]


def _rows_in(path: Path) -> Sequence[Any]:
    if path.is_dir():
        return photographs_in(path)
    if path.suffix.lower() == ".csv":
        return read_table(path)
    if path.exists():
        raise InputError(f"jobs is a folder of images, a table (.csv) or a list, not '{path}'")
    raise FileError(f"there is no folder or table '{path}'")


def photographs_in(folder: Path) -> list[Path]:
    """The image files of a folder by their endings, in the order of their names."""
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise FileError(f"cannot read the folder '{folder}': {error.strerror}") from error
    return [
        path
        for path in entries
        if path.suffix.lower() in FORMATS and not path.name.startswith(".") and path.is_file()
    ]


def check_settings(settings: Mapping[str, Any]) -> None:
    """Check that all settings are settings of a job.

    Raises:
        InputError: one is not, or the recipe is not given by its name.
    """
    for name in settings:
        if name not in DEFAULTS:
            hint = did_you_mean(str(name), DEFAULTS, f"there are {', '.join(DEFAULTS)}")
            raise InputError(f"there is no setting '{name}' of a job; {hint}")
    recipe = settings.get("recipe", "")
    if not isinstance(recipe, str):
        raise InputError(f"the recipe of a batch is given by its name, not {recipe!r}")


def identity(files: Files, settings: Mapping[str, Any]) -> str:
    """A hash of all that decides how the image of a job looks."""
    asked = {name: value for name, value in settings.items() if name not in NOT_IDENTITY}
    said = json.dumps({**_plain(asked), **files.digests}, sort_keys=True, default=str)
    return hashlib.sha256(said.encode()).hexdigest()[:32]


def _jobs_of_row(row: Any, styles: Sequence[Any]) -> Iterator[Job]:
    if isinstance(row, Job):
        yield row
        return
    if isinstance(row, str | os.PathLike):
        row = {"content": row}
    if not isinstance(row, Mapping):
        raise InputError(f"a job is a path, a Job or a mapping, not {row!r}")
    named: dict[Any, Any] = {NAMES.get(name, name): value for name, value in row.items()}
    content, own = named.pop("content", ""), named.pop("style", None)
    for style in (styles or [""]) if own is None else [own]:
        yield Job(content, style, named)


def _names_style(row: Any) -> bool:
    return isinstance(row, Job) or (isinstance(row, Mapping) and "style" in row)


def _content(path: Any, what: str) -> bytes:
    """The content of a regular file; a device or a pipe might never end."""
    if not isinstance(path, str | os.PathLike):
        kind = type(path).__name__
        raise InputError(f"the {what} of a job is given by its path, not as {kind}")
    if not os.fspath(path):
        raise InputError(f"the job names no {what}")
    try:
        if Path(path).is_dir():
            raise FileError(f"'{path}' is a directory, not an image")
        if Path(path).exists() and not Path(path).is_file():
            raise FileError(f"'{path}' is no ordinary file")
        if Path(path).stat().st_size > MAX_BYTES:
            raise FileError(
                f"'{path}' has more than {MAX_BYTES:,} bytes; make it smaller first"
            )
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise FileError(f"there is no file '{path}'") from None
    except FileError:
        raise
    except (OSError, ValueError) as error:
        raise FileError(f"cannot read {str(path)!r}: {error}") from error


def _read_style(style: Style) -> Style:
    """A style with the contents of files instead of their paths."""
    read: dict[str, Any] = {
        name: _content(getattr(style, name), what)
        for name, what in IMAGES_OF_STYLE.items()
        if getattr(style, name) is not None
    }
    return replace(style, **read)


def _unusual(style: Style, name: str) -> bool:
    return bool(getattr(style, name) != getattr(Style(""), name))


def _digest(value: Any) -> Any:
    return hashlib.sha256(value).hexdigest() if isinstance(value, bytes) else _plain(value)


def _plain(value: Any) -> Any:
    """A setting in types that JSON supports; 1 and 1.0 are the same."""
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if abs(value) < 1e300 else repr(value)
    return value
