"""Submits batch scripts with the batch system's own command."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tinynet.errors import TinynetError
from tinynet.jobs.batch_script import BatchRequest, JobContext
from tinynet.jobs.job_list import Job


@dataclass(frozen=True)
class BatchSystem:
    """How a batch system's scripts are written and submitted.

    ``render`` returns the script of an array in which each task does one of the jobs.  ``command``
    submits a script and prints the array's id, after which Slurm may print ``;CLUSTER`` and Grid
    Engine prints ``.FIRST-LAST:STEP``.  ``after``: the option, with ``{}`` for an id, that lets an
    array start when all tasks of that one have ended.
    """

    render: Callable[[Sequence[Job], JobContext, BatchRequest], str]
    command: tuple[str, ...]
    after: str

    def submit(self, scripts: Sequence[Path], directory: Path) -> list[str]:
        """Submit arrays from ``directory``, each after the one before; return their ids.

        Raises TinynetError if the command does not exist here, and with its own message if it
        refuses a script.
        """
        ids: list[str] = []
        for script in scripts:
            options = self.after.format(ids[-1]).split() if ids else []
            printed = _output_of([*self.command, *options, os.fspath(script)], directory)
            ids.append(re.split("[.;]", printed)[0].strip())
        return ids

    def submission_commands(self, scripts: Sequence[Path]) -> str:
        """Shell commands that do the same as ``submit``."""
        lines: list[str] = []
        for script in scripts:
            words = [*self.command, shlex.quote(os.fspath(script))]
            if lines:
                words.insert(-1, self.after.format('"${id%%[.;]*}"'))
            lines.append(f"id=$({' '.join(words)})")
        return "\n".join(lines)


def _output_of(command: Sequence[str], directory: Path) -> str:
    try:
        child = subprocess.run(
            command, cwd=directory, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
    except FileNotFoundError:
        raise TinynetError(
            f"{command[0]} is not on this machine; submit the scripts where it is"
        ) from None
    if child.returncode != 0:
        said = " ".join((child.stderr or child.stdout).split())
        raise TinynetError(f"{command[0]}: {said or f'exit status {child.returncode}'}")
    return child.stdout
