from __future__ import annotations

from pathlib import Path

import pytest

from tests.run import small_runs


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A path for a new list, relative to the working directory of its commands."""
    monkeypatch.chdir(tmp_path)
    return Path("lists/first")


@pytest.fixture
def small(folder: Path) -> Path:
    """The same, with a small solver, its net and its data in the working directory."""
    small_runs.write_files(Path())
    return folder
