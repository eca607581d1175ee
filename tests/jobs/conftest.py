from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a list can be made, seen from the directory that its commands run in."""
    monkeypatch.chdir(tmp_path)
    return Path("lists/first")
