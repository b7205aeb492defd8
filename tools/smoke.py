"""Build the package, and try it where nothing else is installed.

    python tools/smoke.py                  # the oldest and the newest Python that are here
    python tools/smoke.py --python 3.12    # others, by version or path

For each Python: the wheel alone is imported in less than a second, paints an image, and names
the extra that something else needs. With the extra `notebooks` a chapter's notebook runs in an
empty folder. Packages come from uv's cache, where it has them.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST, NEWEST = 11, 20  # of Python 3
CHAPTER = "11-texture"
NOTEBOOKS = ROOT / "book" / "_ext" / "notebooks.py"
UV = Path(sys.executable).with_name("uv")

ALONE = """
import time
begin = time.perf_counter()
import stylelib
seconds = time.perf_counter() - begin
assert seconds < 1, f"import stylelib took {seconds:.2f} s"

from stylelib import MissingExtraError, classifier, samples, transfer
from stylelib.from_scratch import VGG19
from stylelib.models import layer_names
from torch import nn

photo, style = samples.load("chelsea"), samples.load("mosaic")
result = transfer(photo, style, image_shape=64, steps=3)
assert result.image.size == (96, 64), result.image.size
result.save("painted.png")


def figures():
    import stylelib.figures


class Other(nn.Module):
    pass


def many():
    stylelib.batch(["painted.png"], "out", styles="painted.png", engine="ray")


open("empty.mat", "w").close()
for extra, ask in {
    "figures": figures,
    "many": many,
    "matconvnet": lambda: VGG19("empty.mat"),
    "models": lambda: layer_names(Other()),
    "sees": classifier,
}.items():
    try:
        ask()
    except MissingExtraError as error:
        assert f'pip install "stylelib[{extra}]"' in str(error), error
    else:
        raise AssertionError(f"the extra {extra} was not missed")
print(f"imported in {seconds:.2f} s")
"""


def pythons() -> Iterator[str]:
    """The interpreters that are here, from the oldest version to the newest."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for minor in range(OLDEST, NEWEST):
        name = f"python3.{minor}"
        found = [shutil.which(name), *map(str, versions.glob(f"3.{minor}.*/bin/{name}"))]
        if sys.version_info[1] == minor:
            found.insert(0, sys.executable)
        for each in filter(None, found):
            # a shim may name a version that is not installed
            asked = [each, "-c", "import venv"]
            if subprocess.run(asked, capture_output=True, check=False).returncode == 0:
                yield each
                break


def run(*command: str | Path, folder: Path, **environment: str) -> str:
    """What a command prints. It sees nothing of this project but what it is given."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(
        [str(each) for each in command],
        cwd=folder,
        env=kept | environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{done.stdout}\nfailed: {' '.join(map(str, command))}")
    return done.stdout


def build(folder: Path) -> Path:
    """Build sdist and wheel, the second from the first, and look into both."""
    run(UV, "build", "--quiet", "--out-dir", folder, folder=ROOT)
    (wheel,), (source,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    within = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "stylelib").rglob("*.*")
        if path.suffix in (".py", ".pyi", ".json", ".jpg") and "__pycache__" not in path.parts
    } | {"stylelib/py.typed"}
    others = {name for name in within if not name.startswith("stylelib")}
    if wanted - within or others:
        sys.exit(f"the wheel lacks {sorted(wanted - within)} and should not have {others}")
    with tarfile.open(source) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    if not {"LICENSE", "README.md", "pyproject.toml"} | wanted <= names:
        sys.exit(f"the source distribution lacks {sorted(wanted - names)}")
    return wheel


def install(python: Path, what: str, options: Sequence[str], folder: Path) -> None:
    """Install the wheel, in the versions that everything is tested with."""
    pinned = ["--constraint", str(ROOT / "requirements.txt"), "--python", str(python)]
    run(UV, "pip", "install", "--quiet", *pinned, *options, what, folder=folder)


def try_on(interpreter: str, wheel: Path, options: Sequence[str], folder: Path) -> str:
    """Try the wheel on one Python, in an environment of its own. Returns what to say of it."""
    begin = time.monotonic()
    environment, empty = folder / "environment", folder / "empty"
    empty.mkdir(parents=True)
    run(UV, "venv", "--quiet", "--python", interpreter, environment, folder=folder)
    python = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    install(python, str(wheel), options, folder)
    told = run(python, "-c", ALONE, folder=empty).strip().splitlines()[-1]
    run(python, "-m", "stylelib", "samples", "pictures", folder=empty)
    if not (empty / "painted.png").exists() or not (empty / "pictures/mosaic.jpg").exists():
        sys.exit("it left no images")

    install(python, f"{wheel}[notebooks]", options, folder)
    notebook = empty / f"{CHAPTER}.ipynb"
    subprocess.run([sys.executable, NOTEBOOKS, empty, CHAPTER], check=True)
    before = time.monotonic()
    execute = (python, "-m", "jupyter", "execute", "--inplace", notebook)
    run(*execute, folder=empty, STYLELIB_PROFILE="tiny", PYDEVD_DISABLE_FILE_VALIDATION="1")
    ran = time.monotonic() - before
    version = run(python, "--version", folder=folder).strip()
    return (
        f"{version}: {told}; the notebook of {CHAPTER} ran in {ran:.0f} s; "
        f"{time.monotonic() - begin:.0f} s in all"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--python", action="append", help="instead of the oldest and the newest"
    )
    parser.add_argument("--torch-backend", help="as for uv: cpu")
    arguments = parser.parse_args()
    found = list(pythons())
    chosen = arguments.python or list(dict.fromkeys([found[0], found[-1]]))
    backend = arguments.torch_backend
    options = [f"--torch-backend={backend}"] if backend else []
    with tempfile.TemporaryDirectory(prefix="smoke-") as name:
        folder = Path(name)
        begin = time.monotonic()
        wheel = build(folder / "dist")
        size = wheel.stat().st_size / 1e6
        print(
            f"{wheel.name}: {size:.1f} MB, built in {time.monotonic() - begin:.0f} s",
            flush=True,
        )
        for number, interpreter in enumerate(chosen):
            print(try_on(interpreter, wheel, options, folder / str(number)), flush=True)
            shutil.rmtree(folder / str(number))


if __name__ == "__main__":
    main()
