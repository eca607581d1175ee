"""Lists of small jobs, and the states of the jobs."""

from __future__ import annotations

from pathlib import Path

from tests.cli import command
from tinynet.jobs import states
from tinynet.jobs.job_list import Job, read


def state_names(folder: Path) -> dict[str, str]:
    return {name: found.name for name, found in states.states(folder).items()}


def job(name: str, *words: str, after: tuple[str, ...] = ()) -> Job:
    return Job(name, (words,), None, after)


def create(*arguments: str, lists: str = "lists/first") -> list[str]:
    done = command.run("jobs", "create", lists, "small/solver.prototxt", *arguments)
    assert done.status == 0, done.stderr
    return [job.name for job in read(Path(lists)).jobs]
