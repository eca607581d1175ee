"""Adds jobs to a list, even if runners have worked on it already."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from tinynet import files
from tinynet.errors import UsageError
from tinynet.files import locked
from tinynet.jobs import states
from tinynet.jobs.job_list import (
    Job,
    JobList,
    ListPaths,
    Stored,
    read,
    require_fit,
    require_order,
)


def add_jobs(folder: Path, jobs: Sequence[Job], known_unfinished: bool = False) -> JobList:
    """Add ``jobs`` to the list in ``folder``; make the list if it does not exist.

    Jobs that the list has already stay as they are, with their states.  A job of the same name with
    other commands replaces the old one if that waits or has failed, and is refused if that is done,
    stopped or running.  ``known_unfinished``: replace it in any state; the caller has checked that
    these jobs still have to be done, and that their commands resume what was done of them (a
    stopped run, say, on another device).

    Relative paths in the commands start at the working directory of the first call.  Raises
    UsageError for a name that cannot be a file name or is given twice, for an ``after`` that names
    no job or forms a cycle, and for a list that was begun in another directory.
    """
    require_fit(jobs)
    paths = ListPaths(folder)
    with locked(paths.list_lock):
        known: dict[str, Job] = {}
        if paths.jobs.exists():
            before = read(folder)
            if before.directory.resolve() != Path.cwd().resolve():
                raise UsageError(
                    f"{folder}: is a list whose paths start in {before.directory}; add to it from "
                    "there, or make another list"
                )
            known = {job.name: job for job in before.jobs}
        for job in jobs:
            old = known.get(job.name)
            if old is not None and old.digest() != job.digest() and not known_unfinished:
                state = states.state(folder, old, before)
                if state.name not in (states.WAITING, states.FAILED):
                    raise UsageError(
                        f"{folder}: job '{job.name}' is {state.name} with other commands; give the "
                        "new one another name"
                    )
            known[job.name] = job
        require_order(list(known.values()))
        job_list = JobList(tuple(known.values()), Path.cwd())
        # relative, so that a list and its runs can be moved together
        directory = os.path.relpath(job_list.directory.resolve(), folder.resolve())
        files.write_json(paths.jobs, Stored(directory, list(job_list.jobs)))
    return job_list
