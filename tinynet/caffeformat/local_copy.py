"""Copies of LMDBs on this machine's own disk, where they themselves lie on a network file system.

LMDB maps its file into memory.  Over a network every page comes alone, locks do not work
everywhere, and dozens of runs read the same pages again in every epoch; a copy is made in one go.
The environment variable ``TINYNET_LOCAL_LMDB`` names the folder for the copies; without it, LMDBs
are read where they are.  Caffe's own LMDB reader does not know it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sys
from pathlib import Path

from filelock import FileLock

VARIABLE = "TINYNET_LOCAL_LMDB"
# as /proc/mounts calls them; a name may continue with a version ("nfs4", "smb3")
_NETWORK = ("nfs", "lustre", "cifs", "smb", "ceph", "fuse.ceph", "gpfs", "beegfs", "afs", "9p",
            "panfs", "glusterfs", "fuse.glusterfs", "fuse.sshfs", "orangefs", "pvfs2", "wekafs",
            "fuse.juicefs", "ocfs2", "gfs2", "virtiofs")  # fmt: skip


def readable_path(path: Path, mounts: str | None = None) -> Path:
    """Where to read the LMDB folder ``path``: there, or in a copy of it that is made now.

    ``mounts``: what ``/proc/mounts`` holds; default, what it does.  A copy that cannot be made (no
    room, say) is no error: the LMDB is read where it is, and stderr says why.
    """
    folder = os.environ.get(VARIABLE)
    if not folder or not is_on_network(path, mounts):
        return path
    try:
        return _copy(path, Path(folder))
    except OSError as error:
        print(
            f"tinynet: {path}: is read over the network, as it cannot be copied to {folder}: "
            f"{error.strerror or error}",
            file=sys.stderr,
        )
        return path


def is_on_network(path: Path, mounts: str | None = None) -> bool:
    """Whether a path lies on a network file system (Linux; False elsewhere)."""
    if mounts is None:
        try:
            mounts = Path("/proc/mounts").read_text(encoding="utf-8", errors="surrogateescape")
        except OSError:
            return False
    wanted = os.path.realpath(path)
    best, kind = "", ""
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        place = _unescaped(fields[1])
        inside = wanted == place or wanted.startswith(place.rstrip("/") + "/")
        if inside and len(place) >= len(best):  # of two mounts on one place the later one counts
            best, kind = place, fields[2]
    return kind.startswith(_NETWORK)


def _unescaped(place: str) -> str:
    r"""A mount point as it is: the kernel writes a space as ``\040``, and so on."""
    for code, character in (("040", " "), ("011", "\t"), ("012", "\n"), ("134", "\\")):
        place = place.replace("\\" + code, character)
    return place


def _copy(path: Path, folder: Path) -> Path:
    """The copy of an LMDB folder in ``folder``, made by the first process that wants it."""
    source = Path(os.path.realpath(path)) / "data.mdb"
    stat = source.stat()
    # another file of the same name is another copy
    version = f"{source}\0{stat.st_size}\0{stat.st_mtime_ns}"
    name = hashlib.sha256(os.fsencode(version)).hexdigest()[:16]
    copy = folder / name
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(str(folder / f"{name}.lock")):
        if not copy.exists():
            unfinished = folder / f".{name}.{os.getpid()}"
            try:
                unfinished.mkdir()
                shutil.copyfile(source, unfinished / "data.mdb")
                unfinished.rename(copy)
            finally:
                with contextlib.suppress(OSError):
                    shutil.rmtree(unfinished)
    return copy
