"""Claims: of any number of runners on any number of machines, one works on a job.

Who wants a job takes the kernel's lock on its lock file, makes sure that the last attempt has ended
or its maker is dead (``attempts``), and creates the attempt file of the next number exclusively
(O_EXCL, which local file systems and NFS from version 3 on do in one step): whoever creates attempt
n + 1 has the job.  A runner that was suspended so long that it was taken for dead finds, when it
wakes, that a later attempt has begun, and ends its commands.

So no job is done by two at once on one machine, nor where locks work between machines.  Where they
do not, it takes a runner that was cut off from the file server for longer than ``STALE_SECONDS``.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import time
from pathlib import Path
from typing import Any

from tinynet import files
from tinynet.jobs import states
from tinynet.jobs.attempts import Attempt, attempt_path, boot_id, is_dead, last_attempt, try_lock
from tinynet.jobs.job_list import Job, JobList, ListPaths
from tinynet.run.record import now

HEARTBEAT_SECONDS = 15.0
# whoever looks whether a job is alive has its lock for a moment, which must not look like a holder
_PATIENCE_SECONDS = 0.5


class Claim:
    """A job that is ours until ``finish``, or until this process and its commands are gone."""

    def __init__(
        self, attempt: Path, content: dict[str, Any], descriptor: int, previous: Attempt | None
    ) -> None:
        self._attempt = attempt
        self.previous = previous
        self._content = content
        self._beat = time.monotonic()
        # Commands inherit it (Popen's pass_fds), and with it the lock: a command that outlives a
        # runner killed by force keeps others off until it is gone itself.  This is why the lock
        # is not filelock's, which shows no descriptor.
        self.descriptor = descriptor

    @property
    def number(self) -> int:
        """Which attempt at the job this is, from 1."""
        return int(self._attempt.stem)

    def beat(self) -> bool:
        """Show that we live, when it is time to; False when the job has been taken from us."""
        if time.monotonic() - self._beat < HEARTBEAT_SECONDS:
            return True
        self._beat = time.monotonic()
        if self._is_lost():
            return False
        with contextlib.suppress(OSError):  # a file server that is away for a moment
            os.utime(self._attempt)
        return True

    def _is_lost(self) -> bool:
        return self._attempt.with_name(f"{self.number + 1:04d}.json").exists()

    def finish(self, status: int, message: str = "", iteration: int | None = None) -> None:
        """Record how the job ended (0 done, 75 stopped, else failed), and give it back.

        ``iteration``: where the job's run stands, if it has one.
        """
        try:
            if not self._is_lost():
                ended = {"ended": now(), "status": status, "message": message}
                ended = {**self._content, **ended, "iteration": iteration}
                files.write_text(self._attempt, json.dumps(ended, indent=1) + "\n")
        finally:
            os.close(self.descriptor)


def claim(folder: Path, job: Job, found: JobList, again: bool = False) -> Claim | None:
    """Take a job; None where somebody else has it, or where there is nothing to do.

    A job that is done is never taken, and one that has failed only if ``again``.  That its
    dependencies are done is the caller's to see.  Raises OSError where the list cannot be written.
    """
    path = ListPaths(folder).lock(job.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    # read-write, since NFS turns an exclusive flock into a lock that needs it
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        made = _begin(folder, job, found, again, descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    if made is None:
        os.close(descriptor)
    return made


def _begin(folder: Path, job: Job, found: JobList, again: bool, descriptor: int) -> Claim | None:
    locked = _lock(descriptor)
    if locked is False:
        return None
    previous = last_attempt(folder, job)
    alive = previous is not None and previous.ended is None and not is_dead(previous, bool(locked))
    state = states.after_attempt(job, previous, alive, found).name
    open_to_us = state in (states.WAITING, states.STOPPED) or (again and state == states.FAILED)
    if not open_to_us:
        return None
    return _create(folder, job, previous, bool(locked), descriptor)


def _lock(descriptor: int) -> bool | None:
    end = time.monotonic() + _PATIENCE_SECONDS
    while (locked := try_lock(descriptor, fcntl.LOCK_EX)) is False and time.monotonic() < end:
        time.sleep(0.05)
    return locked


def _create(
    folder: Path, job: Job, previous: Attempt | None, locked: bool, descriptor: int
) -> Claim | None:
    path = attempt_path(folder, job, 1 if previous is None else previous.number + 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "boot": boot_id(),
        "locked": locked,
        "digest": job.digest(),
        "started": now(),
    }
    try:
        file = path.open("x", encoding="utf-8")
    except FileExistsError:
        return None
    try:
        with file:
            json.dump(content, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:  # a full disk: a nameless attempt would look like a living one
        path.unlink()
        raise OSError(error.errno, error.strerror, str(path)) from None
    return Claim(path, content, descriptor, previous)
