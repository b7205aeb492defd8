"""What a recipe gives back: the picture, how it came about, what is needed to make it again."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Number
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from stylelib._version import __version__
from stylelib.errors import FileError
from stylelib.files import ImageSource, write_image, write_whole
from stylelib.records import Record

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

__all__ = ["Finished", "ReconstructionResult", "Result", "TransferResult"]


@dataclass(frozen=True)
class Finished:
    """A finished picture and how it came about.

    Attributes:
        image: the picture, RGB.
        history: a record of each step.
        settings: what is needed to make it again, the pictures apart, in types that JSON knows.
        interrupted: whether Ctrl-C ended it before all its steps were made.
    """

    image: Image.Image
    history: list[Record] = field(repr=False)
    settings: dict[str, Any] = field(repr=False)
    interrupted: bool = field(default=False, kw_only=True)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the picture, and its settings beside it: starry.png, starry.png.json.

        Returns:
            The picture's path.

        Raises:
            InputError: the name's ending is no format of pictures.
            FileError: the folder is missing or cannot be written to.
        """
        last = self.history[-1] if self.history else None
        record = self.settings | {
            "steps_made": len(self.history),
            "interrupted": self.interrupted,
            "seconds": round(last.seconds, 3) if last else 0.0,
            "losses_of_last_step": last.losses if last else {},
            **self._measured(),
        }
        text = json.dumps(record, indent=2, default=lambda number: number.item()) + "\n"
        check_settings_output(path)
        written = write_image(self.image, path)
        write_whole(Path(f"{written}.json"), text.encode())
        return written

    def _measured(self) -> dict[str, Any]:
        """What else is known of the finished picture, for the file of settings."""
        return {}


@dataclass(frozen=True)
class Result(Finished):
    """A finished picture that PyTorch has made.

    Attributes:
        picture: the picture before it was made visible: (1, 3, H, W), normalized, on the CPU.
    """

    picture: Tensor = field(repr=False)


@dataclass(frozen=True)
class TransferResult(Result):
    """A finished style transfer.

    Attributes:
        gradient_shares: each loss's share of the gradient at the finished picture; empty if
            Ctrl-C came before they were known.
        gradient_residual: how much is left of the gradients when they are added up, 0 to 1
            (`stylelib.gradient_residual`). None if Ctrl-C came before it was known.
    """

    gradient_shares: dict[str, float]
    gradient_residual: float | None

    def _measured(self) -> dict[str, Any]:
        return {
            "gradient_shares": self.gradient_shares,
            "gradient_residual": self.gradient_residual,
        }


@dataclass(frozen=True)
class ReconstructionResult(Result):
    """A picture made from features, or from their Gram matrices, alone.

    Attributes:
        errors: for each layer, how far the *visible* picture, `image`, is from what was asked:
            the sum of squared differences over the sum of squares. 0 is perfect.
    """

    errors: dict[str, float]

    def _measured(self) -> dict[str, Any]:
        return {"errors": self.errors}


def check_settings_output(path: str | os.PathLike[str]) -> None:
    """Refuse a picture's name beside which its settings cannot be written."""
    settings = Path(f"{os.fspath(path)}.json")
    if settings.is_dir():
        raise FileError(f"'{settings}', where the settings are to be written, is a directory")


def settings_of(
    net: nn.Module, device: torch.device | None = None, **said: Any
) -> dict[str, Any]:
    """The settings of a result that PyTorch has made.

    Args:
        net: what it was made with.
        device: where.
        said: what the function was asked, by the names of its parameters.
    """
    import torch  # not for what NumPy makes

    from stylelib.weights import network_digest

    return recorded(
        **said,
        network=network_digest(net),
        device=next((p.device for p in net.parameters()), "cpu") if device is None else device,
        torch=str(torch.__version__),
        threads=torch.get_num_threads(),
    )


def recorded(**said: Any) -> dict[str, Any]:
    """Settings in types that JSON knows, with the version and the machine."""
    known = {"stylelib": __version__, "machine": platform.machine()}
    return known | {name: _plain(value) for name, value in said.items()}


def _plain(value: Any) -> Any:
    """A value in types that JSON knows: words for what is no number, text or collection."""
    if hasattr(value, "_asdict"):  # a NamedTuple
        value = value._asdict()
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_plain(each) for each in value)
    if isinstance(value, Number) or hasattr(value, "item"):  # NumPy's, too
        return value.item() if hasattr(value, "item") else value
    return value if value is None or isinstance(value, str) else str(value)


def describe(source: ImageSource) -> str:
    """What to call a picture in the settings: its path, or its kind."""
    return (
        os.fspath(source)
        if isinstance(source, str | os.PathLike)
        else f"<{type(source).__name__}>"
    )
