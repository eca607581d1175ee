"""Imports point one way (the design's layout): who may import what, read from the sources."""

from __future__ import annotations

import ast
import functools
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "tinynet"
# what a real Caffe's interpreter always has besides its standard library
WORKER_MAY_IMPORT = {"numpy", "tinynet"}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@functools.cache  # the tests of this file read every source many times
def imports(path: Path) -> tuple[str, ...]:
    """Full names of the modules (and of what is taken from them) that a file imports."""
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names += (str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names))
    return tuple(names)


def files(*parts: str) -> list[Path]:
    """Python files of the package at or below the given places."""
    found: list[Path] = []
    for part in parts:
        path = PACKAGE / part
        found += sorted(path.rglob("*.py")) if path.is_dir() else [path]
    return found


EVERYTHING = files(".")


def is_within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


@pytest.mark.parametrize(
    ("library", "place"),
    [
        # bench/plain_torch.py is the script that a user would write instead, run in a child and
        # never imported; it measures host time by the engine's own means (no_kernels.py)
        ("torch", ("torchcaffe", "bench/plain_torch.py")),
        ("lmdb", "caffeformat/lmdb.py"),
        ("matplotlib", "report"),
        ("tinynet.torchcaffe", ("torchcaffe", "bench/plain_torch.py")),
        ("caffe", "nowhere"),
    ],
)
def test_each_library_is_imported_in_one_place_only(
    library: str, place: str | tuple[str, ...]
) -> None:
    users = {p for p in EVERYTHING if any(is_within(name, library) for name in imports(p))}
    places = (place,) if isinstance(place, str) else place
    allowed = set(files(*places)) if place != "nowhere" else set()
    assert users <= allowed, f"{library} is imported outside {place}"
    assert bool(users) == bool(allowed), f"nobody imports {library}: is this test reading anything?"


# From the lowest layer up; packages on one line do not import each other.
FLOORS = (
    ("errors", "control_groups"),
    ("files", "launcher", "manual", "processor"),
    ("caffeformat",),
    ("torchcaffe", "dataset"),
    ("experiment",),
    ("engine",),
    ("run",),
    ("predict",),
    ("jobs",),
    ("study", "bench"),
    ("report",),
    ("api", "cli"),
    ("__main__",),
)
FLOOR = {part: number for number, parts in enumerate(FLOORS) for part in parts}
# they are published by themselves, or run in an interpreter where little is installed
MAY_IMPORT = {
    "torchcaffe": {"errors", "files", "launcher", "caffeformat"},
    "engine.worker": {"errors", "caffeformat.glog", "caffeformat.transform"},
}


@pytest.mark.parametrize("path", EVERYTHING, ids=module_name)
def test_imports_point_only_to_lower_layers(path: Path) -> None:
    parts = module_name(path).split(".")[1:]
    if not parts:
        return
    for name in imports(path):
        below = name.split(".")[1:]
        if not is_within(name, "tinynet") or not below or below[0] not in FLOOR:
            continue
        same = below[0] == parts[0]
        assert same or FLOOR[below[0]] < FLOOR[parts[0]], f"{module_name(path)} imports {name}"


def test_every_part_of_the_package_belongs_to_a_layer() -> None:
    found = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in EVERYTHING}
    assert found - {"__init__"} == set(FLOOR)


@pytest.mark.parametrize("part", MAY_IMPORT)
def test_independent_libraries_import_nothing_else_of_the_package(part: str) -> None:
    allowed = [f"tinynet.{one}" for one in (*MAY_IMPORT[part], part)]
    for path in files(part.replace(".", "/")):
        for name in imports(path):
            if not is_within(name, "tinynet") or name in ("tinynet", "tinynet.__version__"):
                continue
            # `from tinynet.caffeformat import glog` yields tinynet.caffeformat too
            above = any(is_within(one, name) for one in allowed)
            assert above or any(is_within(name, one) for one in allowed), f"{path}: {name}"


@pytest.mark.parametrize("part", ["pycaffe", "fast"])
def test_the_torch_engine_does_not_import_its_pycaffe_interface_or_its_acceleration(
    part: str,
) -> None:
    """It asks ``acceleration.py`` for the latter, which loads it by name."""
    around = ("pycaffe", "fast", "__init__.py", "__main__.py")
    engine = set(files("torchcaffe")) - set(files(*(f"torchcaffe/{one}" for one in around)))
    package = f"tinynet.torchcaffe.{part}"
    users = {path for path in engine if any(is_within(name, package) for name in imports(path))}
    assert files(f"torchcaffe/{part}") and engine and not users
    seams = {path for path in engine if package in path.read_text(encoding="utf-8")}
    assert seams <= {PACKAGE / "torchcaffe" / "acceleration.py"}


@pytest.mark.parametrize("by_package", [False, True], ids=["modules", "packages"])
def test_imports_are_acyclic(by_package: bool) -> None:
    def node(name: str) -> str:
        part = name.split(".")[1]
        return part if by_package else name

    # a package's __init__ imports its own modules, which is not a cycle
    modules = {module_name(path): path for path in EVERYTHING if path.name != "__init__.py"}
    graph: dict[str, set[str]] = {}
    for module, path in modules.items():
        known = {node(name) for name in imports(path) if name in modules}
        graph.setdefault(node(module), set()).update(known - {node(module)})
    assert sum(map(len, graph.values())) > len(graph)
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def worker_files() -> list[Path]:
    """Files that a worker imports, followed through the package."""
    by_name = {module_name(path): path for path in EVERYTHING}
    todo, found = files("engine/worker"), set()
    while todo:
        path = todo.pop()
        if path in found:
            continue
        found.add(path)
        for name in imports(path):
            parents = name.split(".")
            todo += [
                by_name[parent]
                for parent in (".".join(parents[:n]) for n in range(1, len(parents) + 1))
                if parent in by_name
            ]
    return sorted(found)


@pytest.mark.parametrize("path", worker_files(), ids=module_name)
def test_worker_files_are_python_3_6_and_need_only_numpy(path: Path) -> None:
    # the parser itself is not strict about everything (postponed annotations are only a name to
    # it); tests/engine/worker runs these files under the oldest interpreter that is found here
    tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 6))
    futures = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
    assert all(n.module != "__future__" for n in futures), "Python 3.6 has no postponed annotations"
    foreign = {
        name.split(".")[0]
        for name in imports(path)
        if name.split(".")[0] not in WORKER_MAY_IMPORT | sys.stdlib_module_names
    } if sys.version_info >= (3, 10) else set()  # fmt: skip
    assert not foreign


@pytest.mark.parametrize(
    "arguments", [["--help"], ["train", "--help"], ["jobs", "local", "--help"]]
)
def test_help_imports_no_heavy_library(arguments: list[str]) -> None:
    code = (
        "import sys\n"
        "from tinynet.cli.main import cli\n"
        "cli.main(sys.argv[1:], prog_name='tinynet', standalone_mode=False)\n"
        "heavy = {'torch', 'numpy', 'matplotlib', 'google.protobuf', 'lmdb', 'PIL', 'scipy'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    child = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True
    )
    assert child.stderr == "[]\n" and child.stdout.startswith("Usage: tinynet")
