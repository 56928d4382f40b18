"""The shape of the package: layers that only point down, nothing private of scikit-learn, files that can be read."""

import ast
import graphlib
import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import skroute

PACKAGE = Path(skroute.__file__).parent
# From the bottom up; what stands in one row does not import its neighbours.
LAYERS = [
    {"_rows", "_signature", "_version"},
    {"_top_blocks", "_estimates"},
    {"exceptions", "_validation", "_tabular", "_warn_caller"},
    {"_frames", "_column_doubt"},
    {"datasets"},
    {"calibration", "reliability", "routing"},
    {"policies", "monitoring", "metrics"},
    {"classifier"},
    {"__init__"},
    {"displays", "report", "cli"},
    {"__main__"},
]
LINES = 400
# File name -> why it is longer.
LONGER_FILES: dict[str, str] = {}

FILES = sorted(PACKAGE.rglob("*.py"))
NAMES = [str(path.relative_to(PACKAGE)) for path in FILES]


def module_of(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(("skroute", *(parts[:-1] if parts[-1] == "__init__" else parts)))


def imports_of(path):
    """Return the modules that a file imports, and the names it takes from each."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found += [(node.module, alias.name) for alias in node.names]
    return found


def own_imports_of(path):
    """Return the modules of ours that a file imports; ``from package import module`` means the module."""
    modules = {module_of(file) for file in FILES}
    for module, name in imports_of(path):
        if module.split(".")[0] == "skroute":
            yield f"{module}.{name}" if f"{module}.{name}" in modules else module


def layer_of(module):
    room = ([*module.split("."), "__init__"])[1]
    (level,) = [level for level, rooms in enumerate(LAYERS) if room in rooms]
    return room, level


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_imports_point_down(path):
    room, level = layer_of(module_of(path))
    for target in own_imports_of(path):
        target_room, target_level = layer_of(target)
        assert target_level < level or target_room == room, f"{module_of(path)} imports {target}"


def test_no_import_circle():
    graph = {module_of(path): set(own_imports_of(path)) - {module_of(path)} for path in FILES}
    assert set(graphlib.TopologicalSorter(graph).static_order()) == set(graph)


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_nothing_private_of_scikit_learn(path):
    for module, name in imports_of(path):
        if module.split(".")[0] == "sklearn":
            assert not any(part.startswith("_") for part in [*module.split("."), name]), f"{module} {name}"


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_files_are_short(path):
    name = str(path.relative_to(PACKAGE))
    assert len(path.read_text().splitlines()) <= LINES or LONGER_FILES.get(name)


@pytest.mark.parametrize("path", [path for path in FILES if path.name == "__init__.py"], ids=module_of)
def test_package_files_hold_only_imports_and_names(path):
    for node in ast.parse(path.read_text()).body:
        assert isinstance(node, (ast.Expr, ast.ImportFrom, ast.Assign)), f"{path}: {ast.unparse(node)[:60]}"


def public_objects():
    for info in pkgutil.walk_packages(skroute.__path__, "skroute."):
        if any(part.startswith("_") for part in info.name.split(".")[1:]) or not info.ispkg:
            continue
        module = importlib.import_module(info.name)
        yield from ((f"{info.name}.{name}", getattr(module, name)) for name in module.__all__)
    yield from ((f"skroute.{name}", getattr(skroute, name)) for name in skroute.__all__)


@pytest.mark.parametrize(("name", "thing"), [pytest.param(*pair, id=pair[0]) for pair in public_objects()])
def test_public_docstrings_have_the_sections_that_their_signature_asks_for(name, thing):
    documented = thing.__doc__ or ""
    assert len(documented.splitlines()[0]) > 10
    for member_name, member in [("", thing), *vars(thing).items()] if isinstance(thing, type) else [("", thing)]:
        if member_name.startswith("_") or not inspect.isfunction(member):
            continue
        text = member.__doc__ or ""
        assert text, f"{name}.{member_name} has no docstring"
        arguments = [argument for argument in inspect.signature(member).parameters if argument not in ("self", "cls")]
        if thing is member or len(arguments) > 1 or "Parameters" in text:
            for argument in arguments:
                assert argument in text, f"{name}.{member_name} does not document {argument}"


def run_fresh(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


OPTIONAL = ("pandas", "polars", "matplotlib", "jinja2", "rich")


def test_import_adds_no_optional_library_to_what_scikit_learn_loads():
    show = f"import sys; print([name for name in {OPTIONAL} if name in sys.modules])"
    base = run_fresh(f"import sklearn.calibration, sklearn.model_selection; {show}")
    assert run_fresh(f"import skroute, skroute.metrics, skroute.datasets; {show}") == base


def test_import_needs_no_optional_library():
    hide = f"import sys; sys.modules.update(dict.fromkeys({OPTIONAL}))"
    assert run_fresh(f"{hide}; import skroute, skroute.metrics, skroute.datasets; print(skroute.__version__)")
