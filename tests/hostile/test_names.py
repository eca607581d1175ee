"""Names from strangers are never shell text; the package never unpickles or starts a shell."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path for part in ("tinynet", "tests", "scripts") for path in (ROOT / part).rglob("*.py")
)


def test_names_of_runs_and_folders_are_never_shell_text(tmp_path: Path) -> None:
    from tests.run import small_runs

    pytest.importorskip("torch")
    name = "a; touch pwned $(touch pwned) '\"`ü"
    folder = tmp_path / name
    folder.mkdir()
    small_runs.write_files(folder)
    child = small_runs.train(folder, f"--name={name}", "--max-iter", "4", "--engine", "torch")
    assert child.returncode == 0, child.stderr
    assert (folder / "runs/small" / name / "run.json").exists()
    assert not list(tmp_path.rglob("pwned"))


RUNS_SCRIPTS = ROOT / "tinynet/torchcaffe/pycaffe/script.py"


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def test_there_is_no_pickle_and_no_shell_anywhere() -> None:
    forbidden = {"pickle", "cPickle", "dill", "shelve", "marshal", "joblib", "cloudpickle"}
    seen = 0
    for path in SOURCES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            assert not {name.split(".")[0] for name in names} & forbidden, path
        for name, call in calls(tree):
            seen += 1
            given = {word.arg: ast.unparse(word.value) for word in call.keywords}
            assert given.get("shell", "False") == "False", f"{path}: {name}"
            assert given.get("allow_pickle", "False") == "False", f"{path}: {name}"
            assert name not in ("os.system", "os.popen"), path
            if name in ("torch.load",):
                assert given.get("weights_only") == "True", path
            # one file runs code: the script that a user names, as python itself does
            if path.is_relative_to(ROOT / "tinynet") and path != RUNS_SCRIPTS:
                assert name not in ("eval", "exec"), path
    assert seen > 1000, "is this test reading anything?"
