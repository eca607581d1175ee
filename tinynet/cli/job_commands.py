"""Checks the commands of a job list before any of them is started."""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tinynet.errors import TinynetError, UsageError

if TYPE_CHECKING:
    from tinynet.jobs.job_list import Job


def require_understood(job: Job) -> None:
    """Raise where a command of the job is wrong: now, rather than when it is started.

    UsageError for its options, TinynetError for a solver file that cannot be used.  Nets and data
    may be made later, so they are not checked.
    """
    from tinynet.cli.train import request_of
    from tinynet.run import solver_files

    for command in job.commands:
        given = dict(_parsed(command).params)
        if command[0] == "train":
            del given["as_json"]
            request = request_of(**given)
            solver_files.load(request.solver, request.overrides)


def _parsed(command: tuple[str, ...]) -> click.Context:
    from tinynet.cli.main import COMMANDS

    name, *arguments = command
    module = importlib.import_module(f"tinynet.cli.{COMMANDS[name][0]}")
    try:
        context: click.Context = getattr(module, name).make_context(f"tinynet {name}", arguments)
    except click.UsageError as error:
        raise UsageError(
            f"'tinynet {name}' does not take these options: {error.format_message()}"
        ) from None
    return context


def common_fault(folder: Path, again: bool) -> str | None:
    """Why none of a list's trainings can begin, such as missing data; None if one can.

    Otherwise many jobs would fail one after the other, and the user would have to find their one
    reason.  Where one can begin, the others that fail do not stop it.  ``again``: jobs that have
    failed before are to be begun too.
    """
    from tinynet.jobs import states
    from tinynet.jobs.job_list import read

    job_list, known = read(folder), states.states(folder)
    ready = [
        job
        for job in job_list.jobs
        if known[job.name].is_open(again) and not states.blocked_by(job, known)
    ]
    if not ready:
        return None
    if not job_list.directory.is_dir():
        return (
            f"{folder}: its jobs run in {job_list.directory}, which does not exist; move that "
            "folder back, or make the list again"
        )
    first: TinynetError | OSError | None = None
    with _in_directory(job_list.directory):
        for job in ready:
            try:
                _require_startable(job)
            except (TinynetError, OSError) as error:
                first = first or error
            else:
                return None
    return f"{folder}: none of its {len(ready)} jobs can begin: {ready[0].name}: {first}"


def _require_startable(job: Job) -> None:
    from tinynet.cli.train import request_of
    from tinynet.run.plan import require_startable

    if job.commands[0][0] == "train":
        given = dict(_parsed(job.commands[0]).params)
        del given["as_json"]
        require_startable(request_of(**given))


@contextlib.contextmanager
def _in_directory(folder: Path) -> Iterator[None]:
    """Change to the directory of the list's commands, whose relative paths start there."""
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
