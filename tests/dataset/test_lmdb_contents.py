"""A database is read in a child process, whose answer is always an error or a sample."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tinynet.caffeformat.lmdb import open_store, write_store
from tinynet.dataset import lmdb_contents
from tinynet.dataset.lmdb_contents import sample_of
from tinynet.errors import TinynetError


@pytest.mark.parametrize("name", ["none", "no Unicode \udcff", "/".join(["é" * 60] * 20 * 2)])
def test_a_missing_database_is_an_error_whatever_its_name(name: str, tmp_path: Path) -> None:
    with pytest.raises(TinynetError, match="tmp|test"):
        sample_of(tmp_path / name)


def test_an_interrupt_while_the_child_reads_ends_the_child_and_not_the_parents_clean_up_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A terminal's Ctrl-C reaches both; the child must never leave ``sample_of``."""

    def interrupted(path: Path) -> None:
        os.kill(os.getppid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.2)  # until nobody reads the pipe

    fork, children = os.fork, list[int]()

    def recorded() -> int:
        children.append(fork())
        return children[-1]

    monkeypatch.setattr(lmdb_contents, "_read", interrupted)
    monkeypatch.setattr(os, "fork", recorded)
    me = os.getpid()
    with pytest.raises(KeyboardInterrupt):
        lmdb_contents.sample_of(tmp_path)
    assert os.getpid() == me
    with pytest.raises(ChildProcessError):  # it has ended, and was waited for
        os.waitpid(children[0], os.WNOHANG)


def test_a_database_that_this_process_reads_already_is_read_once_more(tmp_path: Path) -> None:
    """A child could not open it: lmdb 3 refuses what its parent has open."""
    write_store(tmp_path / "lmdb", [(b"0", b"x"), (b"1", b"y")])
    before = sample_of(tmp_path / "lmdb")
    with open_store(tmp_path / "lmdb"):
        assert sample_of(tmp_path / "lmdb") == before
