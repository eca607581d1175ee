"""An error of the system is one line with the file, the reason and the remedy."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tinynet import files
from tinynet.errors import os_error_message

NOBODY = 65534


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that every user can enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


def refusal(path: Path, mode: str) -> str:
    with pytest.raises(PermissionError) as refused, as_nobody(), path.open(mode):
        pass
    with as_nobody():
        return os_error_message(refused.value)


def test_a_permission_error_names_the_owner_and_the_remedy(shared: Path) -> None:
    lock = shared / "run.lock"
    lock.touch(0o644)
    ask = "ask for access, or name another path"
    assert refusal(lock, "r+") == (
        f"{lock}: Permission denied; it belongs to root (-rw-r--r--): {ask}"
    )
    new = shared / "run.json"
    assert refusal(new, "w") == (
        f"{new}: Permission denied; {shared} belongs to root (drwxr-xr-x): {ask}"
    )
    closed = shared / "closed"
    closed.mkdir(0o700)
    (closed / "run.json").touch()
    inside = closed / "runs/run.json"
    assert refusal(inside, "r") == (
        f"{inside}: Permission denied; {closed} belongs to root (drwx------): {ask}"
    )


def test_a_permission_error_on_ones_own_file_suggests_chmod(shared: Path) -> None:
    mine = shared / "run.json"
    mine.touch(0o400)
    if os.geteuid() == 0:
        os.chown(mine, NOBODY, -1)
    assert refusal(mine, "w") == (
        f"{mine}: Permission denied; it is yours (-r--------): 'chmod u+rwX' opens it"
    )


def test_an_unnamed_owner_or_a_permitting_mode_gives_a_sensible_message(shared: Path) -> None:
    """As on a network file system, or on one with its own rules."""
    path = shared / "run.json"
    path.touch(0o600)
    refused = OSError(errno.EACCES, "Permission denied", str(path))
    if os.geteuid() == 0:
        assert os_error_message(refused) == f"{path}: Permission denied"
        os.chown(path, 54321, -1)
        with as_nobody():
            assert "belongs to user 54321 (-rw-------)" in os_error_message(refused)


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.ENOSPC, "no space left on the device; free some and run the command again"),
        (errno.EDQUOT, "the disk quota is used up; free some and run the command again"),
        (errno.EIO, "Input/output error"),
        (errno.EAGAIN, "no more processes or threads may be started (see 'ulimit -u'); end some "
         "first"),
        *((number, "this file system has no locks; name a path on another") for number in
          files.NO_LOCKS),
    ],
)  # fmt: skip
def test_a_system_error_names_its_file(number: int, says: str) -> None:
    assert os_error_message(OSError(number, os.strerror(number), "a/b")) == f"a/b: {says}"
    assert os_error_message(OSError(number, os.strerror(number))) == says


def test_a_deleted_working_directory_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(FileNotFoundError) as failed:
        os.getcwd()
    message = "the folder that this shell is in has been removed; change to another"
    assert os_error_message(failed.value) == message
    no_tmp = FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")
    assert os_error_message(BlockingIOError(errno.EAGAIN, "write could not complete")) == (
        "write could not complete"
    )
    assert os_error_message(no_tmp) == "No usable temporary directory found in ['/tmp']"
