"""One process per run directory."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator

from filelock import FileLock, Timeout

from tinynet.errors import TinynetError
from tinynet.run.paths import RunPaths
from tinynet.run.record import now


@contextlib.contextmanager
def hold(paths: RunPaths) -> Iterator[None]:
    """Hold the run directory, which is made where there is none, with its snapshot folder.

    Raises TinynetError, which names the holder, where another process has it, and OSError where
    nothing can be written to it.  The lock is the kernel's, and falls with its process however that
    ends.  Who holds it stands in a file of its own, since opening a lock file may empty it.
    """
    # real Caffe aborts where the folder of its snapshot_prefix is not there
    paths.snapshots.mkdir(parents=True, exist_ok=True)
    probe = paths.snapshots / f".probe.{os.getpid()}"
    probe.write_bytes(b"0")
    probe.unlink()
    holder = paths.lock.with_suffix(".holder")
    lock = FileLock(str(paths.lock))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise TinynetError(
            f"{paths.root}: another process works here ({_holder(paths)}); wait for it or stop it, "
            "or start another run with --name"
        ) from None
    try:
        entry = {"host": socket.gethostname(), "pid": os.getpid(), "since": now()}
        holder.write_text(json.dumps(entry) + "\n", encoding="utf-8")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _holder(paths: RunPaths) -> str:
    try:
        entry = json.loads(paths.lock.with_suffix(".holder").read_text(encoding="utf-8"))
        return f"process {entry['pid']} on {entry['host']} since {entry['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "it has not said which"
