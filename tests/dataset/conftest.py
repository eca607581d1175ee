from __future__ import annotations

from pathlib import Path

import pytest

from tests.dataset.layouts import write_layout


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    """A small complete data set that the test may damage."""
    return write_layout(tmp_path / "small")
