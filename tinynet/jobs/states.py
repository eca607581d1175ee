"""Reads the state of each job from the list's files alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tinynet import files
from tinynet.errors import TinynetError
from tinynet.jobs.job_list import Job, JobList, ListPaths, read

WAITING = "waiting"  # never begun, or to be done again
RUNNING = "running"
DONE = "done"
FAILED = "failed"
STOPPED = "stopped"  # before its end; can be resumed

STOPPED_STATUS = 75


@dataclass(frozen=True)
class Attempt:
    """The last attempt at a job, as its state file records it."""

    number: int = 0  # from 1
    host: str = ""
    pid: int = 0
    digest: str = ""  # of the job at that time
    started: str = ""
    ended: str | None = None  # None: it runs, or died without recording its end
    status: int | None = None  # exit status of the last command that ran
    message: str = ""
    iteration: int | None = None  # at which the job's run stood at the end, if it has a run


@dataclass(frozen=True)
class State:
    """``name``: one of this module's constants; ``message``: details, or ""."""

    name: str
    message: str = ""
    attempt: Attempt | None = None

    def is_open(self, again: bool) -> bool:
        """Whether a job in this state is still to be begun; ``again``: also one that has failed."""
        return self.name in (WAITING, STOPPED) or (again and self.name == FAILED)


def states(folder: Path) -> dict[str, State]:
    """The state of every job of the list in ``folder``, by name, in the list's order."""
    job_list = read(folder)
    return states_of(folder, job_list.jobs, job_list)


def states_of(folder: Path, jobs: Iterable[Job], job_list: JobList) -> dict[str, State]:
    """The states of some jobs of the list ``job_list``, which lies in ``folder``, by name."""
    return {job.name: state(folder, job, job_list) for job in jobs}


def state(folder: Path, job: Job, job_list: JobList) -> State:
    """The state of one job of the list ``job_list``, which lies in ``folder``."""
    attempt = last_attempt(folder, job)
    lock = ListPaths(folder).lock(job.name)
    alive = attempt is not None and attempt.ended is None and files.is_locked(lock)
    return after_attempt(job, attempt, alive, job_list)


def last_attempt(folder: Path, job: Job) -> Attempt | None:
    """The newest attempt at a job; None if there was none.

    A state file that cannot be read counts as an attempt that died.
    """
    try:
        return files.typed(Attempt, files.read_json(ListPaths(folder).state(job.name)))
    except FileNotFoundError:
        return None
    except (TinynetError, ValueError, OSError):
        return Attempt(1)


def after_attempt(job: Job, attempt: Attempt | None, alive: bool, job_list: JobList) -> State:
    """The state that the newest attempt leaves a job of ``job_list`` in."""
    if attempt is None:
        return State(WAITING)
    if alive:
        return State(RUNNING, f"process {attempt.pid} on {attempt.host}", attempt)
    if attempt.digest not in ("", job.digest()):
        return State(WAITING, "its commands have changed", attempt)
    if attempt.ended is None:
        who = f"process {attempt.pid} on {attempt.host}" if attempt.host else "who began it"
        return State(STOPPED, f"{who} died", attempt)
    if attempt.status == STOPPED_STATUS:
        return State(STOPPED, attempt.message, attempt)
    if attempt.status != 0:
        return State(FAILED, attempt.message, attempt)
    removed = job_list.removed(job)
    if removed is not None:
        what = "its run " if removed == job.run else ""
        return State(WAITING, f"{what}{removed} has been removed", attempt)
    return State(DONE, "", attempt)


def blocked_by(job: Job, known: dict[str, State]) -> list[str]:
    """Names of the jobs that must be done before ``job`` but are not."""
    return [name for name in job.after if known[name].name != DONE]
