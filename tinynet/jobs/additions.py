"""Adds jobs to a list, which may have been worked on already."""

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


def add_jobs(folder: Path, jobs: Sequence[Job], are_left: bool = False) -> JobList:
    """Add ``jobs`` to the list in ``folder``, which is made where there is none.

    Jobs that are there already stay as they are, and so does what was done of them.  One of the
    same name with other commands takes the old one's place where nothing of that has been done
    (it waits or has failed), and is refused where it is done, stopped half-way or running; unless
    ``are_left``: the caller has seen that they are still to be done, by the commands given now,
    each of which resumes from what others have done (a run that was stopped, on another device).
    Relative paths in the commands start where this process runs, from the first call on.
    Raises UsageError for a name that is no file name, a name given twice, an ``after`` that names
    no job or leads back to itself, and for a list that was begun in another directory.
    """
    folder = Path(folder)
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
            if old is not None and old.digest() != job.digest() and not are_left:
                state = states.state(folder, old, before)
                if state.name not in (states.WAITING, states.FAILED):
                    raise UsageError(
                        f"{folder}: job '{job.name}' is {state.name} with other commands; give the "
                        "new one another name"
                    )
            known[job.name] = job
        require_order(list(known.values()))
        found = JobList(tuple(known.values()), Path.cwd())
        # relative, so that a list moves along with the runs that it speaks of
        directory = os.path.relpath(found.directory.resolve(), folder.resolve())
        files.write_json(paths.jobs, Stored(directory, list(found.jobs)))
    return found
