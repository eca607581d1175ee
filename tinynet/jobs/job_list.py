"""A job list: a folder whose ``jobs.json`` states what to run, and in which order.

    LIST/jobs.json               the jobs, in order, and where their relative paths start
    LIST/states/NAME.json        the last attempt at a job: who began it, and how it ended
    LIST/locks/NAME.lock         locked by the runner that works on the job
    LIST/logs/NAME.log           the output of the job's commands

Whether a job waits, runs or is done follows from these files (``jobs.states``), so a list needs no
process of its own.
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
    """Work to be done once: a few commands in order, usually to train and evaluate one run.

    ``name``      unique in its list, and a valid file name
    ``commands``  argument lists of ``tinynet``, run one after the other; each is idempotent, since
                  a stopped job starts again at its first command
    ``run``       the run directory that the commands make, if any: if it has been removed, the job
                  is no longer done
    ``leaves``    a file that exists once the job is done.  If it is given, the run may be removed,
                  and the job is no longer done if the file has been removed
    ``after``     names of jobs that must be done before this one begins

    Commands that take ``--gpu N`` or ``--cpu`` and name neither get a device from their runner; a
    training with ``--solvers K`` gets K GPUs.
    """

    name: str
    commands: tuple[tuple[str, ...], ...]
    run: Path | None = None
    after: tuple[str, ...] = ()
    leaves: Path | None = None

    @property
    def solvers(self) -> int:
        """How many solvers its training has; each takes a GPU."""
        for command in self.commands:
            words = [part for word in command for part in word.split("=", 1)]
            number = dict(zip(words, words[1:])).get("--solvers", "")
            if command[0] == "train" and number.isdecimal():
                return max(1, int(number))
        return 1

    def digest(self) -> str:
        """A hash of what the job does: an attempt at other commands has another digest."""
        content = [self.commands, None if self.run is None else os.fspath(self.run)]
        return hashlib.sha256(json.dumps(content).encode("utf-8")).hexdigest()[:16]


@dataclass(frozen=True)
class ListPaths:
    """The paths of the files of a job list."""

    root: Path

    @property
    def jobs(self) -> Path:
        return self.root / "jobs.json"

    @property
    def list_lock(self) -> Path:
        return self.root / "locks" / ".list.lock"

    def lock(self, name: str) -> Path:
        return self.root / "locks" / f"{name}.lock"

    def state(self, name: str) -> Path:
        return self.root / "states" / f"{name}.json"

    def log(self, name: str) -> Path:
        return self.root / "logs" / f"{name}.log"


@dataclass(frozen=True)
class JobList:
    """The jobs of a list, as read from ``jobs.json``."""

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
        """The jobs of these names, and all jobs that must be done before them."""
        todo, found = list(names), dict[str, Job]()
        while todo:
            name = todo.pop()
            if name not in found:
                found[name] = self[name]
                todo += found[name].after
        return list(found.values())

    def run_directory(self, job: Job) -> Path | None:
        """The job's run directory as an absolute path; None if it has none."""
        return None if job.run is None else self.directory / job.run

    def removed(self, job: Job) -> Path | None:
        """The file or run directory that a done job must have left but does not exist, or None."""
        left = job.leaves or job.run
        return left if left is not None and not (self.directory / left).exists() else None


@dataclass(frozen=True)
class Stored:
    """The content of ``jobs.json``; jobs in lists of earlier versions have no ``leaves``."""

    directory: str  # relative to the list's
    jobs: list[Job]


def read(folder: Path) -> JobList:
    """Read a list.

    Raises UsageError if there is none, TinynetError if ``jobs.json`` is damaged.
    """
    path = ListPaths(folder).jobs
    try:
        stored = files.typed(Stored, files.read_json(path))
    except FileNotFoundError:
        raise UsageError(
            f"{folder}: is not a job list (no jobs.json); make one with 'tinynet jobs create'"
        ) from None
    except ValueError as error:
        raise TinynetError(f"{path}: is damaged ({error}); make the list again") from None
    except TinynetError as error:
        raise TinynetError(f"{error}; make the list again") from None
    jobs = tuple(stored.jobs)
    # it was written relative to the list's real place
    directory = Path(os.path.normpath(folder.resolve() / stored.directory))
    try:
        require_fit(jobs)
        require_order(jobs)
    except UsageError as error:
        raise TinynetError(f"{path}: is damaged ({error}); make the list again") from None
    return JobList(jobs, directory)


def require_fit(jobs: Iterable[Job]) -> None:
    """Raise UsageError for an invalid or repeated name, or for a job with an empty command."""
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
    """Raise UsageError unless every ``after`` names a job and there are no cycles."""
    levels(jobs)


def levels(jobs: Sequence[Job]) -> list[list[Job]]:
    """The jobs in groups; those of a group depend only on jobs of the groups before it.

    Raises UsageError if an ``after`` names no job, or if jobs wait for each other.
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
    """The names of the first jobs, and how many more there are."""
    names = ", ".join(job.name for job in jobs[:8])
    return names + (f" and {len(jobs) - 8} more" if len(jobs) > 8 else "")
