from __future__ import annotations

from pathlib import Path

import pytest

from tests.run import small_runs


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a list can be made, seen from the directory that its commands run in."""
    monkeypatch.chdir(tmp_path)
    return Path("lists/first")


@pytest.fixture
def small(folder: Path) -> Path:
    """The same beside a small solver, its net and its data."""
    small_runs.write_files(Path())
    return folder
