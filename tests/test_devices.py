import pytest
import torch

from stylelib import InputError
from stylelib.devices import find_device


@pytest.fixture(autouse=True)
def _nothing_in_the_environment(monkeypatch):
    monkeypatch.delenv("STYLELIB_DEVICE", raising=False)


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"),
    [
        (True, True, "cuda"),
        (True, False, "cuda"),
        (False, True, "mps"),
        (False, False, "cpu"),
    ],
)
def test_none_is_the_first_that_there_is(monkeypatch, cuda, mps, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert find_device(None) == torch.device(expected)


def test_the_environment_says_what_none_is_and_nothing_else(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("STYLELIB_DEVICE", "cpu")
    assert find_device(None) == torch.device("cpu")
    monkeypatch.setenv("STYLELIB_DEVICE", "nonsense")
    assert find_device("cpu") == torch.device("cpu")
    with pytest.raises(InputError, match="device 'nonsense' cannot be used here"):
        find_device(None)


def test_a_device_passes_as_a_word_or_itself():
    for device in ("cpu", torch.device("cpu")):
        assert find_device(device) == torch.device("cpu")
