"""The shape of the tree: who may import whom, no circles, short folders, no name twice, declared dependencies."""

import ast
import sys
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "genvis"

# Imports point down: a file may import files of its own room and of the rooms below. Rooms of one line do not know each
# other. Below them all lie the files without a room (masks, categories, files, fingerprint, errors, ...).
FLOORS = (
    ("cli",),
    ("app", "integrations"),
    ("training", "scaling"),
    ("evaluation", "benchmarking"),
    ("inference",),
    ("results",),
    ("data", "export"),
    ("checkpoints", "video"),
    ("runtimes",),
    ("model",),
    ("storage",),
)
GROUND = len(FLOORS)
# The package's own two files: they offer names of all floors, and start the command line. What others import from the
# package as a whole is its version.
ENTRANCES = ("genvis", "genvis.__main__")

MOST_FILES = 12

# Values whose methods (`result.save`, ...) are short ways to functions of the values, which are imported when called.
VALUES_WITH_METHODS = {"genvis.results.types"}

# Libraries that the tests do without, by the name that is imported and the one that is installed.
NOT_IN_TESTS = {"rerun": "rerun-sdk"}


@cache
def modules() -> dict[str, Path]:
    """All files of the package by their dotted names."""
    result = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        result[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return result


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imported_names(path: Path) -> Iterator[str]:
    """All that a file imports, be it within functions or for type checkers alone; ``from a import b`` is ``a.b``."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def imports() -> dict[str, set[str]]:
    """For every module, the modules of the package that it imports."""
    known = modules()
    return {
        name: {place for place in map(module_of, imported_names(path)) if place in known and place != name}
        for name, path in known.items()
    }


def module_of(name: str) -> str:
    """The module that holds an imported name: the name itself, or what stands before its last dot."""
    return name if name in modules() else name.rpartition(".")[0]


@cache
def distributions() -> Mapping[str, list[str]]:
    """For every name that can be imported, what installs it."""
    return packages_distributions()


def room(module: str) -> str:
    """The folder of a file; all files without one share the ground."""
    return module.split(".")[1] if (PACKAGE / module.split(".")[1]).is_dir() else "ground"


def floor(module: str) -> int:
    """The number of a room, counted from the top."""
    return next((number for number, rooms in enumerate(FLOORS) if room(module) in rooms), GROUND)


def test_every_room_has_its_floor():
    rooms = {room(module) for module in modules() if module not in ENTRANCES}
    assert rooms <= {"ground", *(name for rooms in FLOORS for name in rooms)}


def test_imports_point_down():
    upward = {
        (module, target)
        for module, targets in imports().items()
        for target in targets
        if module not in ENTRANCES and target != "genvis" and room(module) != room(target)
        if target in ENTRANCES or floor(target) <= floor(module)
    }
    assert sorted(upward) == []


def test_no_file_imports_itself_by_a_detour():
    graph = {module: targets - {"genvis"} for module, targets in imports().items()}
    for module in VALUES_WITH_METHODS:
        graph[module] = {target for target in graph[module] if not target.startswith("genvis.results.")}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' <- '.join(error.args[1])}")


def test_folders_are_short():
    files = Counter(path.parent for path in modules().values() if path.name != "__init__.py")
    long = {str(folder.relative_to(PACKAGE)): count for folder, count in files.items() if count > MOST_FILES}
    assert long == {}


def test_no_two_files_have_one_name():
    places = defaultdict(list)
    for module, path in modules().items():
        if path.stem not in ("__init__", "__main__"):
            places[path.stem].append(module)
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_no_two_public_classes_have_one_name():
    places = defaultdict(list)
    for module, path in modules().items():
        for node in tree(path).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(module)
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_the_tests_mirror_the_tree():
    others = {"documents", "experiments", "golden", "robustness"}
    folders = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and any(path.glob("**/test_*.py"))}
    assert folders - others <= {path.name for path in PACKAGE.iterdir() if path.is_dir()}


@pytest.mark.parametrize("folder", ["src/genvis", "experiments", "benchmarks", "examples", "tests"])
def test_direct_imports_are_declared(folder):
    """Whatever is imported by name is asked for by name: libraries may drop what they bring along today."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    entries = [
        *project["dependencies"],
        *(line for lines in project["optional-dependencies"].values() for line in lines),
    ]
    declared = {normalised(Requirement(entry).name) for entry in entries}
    own = {"genvis", "experiments", "benchmarks", "tests", *(path.stem for path in (ROOT / folder).rglob("*.py"))}
    names = {name.partition(".")[0] for path in (ROOT / folder).rglob("*.py") for name in imported_names(path)}
    undeclared = {
        name
        for name in names - own - set(sys.stdlib_module_names)
        if not {normalised(each) for each in distributions().get(name, [NOT_IN_TESTS.get(name, name)])} & declared
    }
    assert undeclared == set()


def normalised(name: str) -> str:
    return name.lower().replace("_", "-")
