"""Reads the status of every job of a list from its files and the run directories."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tinynet.errors import TinynetError
from tinynet.jobs import states
from tinynet.jobs.job_list import Job, read
from tinynet.run import record as runs
from tinynet.run.paths import RunPaths
from tinynet.run.status import DIED, Status, status_of


@dataclass(frozen=True)
class RunStatus:
    """One line of ``tinynet jobs status``; None if a job has no such value."""

    job: str
    state: str  # a state of ``jobs.states``, or "diverged": failed, and another try will not help
    message: str = ""
    where: str | None = None  # host and device
    run: str | None = None
    iteration: int | None = None
    max_iter: int | None = None
    val_accuracy: float | None = None  # 0 to 1, the last one
    seconds_left: float | None = None  # of training

    def as_dict(self) -> dict[str, Any]:
        return dict(vars(self))


def statuses(folder: Path) -> list[RunStatus]:
    """The status of every job of the list in ``folder``, in its order."""
    job_list = read(folder)
    return [
        _status(job, states.state(folder, job, job_list), job_list.run_directory(job))
        for job in job_list.jobs
    ]


def _status(job: Job, state: states.State, directory: Path | None) -> RunStatus:
    host = state.attempt.host if state.attempt is not None else None
    if directory is None or not RunPaths(directory).run_json.exists():
        name = None if job.run is None else os.fspath(job.run)
        return RunStatus(job.name, state.name, state.message, host, name)
    try:
        status = status_of(RunPaths(directory))
    except (TinynetError, OSError) as error:
        return RunStatus(job.name, state.name, str(error), host, os.fspath(job.run or ""))
    assert status is not None
    run = status.run
    if state.attempt is None:
        state = _begun_without_the_list(job, status)
    if state.name == states.FAILED and run.state == runs.DIVERGED:
        state = replace(state, name=runs.DIVERGED)
    return RunStatus(
        job.name,
        state.name,
        _message(state, run),
        f"{run.host} {run.device}".strip(),
        os.fspath(job.run or ""),
        status.iteration,
        run.max_iter,
        status.val_accuracy,
        0.0 if state.name == states.DONE else status.seconds_left,
    )


def _message(state: states.State, run: runs.Run) -> str:
    """The run's own message, which is shorter, if the job recorded its end; else the state's."""
    ended = state.attempt is not None and state.attempt.ended is not None
    if state.name in (states.STOPPED, states.FAILED, runs.DIVERGED) and ended and run.message:
        return run.message
    return state.message


def _begun_without_the_list(job: Job, status: Status) -> states.State:
    """The state of a job that no runner has begun, but whose run exists."""
    run = status.run
    if status.state == runs.RUNNING:
        return states.State(states.RUNNING, f"process {run.pid} on {run.host}")
    if status.state == DIED:
        return states.State(states.STOPPED, f"process {run.pid} on {run.host} died")
    if run.state == runs.FINISHED:
        if len(job.commands) == 1:
            return states.State(states.DONE)
        return states.State(states.WAITING, f"is trained; 'tinynet {job.commands[1][0]}' is left")
    name = states.STOPPED if run.state == runs.STOPPED else states.FAILED
    return states.State(name, run.message)
