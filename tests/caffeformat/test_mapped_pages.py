"""Pages of a memory map are released, and their content is still read correctly."""

from __future__ import annotations

import mmap
import sys
from pathlib import Path

import pytest

from tinynet.caffeformat import mapped_pages
from tinynet.caffeformat.lmdb import open_store, write_store

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def _resident_file_bytes() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssFile"))


def test_released_pages_leave_resident_memory_and_read_the_same_again(tmp_path: Path) -> None:
    size = 1 << 20
    records = [(b"%04d" % i, bytes([i]) * size) for i in range(40)]
    write_store(tmp_path / "lmdb", records)
    with open_store(tmp_path / "lmdb") as store:
        assert list(store.records()) == records
        before = _resident_file_bytes()
        walk = store.records()
        first = next(walk)
        store.give_back_pages()
        assert before - _resident_file_bytes() > 30 * size
        # also during a walk through the records
        assert [first, *walk] == records


def test_maps_of_other_files_are_left_alone(tmp_path: Path) -> None:
    for name in ("a", "a b"):
        (tmp_path / name).write_bytes(b"x" * mmap.PAGESIZE * 3)
    with (tmp_path / "a b").open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    with mapped:
        assert mapped_pages.give_back(tmp_path / "a") == 0
        assert mapped_pages.give_back(tmp_path / "a b") == 3 * mmap.PAGESIZE
        assert mapped[:] == b"x" * mmap.PAGESIZE * 3
