"""One process per run directory."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tinynet import files
from tinynet.errors import TinynetError
from tinynet.run import lock
from tinynet.run.paths import RunPaths

# the error of a file system without locks
WITHOUT_LOCKS = """
import errno, fcntl
def refuse(*arguments):
    raise OSError(errno.ENOSYS, "Function not implemented")
fcntl.flock = refuse
"""
HOLD = """
import pathlib, sys
from tinynet.run.paths import RunPaths
from tinynet.run import lock
with lock.hold(RunPaths(pathlib.Path(sys.argv[1]))):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(params=["with locks", "without"])
def setting(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Code that a process runs first: nothing, or one that simulates missing locks."""
    if request.param == "with locks":
        return ""

    def refuse(*arguments: object) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", refuse)
    return WITHOUT_LOCKS


def hold_elsewhere(folder: Path, setting: str) -> subprocess.Popen[str]:
    root = str(Path(__file__).parents[2])
    child = subprocess.Popen(
        [sys.executable, "-c", setting + HOLD, str(folder)],
        env={**os.environ, "PYTHONPATH": root},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None and child.stdout.readline() == "held\n"
    return child


def test_a_second_process_is_refused_and_told_who_holds_the_run(
    tmp_path: Path, setting: str
) -> None:
    child = hold_elsewhere(tmp_path, setting)
    try:
        assert lock.is_held(RunPaths(tmp_path))
        for _ in range(2):  # the query must not remove the holder
            with (
                pytest.raises(TinynetError, match=f"process {child.pid} on {os.uname().nodename}"),
                lock.hold(RunPaths(tmp_path)),
            ):
                pass
    finally:
        child.kill()
        child.communicate()


def test_a_query_does_not_block_a_run(tmp_path: Path) -> None:
    """``is_held``, as in 'jobs status', holds the lock while it tests it."""
    paths = RunPaths(tmp_path)
    asking = os.open(paths.lock, os.O_RDWR | os.O_CREAT)
    assert files.try_lock(asking, shared=True)
    answered = threading.Timer(0.15, os.close, [asking])
    answered.start()
    with lock.hold(paths):
        assert lock.is_held(paths)
    answered.join()


def test_the_lock_of_a_killed_process_does_not_block(tmp_path: Path, setting: str) -> None:
    child = hold_elsewhere(tmp_path, setting)
    child.kill()
    child.communicate()
    assert not lock.is_held(RunPaths(tmp_path))
    with lock.hold(RunPaths(tmp_path)):
        assert lock.holder_of(RunPaths(tmp_path)).is_file()
    assert not lock.holder_of(RunPaths(tmp_path)).exists()


def test_without_locks_a_holder_file_of_another_machine_is_reported_with_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(fcntl, "flock", refuse)
    holder = lock.holder_of(RunPaths(tmp_path))
    holder.write_text('{"host": "elsewhere", "pid": 1, "since": "2015-06-01T12:00:00"}')
    expected = rf"process 1 on elsewhere since 2015.*no locks: .* delete {holder}"
    with pytest.raises(TinynetError, match=expected), lock.hold(RunPaths(tmp_path)):
        pass
    assert holder.is_file()
