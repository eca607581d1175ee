"""A database is read in a child process, whose answer is always an error or a sample."""

from __future__ import annotations

from pathlib import Path

import pytest

from tinynet.dataset.lmdb_contents import sample_of
from tinynet.errors import TinynetError


@pytest.mark.parametrize("name", ["none", "no Unicode \udcff", "/".join(["é" * 60] * 20 * 2)])
def test_a_missing_database_is_an_error_whatever_its_name(name: str, tmp_path: Path) -> None:
    with pytest.raises(TinynetError, match="tmp|test"):
        sample_of(tmp_path / name)
