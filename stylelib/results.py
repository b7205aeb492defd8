"""The results of recipes: the image, its history, and the settings to make it again."""

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
from stylelib.files import ImageSource, check_output, write_image, write_whole
from stylelib.records import Record

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

__all__ = ["Finished", "ReconstructionResult", "Result", "TransferResult", "json_of"]


@dataclass(frozen=True)
class Finished:
    """A finished image with its history and settings.

    Attributes:
        image: the image, RGB; RGBA if the photograph has an alpha channel.
        history: a record of each step.
        settings: all that is needed to make the image again except the input images, in types
            that JSON supports.
        interrupted: whether Ctrl-C ended the run before its last step.
    """

    image: Image.Image
    history: list[Record] = field(repr=False)
    settings: dict[str, Any] = field(repr=False)
    interrupted: bool = field(default=False, kw_only=True)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the image, and its settings beside it: starry.png and starry.png.json.

        Returns:
            The path of the image.

        Raises:
            InputError: the name does not end like an image file.
            FileError: the folder is missing or cannot be written to.
        """
        record = json_of(self.record())
        check_output(path)
        check_settings_output(path)
        written = write_image(self.image, path)
        write_whole(Path(f"{written}.json"), record)
        return written

    def record(self) -> dict[str, Any]:
        """What `save` writes beside the image: its settings, and what was measured."""
        last = self.history[-1] if self.history else None
        return self.settings | {
            "steps_made": len(self.history),
            "interrupted": self.interrupted,
            "seconds": round(last.seconds, 3) if last else 0.0,
            "losses_of_last_step": last.losses if last else {},
            **self._measured(),
        }

    def _measured(self) -> dict[str, Any]:
        """Measurements of the finished image for the file of settings."""
        return {}


@dataclass(frozen=True)
class Result(Finished):
    """A finished image that was made with PyTorch.

    Attributes:
        picture: the normalized image before clamping and rounding, (1, 3, H, W), on the CPU.
    """

    picture: Tensor = field(repr=False)


@dataclass(frozen=True)
class TransferResult(Result):
    """A finished style transfer.

    Attributes:
        gradient_shares: the gradient share of each loss for the finished image
            (`stylelib.gradient_shares`); empty if Ctrl-C came before they were computed.
        gradient_residual: the fraction of the gradients that is left when they are added up
            (`stylelib.gradient_residual`); None if Ctrl-C came before it was computed.
        weight_factors: if gradient shares were asked for, what each loss was multiplied by in
            the end, besides its weight.
    """

    gradient_shares: dict[str, float]
    gradient_residual: float | None
    weight_factors: dict[str, float] = field(default_factory=dict)

    def _measured(self) -> dict[str, Any]:
        return {
            "gradient_shares": self.gradient_shares,
            "gradient_residual": self.gradient_residual,
            "weight_factors": self.weight_factors,
        }


@dataclass(frozen=True)
class ReconstructionResult(Result):
    """An image made only from features or from their Gram matrices.

    Attributes:
        errors: for each layer, the distance of the *visible* image, `image`, from the target:
            the sum of squared differences divided by the sum of squares. 0 is perfect.
    """

    errors: dict[str, float]

    def _measured(self) -> dict[str, Any]:
        return {"errors": self.errors}


def json_of(record: Mapping[str, Any]) -> bytes:
    """A record as the content of a JSON file."""
    return (json.dumps(record, indent=2, default=_number) + "\n").encode()


def _number(value: Any) -> Any:
    """A number of NumPy's, PyTorch's or Python's own, such as a fraction, for JSON."""
    return value.item() if hasattr(value, "item") else float(value)


def check_settings_output(path: str | os.PathLike[str]) -> None:
    """Check that an image's settings can be written beside it."""
    settings = Path(f"{os.fspath(path)}.json")
    try:
        folder = settings.is_dir()
    except OSError as error:  # the name is too long with its ending
        raise FileError(f"the settings cannot be written: {error}") from error
    if folder:
        raise FileError(f"the settings cannot be written: '{settings}' is a directory")


def settings_of(
    net: nn.Module, device: torch.device | None = None, **said: Any
) -> dict[str, Any]:
    """The settings of a result that was made with PyTorch.

    Args:
        net: the network that was used.
        device: the device that was used; None means the network's.
        said: the function's arguments by name.
    """
    import torch  # results of NumPy do not need it

    from stylelib.weights import network_digest

    return recorded(
        **said,
        network=network_digest(net),
        device=next((p.device for p in net.parameters()), "cpu") if device is None else device,
        torch=str(torch.__version__),
        threads=torch.get_num_threads(),
    )


def recorded(**said: Any) -> dict[str, Any]:
    """Settings in types that JSON supports, with the version and the machine."""
    known = {"stylelib": __version__, "machine": platform.machine()}
    return known | {name: _plain(value) for name, value in said.items()}


def _plain(value: Any) -> Any:
    """A value in types that JSON supports; what has no such type becomes a text."""
    if hasattr(value, "_asdict"):  # a NamedTuple
        value = value._asdict()
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_plain(each) for each in value)
    if isinstance(value, Number) or hasattr(value, "item"):  # or NumPy's numbers
        return value.item() if hasattr(value, "item") else value
    return value if value is None or isinstance(value, str) else str(value)


def describe(source: ImageSource) -> str:
    """The name of an image in the settings: its path or its type."""
    return (
        os.fspath(source)
        if isinstance(source, str | os.PathLike)
        else f"<{type(source).__name__}>"
    )
