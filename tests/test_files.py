"""A file has its old or its new content, and nothing is left beside it."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from tinynet import files


def test_a_file_gets_its_name_only_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text("old")
    with files.replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["run.json"]


def test_an_interrupted_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), files.replacing(path) as temporary:
        temporary.write_text("ne")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["run.json"]


def test_a_full_disk_error_names_the_intended_file(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    with pytest.raises(OSError) as caught, files.replacing(path) as temporary:
        temporary.write_text("ne")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert caught.value.filename == str(path)
    assert os.listdir(tmp_path) == []


def test_a_read_only_folder_error_names_the_intended_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    path = tmp_path / "run.json"
    monkeypatch.setattr(
        Path, "unlink", refuse
    )  # such a file system refuses even for a missing file
    with pytest.raises(OSError) as caught, files.replacing(path) as temporary:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(temporary))
    assert caught.value.filename == str(path)


def test_a_missing_folder_error_names_the_intended_file(tmp_path: Path) -> None:
    path = tmp_path / "absent" / "run.json"
    with pytest.raises(FileNotFoundError) as caught:
        files.write_text(path, "new")
    assert caught.value.filename == str(path)


def test_a_pipe_or_device_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        files.write_text(pipe, "new")
        assert os.read(reader, 10) == b"new"
    finally:
        os.close(reader)
    assert pipe.is_fifo() and os.listdir(tmp_path) == ["pipe"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_full_device_is_named() -> None:
    with pytest.raises(OSError, match="/dev/full"):
        files.write_text("/dev/full", "new")
    assert not os.path.isfile("/dev/full")


def test_a_new_folder_in_a_shared_folder_gets_the_usual_mode(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o2775)
    before = os.umask(0o002)
    try:
        made = [files.new_folder(shared / "out", ".out.") for _ in range(2)]
    finally:
        os.umask(before)
    assert len({*made}) == 2
    for folder in made:
        assert folder.parent == shared and folder.name.startswith(".out.")
        assert folder.stat().st_mode & 0o7777 == 0o2775
    with pytest.raises(OSError, match=f"'{shared}/none/out'"):
        files.new_folder(shared / "none/out", ".out.")


def test_an_error_without_a_file_name_gets_one_and_other_names_stay() -> None:
    with pytest.raises(OSError, match="No space left.*'a.log'"), files.name_in_errors("a.log"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(OSError, match="'nowhere'"), files.name_in_errors("a.log"):
        Path("nowhere").read_text()
    with pytest.raises(OSError, match="^of no number$"), files.name_in_errors("a.log"):
        raise OSError("of no number")


def test_a_link_stays_a_link_and_its_target_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("old")
    (tmp_path / "link").symlink_to("target")
    files.write_text(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "target").read_text() == "new"
    assert sorted(os.listdir(tmp_path)) == ["link", "target"]


def test_a_file_system_without_locks_is_reported_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int, kind: int) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    lock = tmp_path / ".lock"
    lock.write_bytes(b"")  # left by a machine on which there are locks
    monkeypatch.setattr(files.fcntl, "flock", refuse)
    with pytest.raises(OSError, match=r"Function not implemented: .*\.lock"), files.locked(lock):
        pass


def test_a_lock_file_that_is_removed_during_the_wait_is_not_taken_for_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "list/locks/.lock"
    flock, descriptors = files.fcntl.flock, []

    def removed_during_the_wait(descriptor: int, kind: int) -> None:
        descriptors.append(descriptor)
        if len(descriptors) == 1:
            lock.unlink()
            lock.parent.rmdir()
        flock(descriptor, kind)

    monkeypatch.setattr(files.fcntl, "flock", removed_during_the_wait)
    with pytest.raises(KeyError), files.locked(lock):
        assert len(descriptors) == 2 and files.is_at(lock, descriptors[-1])
        assert files.is_locked(lock), "a third process could take the same lock"
        raise KeyError
    assert os.listdir(tmp_path) == []


def test_the_first_user_of_a_list_removes_its_lock_file_only_while_it_holds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "list/locks/.lock"
    waits, ended = threading.Event(), threading.Event()
    flock, unlink = files.fcntl.flock, Path.unlink
    seen: list[bool] = []

    def noted_flock(descriptor: int, kind: int) -> None:
        if threading.current_thread() is second:
            waits.set()
        flock(descriptor, kind)

    def noted_unlink(path: Path) -> None:
        seen.append(files.is_locked(path))
        unlink(path)

    def use() -> None:
        with files.locked(lock):
            seen.append(files.is_locked(lock))
            ended.set()

    second = threading.Thread(target=use)
    monkeypatch.setattr(files.fcntl, "flock", noted_flock)
    monkeypatch.setattr(Path, "unlink", noted_unlink)
    with pytest.raises(KeyError), files.locked(lock):
        second.start()
        waits.wait()
        assert not ended.is_set()
        raise KeyError
    second.join()
    assert ended.is_set() and seen == [True, True] and lock.is_file()
