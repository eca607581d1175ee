"""LMDBs are copied to a local disk where they lie on a network file system, and only there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tinynet.caffeformat import local_copy
from tinynet.caffeformat.lmdb import open_store, write_store

MOUNTS = r"""/dev/sda1 / ext4 rw 0 0
server:/home /home nfs4 rw,vers=4.2 0 0
/dev/sdb1 /home/local xfs rw 0 0
lustre@tcp:/scratch /my\040scratch lustre rw 0 0
server:/old /mnt/x nfs rw 0 0
tmpfs /mnt/x tmpfs rw 0 0
sshfs /home/me/far fuse.sshfs rw 0 0
portal /home/me/near fuse.portal rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "network"),
    [("/data/lmdb", False), ("/home/me/lmdb", True), ("/home", True), ("/homes/lmdb", False),
     ("/home/local/lmdb", False), ("/my scratch/lmdb", True), ("/mnt/x/lmdb", False),
     ("/home/me/far/lmdb", True), ("/home/me/near/lmdb", False)],
)  # fmt: skip
def test_the_deepest_mount_says_whether_a_path_is_on_the_network(path: str, network: bool) -> None:
    assert local_copy.is_on_network(Path(path), MOUNTS) is network


def test_this_machines_own_mounts_are_read() -> None:
    assert not local_copy.is_on_network(Path("/proc"))


@pytest.fixture
def lmdb(tmp_path: Path) -> Path:
    write_store(tmp_path / "far/train_lmdb", [(b"a", b"1"), (b"b", b"2")])
    return tmp_path / "far/train_lmdb"


def mounts(lmdb: Path) -> str:
    return f"/dev/sda1 / ext4 rw 0 0\nserver:/x {lmdb.parent} nfs4 rw 0 0\n"


def test_nothing_is_copied_unless_asked(lmdb: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(local_copy.VARIABLE, raising=False)
    assert local_copy.readable_path(lmdb, mounts(lmdb)) == lmdb


def test_a_copy_is_made_once_and_anew_when_the_database_changes(
    lmdb: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(local_copy.VARIABLE, str(tmp_path / "near"))
    assert local_copy.readable_path(lmdb, "/dev/sda1 / ext4 rw 0 0\n") == lmdb
    copy = local_copy.readable_path(lmdb, mounts(lmdb))
    assert copy.parent == tmp_path / "near"
    assert (copy / "data.mdb").read_bytes() == (lmdb / "data.mdb").read_bytes()
    made = (copy / "data.mdb").stat().st_ino
    assert local_copy.readable_path(lmdb, mounts(lmdb)) == copy
    assert (copy / "data.mdb").stat().st_ino == made
    os.utime(lmdb / "data.mdb", (1, 1))
    assert local_copy.readable_path(lmdb, mounts(lmdb)) not in (copy, lmdb)
    assert not list((tmp_path / "near").glob(".*")), "something half-made was left"


def test_a_disk_without_room_is_no_failure(
    lmdb: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def full(source: Path, target: Path) -> None:
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(local_copy.shutil, "copyfile", full)
    monkeypatch.setenv(local_copy.VARIABLE, str(tmp_path / "near"))
    assert local_copy.readable_path(lmdb, mounts(lmdb)) == lmdb
    assert "No space left" in capsys.readouterr().err
    assert [p.suffix for p in (tmp_path / "near").iterdir()] == [".lock"]


def test_a_store_reads_the_copy(
    lmdb: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(local_copy.VARIABLE, str(tmp_path / "near"))
    monkeypatch.setattr(local_copy, "is_on_network", lambda path, mounts: True)
    with open_store(lmdb) as store:
        opened = [os.readlink(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd")
                  if os.path.islink(f"/proc/self/fd/{n}")]  # fmt: skip
        assert [key for key, _ in store.records()] == [b"a", b"b"]
    inside = [path for path in opened if path.endswith("data.mdb")]
    assert inside and all(path.startswith(str(tmp_path / "near")) for path in inside)


def test_processes_that_want_one_copy_at_once_make_one(lmdb: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tinynet.caffeformat import local_copy;"
        "print(local_copy._copy(Path(sys.argv[1]), Path(sys.argv[2])))"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    children = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(lmdb), str(tmp_path / "near")],
            env=environment, stdout=subprocess.PIPE, text=True,
        )
        for _ in range(4)
    ]  # fmt: skip
    printed = {child.communicate()[0].strip() for child in children}
    assert len(printed) == 1
    assert len([p for p in (tmp_path / "near").iterdir() if p.is_dir()]) == 1
