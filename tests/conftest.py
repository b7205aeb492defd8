"""Fixtures that several test files share."""

import signal
import socket
import urllib.error
import urllib.request

import pytest
from PIL import Image
from torch import nn

import stylelib
from stylelib.precision import WORTHWHILE, bfloat16_speedup


@pytest.fixture(scope="session", autouse=True)
def _no_network():
    def refuse(*args, **kwargs):
        raise OSError("tests make no network connections")

    def within_this_machine(connect):
        # Python's event loop talks to itself on Windows
        def guarded(self, address):
            here = isinstance(address, tuple) and address[0] in ("127.0.0.1", "::1")
            return connect(self, address) if here else refuse()

        return guarded

    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex"):
            original = getattr(socket.socket, name)
            patch.setattr(socket.socket, name, within_this_machine(original))
        for name in ("create_connection", "getaddrinfo"):
            patch.setattr(socket, name, refuse)
        yield


@pytest.fixture
def interrupts():
    """SIGINT and SIGTERM as a program has them that was started in a terminal."""
    before = {
        signal.SIGINT: signal.signal(signal.SIGINT, signal.default_int_handler),
        signal.SIGTERM: signal.signal(signal.SIGTERM, signal.SIG_DFL),
    }
    yield
    now = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    for number, handler in before.items():
        signal.signal(number, handler)
    assert now == (signal.default_int_handler, signal.SIG_DFL)  # given back by each run


@pytest.fixture(scope="session")
def net() -> nn.Sequential:
    return stylelib.vgg19()


@pytest.fixture(scope="session")
def deep_net() -> nn.Sequential:
    return stylelib.vgg19(layers=["relu5_1"])


@pytest.fixture(scope="session")
def whole_net() -> nn.Sequential:
    return stylelib.vgg19("random", layers=["pool5"])


@pytest.fixture(scope="session")
def model() -> nn.Module:
    return stylelib.classifier()


@pytest.fixture
def photo() -> Image.Image:
    return stylelib.samples.load("chelsea")


@pytest.fixture
def checkpoints(monkeypatch, tmp_path):
    """The folder, not there yet, where torch keeps what it has downloaded."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "torch" / "hub" / "checkpoints"


@pytest.fixture
def unreachable(monkeypatch):
    """No way to any server."""

    def urlopen(*args, **kwargs):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)


@pytest.fixture
def needs_bfloat16():
    """Skips a test where bfloat16 is emulated: it would take minutes."""
    if bfloat16_speedup() < WORTHWHILE:
        pytest.skip(f"bfloat16 is emulated here: {bfloat16_speedup():.2f} x float32's speed")
