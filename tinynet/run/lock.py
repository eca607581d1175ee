"""Locks a run directory, so that only one process trains in it."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tinynet import files
from tinynet.errors import TinynetError
from tinynet.run.paths import RunPaths
from tinynet.run.record import now

_TRIES, _BETWEEN_TRIES = 5, 0.1  # seconds


@contextlib.contextmanager
def hold(paths: RunPaths) -> Iterator[Callable[[], None]]:
    """Hold the run directory's lock; the directory and its snapshot folder are made if missing.

    What it yields raises TinynetError once the directory has been moved or removed: by then another
    run may train where it was.  Call it before anything is written there.

    ``hold`` raises TinynetError, which names the holder, if another process holds it, and OSError
    if the directory is not writable.  The lock is the kernel's, which is released however its
    process ends.  On a file system without locks, the holder file takes its place.  A killed
    process leaves that file: a process on the same machine sees that its holder is gone, one on
    another machine has to ask the user.
    """
    # real Caffe aborts if the folder of its snapshot_prefix does not exist
    paths.snapshots.mkdir(parents=True, exist_ok=True)
    probe = paths.snapshots / f".probe.{os.getpid()}"
    probe.write_bytes(b"0")
    probe.unlink()
    holder = holder_of(paths)
    descriptor = files.open_lock(paths.lock)

    def require_in_place() -> None:
        if not files.is_at(paths.lock, descriptor):
            raise TinynetError(
                f"{paths.root}: the run directory was moved or removed while the run trained; "
                "move it back, and the same command resumes it from its last snapshot"
            )

    try:
        _take(paths, holder, descriptor)
        try:
            yield require_in_place
        finally:
            if files.is_at(paths.lock, descriptor):
                holder.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def holder_of(paths: RunPaths) -> Path:
    """The file that names the process that holds a run directory, as long as one does."""
    return paths.lock.with_suffix(".holder")


def is_held(paths: RunPaths) -> bool:
    """Whether a process holds the run directory.  Raises OSError if that cannot be determined."""
    try:
        return files.is_locked(paths.lock)
    except OSError as error:
        if error.errno not in files.NO_LOCKS:
            raise
    holder = holder_of(paths)
    return holder.exists() and not _is_gone(holder)


def _take(paths: RunPaths, holder: Path, descriptor: int) -> None:
    """Take the lock and write the holder file; raise TinynetError if another process has it."""
    advice = "wait for it or stop it, or start another run with --name"
    try:
        free, mode = _try_for_a_moment(descriptor), "w"
    except OSError as error:
        if error.errno not in files.NO_LOCKS:
            raise
        advice += f"; this file system has no locks: if that process is gone, delete {holder}"
        if _is_gone(holder):
            holder.unlink(missing_ok=True)
        free, mode = not holder.exists(), "x"
    entry = {"host": socket.gethostname(), "pid": os.getpid(), "since": now()}
    if free:
        with contextlib.suppress(FileExistsError), holder.open(mode, encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
            return
    raise TinynetError(f"{paths.root}: another process holds this run ({_named(holder)}); {advice}")


def _try_for_a_moment(descriptor: int) -> bool:
    """Take the lock, and return whether that succeeded.

    Another process's ``is_held`` has it for a moment while it looks, hence several tries.
    """
    for _ in range(_TRIES):
        if files.try_lock(descriptor):
            return True
        time.sleep(_BETWEEN_TRIES)
    return False


def _is_gone(holder: Path) -> bool:
    """Whether the holder was a process of this machine that has ended."""
    try:
        entry = json.loads(holder.read_text(encoding="utf-8"))
        if entry["host"] == socket.gethostname():
            os.kill(int(entry["pid"]), 0)
    except ProcessLookupError:
        return True
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return False


def _named(holder: Path) -> str:
    try:
        entry = json.loads(holder.read_text(encoding="utf-8"))
        return f"process {entry['pid']} on {entry['host']} since {entry['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "which one is unknown"
