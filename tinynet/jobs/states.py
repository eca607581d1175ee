"""What each job of a list has come to, from files alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tinynet.jobs.attempts import Attempt, is_alive, last_attempt
from tinynet.jobs.job_list import Job, JobList, read

WAITING = "waiting"  # never begun, or to be done anew
RUNNING = "running"
DONE = "done"
FAILED = "failed"
STOPPED = "stopped"  # half-way: resumes where it was

STOPPED_STATUS = 75


@dataclass(frozen=True)
class State:
    """``name`` is one of this module's constants; ``message`` says more, "" for nothing."""

    name: str
    message: str = ""
    attempt: Attempt | None = None


def states(folder: Path) -> dict[str, State]:
    """The state of every job of the list in ``folder``, by name, in the list's order."""
    found = read(folder)
    return {job.name: state(folder, job, found) for job in found.jobs}


def state(folder: Path, job: Job, found: JobList) -> State:
    """The state of one job of the list ``found``, which lies in ``folder``."""
    attempt = last_attempt(folder, job)
    alive = attempt is not None and is_alive(folder, job, attempt)
    return after_attempt(job, attempt, alive, found)


def after_attempt(job: Job, attempt: Attempt | None, alive: bool, found: JobList) -> State:
    """The state that the newest attempt leaves a job of the list ``found`` in."""
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
    removed = found.removed(job)
    if removed is not None:
        what = "its run " if removed == job.run else ""
        return State(WAITING, f"{what}{removed} has been removed", attempt)
    return State(DONE, "", attempt)


def blocked_by(job: Job, known: dict[str, State]) -> list[str]:
    """Names of the jobs that must be done before ``job`` and are not."""
    return [name for name in job.after if known[name].name != DONE]
