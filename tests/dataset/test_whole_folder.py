"""A folder appears complete or not at all, whatever ends a process, and beside other processes."""

from __future__ import annotations

import fcntl
import shutil
from pathlib import Path
from typing import IO, Any

import pytest

from tinynet.dataset import whole_folder as module
from tinynet.dataset.whole_folder import whole_folder
from tinynet.errors import TinynetError

CONTENTS = frozenset({"a"})


def contents_of(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_process_that_is_killed_between_the_two_renames_leaves_the_new_folder(
    tmp_path: Path,
) -> None:
    out, partial = tmp_path / "out", tmp_path / ".out.partial-12"
    partial.mkdir()
    (partial / ".lock").touch()
    (partial / "a").write_text("new")
    replaced = tmp_path / ".out.partial-12-replaced"
    replaced.mkdir()
    (replaced / "a").write_text("old")
    refused = pytest.raises(TinynetError, match="exists; pass --overwrite")
    with refused, whole_folder(out, False, CONTENTS):
        pass
    assert contents_of(tmp_path) == ["out"] and contents_of(out) == ["a"]
    assert (out / "a").read_text() == "new"


def test_a_folder_that_another_process_takes_for_abandoned_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That process has the lock between our making the file and our locking it."""
    out = tmp_path / "out"
    removed: list[str] = []

    def flock(lock: IO[str], how: int) -> Any:
        if not removed:
            folder = Path(lock.name).parent
            removed.append(folder.name)
            shutil.rmtree(folder)
        return fcntl.flock(lock, how)

    monkeypatch.setattr(module, "fcntl", type("Locks", (), {**vars(fcntl), "flock": flock}))
    with whole_folder(out, False, CONTENTS) as partial:
        assert partial.name not in removed
        (partial / "a").write_text("mine")
    assert removed and contents_of(tmp_path) == ["out"] and contents_of(out) == ["a"]


def test_a_folder_that_another_process_still_writes_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with whole_folder(out, False, CONTENTS) as first:
        with whole_folder(out, False, CONTENTS) as second:
            assert first.is_dir()
            (second / "a").write_text("second")
        with pytest.raises(TinynetError, match="exists"), whole_folder(out, False, CONTENTS):
            pass
        shutil.rmtree(out)
        (first / "a").write_text("first")
    assert (out / "a").read_text() == "first" and contents_of(tmp_path) == ["out"]
