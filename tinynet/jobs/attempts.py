"""Attempts: each time that a job was begun is a numbered file, and tells who did and how it ended.

The highest number counts.  An attempt that has no end is either still being worked on or was left
by a runner that died; which of the two is told in two ways:

- The kernel's lock (``flock``) on the job's lock file, held by the runner and by the commands that
  it started, so that it falls when the last of them is gone, however they ended.  On a local file
  system, and where NFS locks work between machines, this alone decides, at once.
- A heartbeat, the attempt file's time of change, for machines whose locks do not reach each other
  (NFS mounted with ``nolock`` or ``local_lock``, Lustre with ``localflock``) or that have none.  An
  attempt made on another machine counts as dead only when its heart has not beaten for
  ``STALE_SECONDS`` of the file server's clock.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinynet.jobs.job_list import Job, ListPaths

STALE_SECONDS = 180.0

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


@dataclass(frozen=True)
class Attempt:
    """One time that a job was begun, as its file tells."""

    number: int
    path: Path
    host: str = ""
    pid: int = 0
    boot: str = ""  # which run of which machine's kernel
    locked: bool = False  # whether the kernel's lock was to be had
    digest: str = ""  # of the job as it was
    started: str = ""
    ended: str | None = None  # None: not ended, or ended without a word
    status: int | None = None  # exit status of the last command that ran
    message: str = ""
    iteration: int | None = None  # at which the job's run stood then, where it has one


def attempt_path(folder: Path, job: Job, number: int) -> Path:
    """The file of a job's attempt, counted from 1, in the list ``folder``."""
    return ListPaths(folder).attempts(job.name) / f"{number:04d}.json"


def last_attempt(folder: Path, job: Job) -> Attempt | None:
    """The newest attempt at a job; None where none was made.

    A file that cannot be read (its maker died before it wrote) is an attempt without an end.
    """
    try:
        names = os.listdir(ListPaths(folder).attempts(job.name))
    except FileNotFoundError:
        return None
    numbers = [int(name[:-5]) for name in names if name.endswith(".json") and name[:-5].isdigit()]
    if not numbers:
        return None
    path = attempt_path(folder, job, max(numbers))
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        content = {}
    return _attempt(max(numbers), path, content if isinstance(content, dict) else {})


def _attempt(number: int, path: Path, content: dict[str, Any]) -> Attempt:
    status, iteration = content.get("status"), content.get("iteration")
    return Attempt(
        number,
        path,
        host=str(content.get("host", "")),
        pid=content["pid"] if isinstance(content.get("pid"), int) else 0,
        boot=str(content.get("boot", "")),
        locked=content.get("locked") is True,
        digest=str(content.get("digest", "")),
        started=str(content.get("started", "")),
        ended=None if content.get("ended") is None else str(content["ended"]),
        status=status if isinstance(status, int) else None,
        message=str(content.get("message", "")),
        iteration=iteration if isinstance(iteration, int) else None,
    )


def is_alive(folder: Path, job: Job, attempt: Attempt) -> bool:
    """Whether somebody still works on an attempt.  Holds the job's lock no longer than a moment."""
    if attempt.ended is not None:
        return False
    try:
        descriptor = os.open(ListPaths(folder).lock(job.name), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return not is_dead(attempt, lock_is_ours=False)
    try:
        locked = try_lock(descriptor, fcntl.LOCK_SH)
        return locked is False or not is_dead(attempt, lock_is_ours=bool(locked))
    finally:
        os.close(descriptor)


def is_dead(attempt: Attempt, lock_is_ours: bool) -> bool:
    """Whether the maker of an attempt without an end is gone."""
    if lock_is_ours and attempt.locked and attempt.boot == boot_id():
        return True  # it held this very lock on this machine, and holds it no more
    return _seconds_since_beat(attempt.path) > STALE_SECONDS


def _seconds_since_beat(path: Path) -> float:
    """Age of a file by the file server's clock, which this machine's may not agree with."""
    probe = path.with_name(f".clock.{socket.gethostname()}.{os.getpid()}")
    try:
        with path.open("rb") as file:  # opening makes NFS ask the server anew
            beat = os.fstat(file.fileno()).st_mtime
    except OSError:
        return 0.0
    try:
        probe.write_bytes(b"")
        present = probe.stat().st_mtime
        probe.unlink()
    except OSError:  # a list that we may only read
        present = time.time()
    return present - beat


def try_lock(descriptor: int, kind: int) -> bool | None:
    """Take a lock without waiting.

    True: taken; False: somebody else has it; None: this file system has no locks.
    """
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return None
        raise
    return True


def boot_id() -> str:
    """Names this machine and the time since it was started: pids and locks are known within it."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return socket.gethostname()
