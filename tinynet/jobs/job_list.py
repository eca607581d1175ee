"""A job list: a folder whose ``jobs.json`` says what is to be run, and in which order.

    LIST/jobs.json               the jobs, in order, and where their relative paths start
    LIST/states/NAME.json        the last time that a job was begun: by whom, and how it ended
    LIST/locks/NAME.lock         held by the kernel for whoever works on the job
    LIST/logs/NAME.log           what the job's commands printed

Whether a job waits, runs or is done follows from these files (``jobs.states``), so that a list
needs no process of its own and outlives all that work on it.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tinynet import files
from tinynet.errors import TinynetError, UsageError
from tinynet.files import component_fault


@dataclass(frozen=True)
class Job:
    """Something to be done once: a few commands in order, usually train and evaluate one run.

    ``name``      unique in its list, and fit to name a file
    ``commands``  argument lists of ``tinynet``, run one after the other; each is idempotent, since
                  a job that was stopped is begun again from its first command
    ``run``       the run directory that the commands make, if they make one: a job whose run has
                  been removed is no longer done
    ``leaves``    a file that is there when all is done, instead: its run may be removed then, and
                  without the file the job is no longer done
    ``after``     names of jobs that must be done before this one begins

    Commands that take ``--gpu N`` or ``--cpu`` and name neither get what their runner gives them;
    of a training with ``--solvers K`` that is K GPUs.
    """

    name: str
    commands: tuple[tuple[str, ...], ...]
    run: Path | None = None
    after: tuple[str, ...] = ()
    leaves: Path | None = None

    @property
    def solvers(self) -> int:
        """How many solvers its training has, each of which takes a GPU."""
        for command in self.commands:
            words = [part for word in command for part in word.split("=", 1)]
            number = dict(zip(words, words[1:])).get("--solvers", "")
            if command[0] == "train" and number.isdecimal():
                return max(1, int(number))
        return 1

    def digest(self) -> str:
        """Changes when what is done changes: an attempt at other commands does not count."""
        content = [self.commands, None if self.run is None else os.fspath(self.run)]
        return hashlib.sha256(json.dumps(content).encode("utf-8")).hexdigest()[:16]


@dataclass(frozen=True)
class ListPaths:
    """Every file name that a job list owns."""

    root: Path

    @property
    def jobs(self) -> Path:
        return Path(self.root) / "jobs.json"

    @property
    def list_lock(self) -> Path:
        return Path(self.root) / "locks" / ".list.lock"

    def lock(self, name: str) -> Path:
        return Path(self.root) / "locks" / f"{name}.lock"

    def state(self, name: str) -> Path:
        return Path(self.root) / "states" / f"{name}.json"

    def attempts(self, name: str) -> Path:
        """Where earlier versions wrote a file for every attempt."""
        return Path(self.root) / "attempts" / name

    def log(self, name: str) -> Path:
        return Path(self.root) / "logs" / f"{name}.log"


@dataclass(frozen=True)
class JobList:
    """What ``jobs.json`` holds."""

    jobs: tuple[Job, ...]
    directory: Path  # where the commands run; absolute

    def __getitem__(self, name: str) -> Job:
        try:
            return self._by_name[name]
        except KeyError:
            raise UsageError(
                f"no job '{name}' in the list; the jobs are {named(self.jobs)}"
            ) from None

    @functools.cached_property
    def _by_name(self) -> dict[str, Job]:
        return {job.name: job for job in self.jobs}

    def with_all_before(self, names: Iterable[str]) -> list[Job]:
        """The jobs of these names, and all that they come after."""
        todo, found = list(names), dict[str, Job]()
        while todo:
            name = todo.pop()
            if name not in found:
                found[name] = self[name]
                todo += found[name].after
        return list(found.values())

    def run_directory(self, job: Job) -> Path | None:
        """The job's run directory, seen from here."""
        return None if job.run is None else self.directory / job.run

    def removed(self, job: Job) -> Path | None:
        """What a job that was done must have left and is not there; None where nothing is amiss."""
        left = job.leaves or job.run
        return left if left is not None and not (self.directory / left).exists() else None


@dataclass(frozen=True)
class Stored:
    """``jobs.json``; lists of earlier versions have jobs without ``leaves``."""

    directory: str  # relative to the list's
    jobs: list[Job]


def read(folder: Path) -> JobList:
    """Read a list.

    Raises UsageError where there is none, TinynetError where ``jobs.json`` is damaged.
    """
    path = ListPaths(Path(folder)).jobs
    try:
        found = files.typed(Stored, files.read_json(path))
    except FileNotFoundError:
        raise UsageError(
            f"{folder}: is no job list (no jobs.json); make one with 'tinynet jobs create'"
        ) from None
    except ValueError as error:
        raise TinynetError(f"{path}: is damaged ({error}); make the list again") from None
    except TinynetError as error:
        raise TinynetError(f"{error}; make the list again") from None
    jobs = tuple(found.jobs)
    directory = Path(os.path.normpath(Path(folder).absolute() / found.directory))
    try:
        require_fit(jobs)
        require_order(jobs)
    except UsageError as error:
        raise TinynetError(f"{path}: is damaged ({error}); make the list again") from None
    return JobList(jobs, directory)


def require_fit(jobs: Iterable[Job]) -> None:
    """Raise UsageError where a name cannot name a file or is taken, or where a job does nothing."""
    seen = set()
    for job in jobs:
        fault = component_fault(job.name)
        if fault:
            raise UsageError(f"job name {job.name!r} {fault}")
        if job.name in seen:
            raise UsageError(f"two jobs are named '{job.name}'")
        seen.add(job.name)
        if not job.commands or not all(job.commands):
            raise UsageError(f"job '{job.name}' has an empty command")
        if any("\0" in word for command in job.commands for word in command):
            raise UsageError(f"job '{job.name}' has a null character in a command")


def require_order(jobs: Sequence[Job]) -> None:
    """Raise UsageError unless every ``after`` names a job and none waits for itself."""
    levels(jobs)


def levels(jobs: Sequence[Job]) -> list[list[Job]]:
    """The jobs in groups: those of a group only come after jobs of the groups before it.

    Raises UsageError where an ``after`` names no job, or where jobs wait for each other.
    """
    names = {job.name for job in jobs}
    for job in jobs:
        for name in job.after:
            if name not in names:
                raise UsageError(f"job '{job.name}' comes after '{name}', which is not in the list")
    groups: list[list[Job]] = []
    placed: set[str] = set()
    left = list(jobs)
    while left:
        group = [job for job in left if placed.issuperset(job.after)]
        if not group:
            raise UsageError(f"these jobs wait for each other: {named(left)}")
        groups.append(group)
        placed.update(job.name for job in group)
        left = [job for job in left if job.name not in placed]
    return groups


def named(jobs: Sequence[Job]) -> str:
    """The names of the first jobs, and how many there are besides."""
    names = ", ".join(job.name for job in jobs[:8])
    return names + (f" and {len(jobs) - 8} more" if len(jobs) > 8 else "")
