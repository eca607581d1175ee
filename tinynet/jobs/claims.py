"""Claims: of any number of runners, only one works on a job.

The runner that works on a job holds the kernel's lock (``flock``) on the job's lock file.  Its
commands inherit the lock: a command that outlives a killed runner keeps others away until it ends.
The lock is released when the last of these processes is gone, however they ended.  It works between
machines if the file system's locks do (NFS from version 4 on, unless mounted with ``nolock``).  The
job's state file, which only the holder writes, records how the job ended.
"""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from pathlib import Path

from tinynet import files
from tinynet.jobs import states
from tinynet.jobs.job_list import Job, JobList, ListPaths
from tinynet.jobs.states import Attempt
from tinynet.run.record import now


class Claim:
    """A job that is ours until ``finish`` or ``abandon``, or until our processes are gone."""

    def __init__(
        self, path: Path, attempt: Attempt, descriptor: int, previous: Attempt | None
    ) -> None:
        self._path = path
        self._attempt = attempt
        self.previous = previous
        self.descriptor = descriptor  # commands inherit it, and with it the lock

    @property
    def number(self) -> int:
        """Which attempt at the job this is, from 1."""
        return self._attempt.number

    def finish(self, status: int, message: str = "", iteration: int | None = None) -> None:
        """Record how the job ended (0 done, 75 stopped, else failed), and release it.

        ``iteration``: where the job's run stands, if it has one.
        """
        ended = replace(
            self._attempt, ended=now(), status=status, message=message, iteration=iteration
        )
        try:
            files.write_json(self._path, ended)
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Release the job without a record of its end, as if this process were killed."""
        os.close(self.descriptor)


def claim(folder: Path, job: Job, job_list: JobList, again: bool = False) -> Claim | None:
    """Claim a job; None if another runner has it, or if it need not be done.

    A job that is done is never claimed, and one that has failed only if ``again``.  The caller
    checks that its dependencies are done.  Raises OSError if the list cannot be written, or if its
    file system has no locks.
    """
    paths = ListPaths(folder)
    descriptor = files.open_lock(paths.lock(job.name))
    try:
        made = _begin(paths, job, job_list, again, descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    if made is None:
        os.close(descriptor)
    return made


def _begin(
    paths: ListPaths, job: Job, job_list: JobList, again: bool, descriptor: int
) -> Claim | None:
    with files.name_in_errors(paths.lock(job.name)):
        if not files.try_lock(descriptor):
            return None
    previous = states.last_attempt(paths.root, job)
    if not states.after_attempt(job, previous, False, job_list).is_open(again):
        return None
    attempt = Attempt(
        number=1 if previous is None else previous.number + 1,
        host=socket.gethostname(),
        pid=os.getpid(),
        digest=job.digest(),
        started=now(),
    )
    path = paths.state(job.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_json(path, attempt)
    return Claim(path, attempt, descriptor, previous)
