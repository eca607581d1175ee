"""Fixtures of the training tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.run import small_runs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working directory with a small solver, its net and its LMDBs."""
    small_runs.write_files(tmp_path)
    return tmp_path


@pytest.fixture(params=["caffe", "torch"])
def engine(request: pytest.FixtureRequest) -> str:
    """Each available engine in turn; the test is skipped for the others."""
    return _require(request, request.param)


def _require(request: pytest.FixtureRequest, engine: str) -> str:
    if engine == "caffe":
        request.getfixturevalue("caffe_python")
    else:
        pytest.importorskip("torch")
    return engine


@pytest.fixture(scope="session")
def trained(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> small_runs.Trained:
    """``trained(engine, folder)``: ``folder`` with a finished run of 24 iterations in it.

    Trained once per engine and copied: a worker's start is most of a small run's time.
    """
    originals: dict[str, Path] = {}

    def copy(engine: str, folder: Path) -> Path:
        if engine not in originals:
            _require(request, engine)
            originals[engine] = tmp_path_factory.mktemp(engine)
            small_runs.write_files(originals[engine])
            child = small_runs.train(originals[engine], "--engine", engine, "--json")
            assert child.returncode == 0, child.stderr
            (originals[engine] / "summary.json").write_text(child.stdout)
        shutil.copytree(originals[engine], folder, dirs_exist_ok=True)
        return folder

    return copy
