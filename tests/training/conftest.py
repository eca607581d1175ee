"""Fixtures of the training tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training import small_runs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working directory with a small solver, its net and its LMDBs."""
    small_runs.write_files(tmp_path)
    return tmp_path


@pytest.fixture(params=["caffe", "torch"])
def engine(request: pytest.FixtureRequest) -> str:
    """Each engine in turn, as far as it is here."""
    if request.param == "caffe":
        request.getfixturevalue("caffe_python")
    else:
        pytest.importorskip("torch")
    return str(request.param)
