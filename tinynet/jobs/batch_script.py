"""The common parts of batch scripts for Slurm and Grid Engine: plain bash, one job per task.

A script is rendered from the jobs and the options only, and can be read, kept and submitted by
hand.  All names and paths in it are quoted.
"""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tinynet.errors import StoppedEarly, UsageError
from tinynet.jobs.children import PACKAGE
from tinynet.jobs.job_list import Job, levels


@dataclass(frozen=True)
class BatchRequest:
    """What to request from the batch system for each task."""

    seconds: int | None = None  # time limit; None: the queue's own
    warning: int = 120  # seconds before the limit at which the run is told to stop
    at_once: int | None = None  # tasks that may run at the same time; None: no limit
    cpus: int | None = None  # per task; None: one for each solver
    gpu: bool = False  # one per task, or one for each solver of a job with several
    memory: str | None = None  # as the batch system writes it
    options: tuple[str, ...] = ()  # further options of the batch system
    retry: bool = False  # also jobs that have failed before

    def has_option(self, *beginnings: str) -> bool:
        """Whether one of ``options`` begins like this, and replaces the option we would give."""
        return any(option.startswith(beginnings) for option in self.options)


@dataclass(frozen=True)
class JobContext:
    """The folders and the interpreter that the script names."""

    directory: Path  # where the commands' relative paths start; absolute
    folder: Path  # the list; absolute
    python: str = sys.executable

    @property
    def logs(self) -> str:
        """The folder of the tasks' own logs, with a slash at its end."""
        return os.fspath(self.folder / "logs") + "/"


def arrays(jobs: Sequence[Job]) -> list[list[Job]]:
    """Divide the jobs into arrays, in the order in which they must run.

    The jobs of an array have the same number of solvers, since its tasks request the same.
    """
    names = {job.name for job in jobs}
    among = [
        dataclasses.replace(job, after=tuple(name for name in job.after if name in names))
        for job in jobs
    ]
    return [
        [job for job in level if job.solvers == solvers]
        for level in levels(among)
        for solvers in sorted({job.solvers for job in level})
    ]


def parse_time(text: str) -> int:
    """Seconds of ``90`` (minutes), ``8:00:00``, ``30:00`` (minutes), ``2-12`` (days, hours), ….

    As Slurm reads them.  Raises UsageError for anything else.
    """
    days, dash, rest = text.rpartition("-")
    parts = rest.split(":")
    if (
        not all(part.isdecimal() for part in parts)
        or len(parts) > 3
        or (dash and not days.isdecimal())
    ):
        raise UsageError(
            f"time '{text}': give minutes, hours:minutes:seconds, or days-hours:minutes:seconds"
        )
    numbers = [int(part) for part in parts]
    if dash:
        hours, minutes, seconds = (*numbers, 0, 0)[:3]
        return ((int(days) * 24 + hours) * 60 + minutes) * 60 + seconds
    if len(numbers) == 3:
        return (numbers[0] * 60 + numbers[1]) * 60 + numbers[2]
    return numbers[0] * 60 + (numbers[1] if len(numbers) == 2 else 0)


def time_text(seconds: int) -> str:
    """``8:00:00``, as both batch systems read it."""
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def plain_name(folder: Path) -> str:
    """A job name made from the list's folder, without characters that batch systems refuse."""
    return "tinynet-" + (re.sub(r"[^A-Za-z0-9._-]+", "_", folder.name) or "jobs")


def head(made_by: str, prefix: str, directives: Sequence[str]) -> list[str]:
    """The script's first lines: bash, the command that made it, and the directives.

    ``prefix`` begins a line that the batch system reads (``#SBATCH``, ``#$``).  Raises UsageError
    for a directive of more than one line.
    """
    for directive in directives:
        if not directive.isprintable():
            raise UsageError(f"{directive!r}: cannot be written to a batch script")
    return [
        "#!/bin/bash",
        f"# Made by '{made_by}'.  Each task of the array does one job of a list; one that is",
        "# stopped by its time limit, or loses its machine, resumes where it was.",
        *(f"{prefix} {directive}" for directive in directives),
        "",
    ]


def body(
    jobs: Sequence[Job],
    context: JobContext,
    request: BatchRequest,
    task: str,
    signals: Sequence[str],
    threads: str,
) -> list[str]:
    """The script's middle part: runs the job, passes signals on, and sets ``$status``.

    ``task``: bash arithmetic for the job's index from 0; ``signals``: names, without SIG, of those
    that stop the run; ``threads``: bash text for the number of threads.
    """
    values = {
        "jobs": "\n".join(f"    {shlex.quote(job.name)}" for job in jobs),
        "task": task,
        "list": shlex.quote(os.fspath(context.folder)),
        "python": shlex.quote(context.python),
        "package": shlex.quote(os.fspath(PACKAGE)),
        "directory": shlex.quote(os.fspath(context.directory)),
        "traps": "\n".join(f"trap 'pass_on {name}' {name}" for name in signals),
        "device": "--gpu 0" if request.gpu else "--cpu",
        "threads": threads,
        "retry": " --retry" if request.retry else "",
        "stopped": str(StoppedEarly.exit_status),
    }
    # one pass over the template: inserted text is not searched for placeholders
    return re.sub(r"<<(\w+)>>", lambda match: values[match[1]], _BODY).splitlines()


_BODY = """\
jobs=(
<<jobs>>
)
job=${jobs[<<task>>]}
list=<<list>>
python=<<python>>
tinynet=<<package>>
cd <<directory>> || exit 1

# While bash waits for a program, it acts on no signal.  So the run goes into the background, and
# signals are passed on to it.  It leaves a snapshot and ends with status <<stopped>>.
run='' signalled=''
# shellcheck disable=SC2317,SC2329 # the traps call it
pass_on() {
    signalled=$1
    echo "SIG$1: $job is told to stop"
    [ -z "$run" ] || kill -s USR1 "$run"
}
<<traps>>
"$python" "$tinynet" jobs run "$list" "$job" <<device>> --threads <<threads>><<retry>> &
run=$!
[ -z "$signalled" ] || kill -s USR1 "$run"
# Bash acts on a signal that comes just before a wait only when the wait ends, so each wait is a
# second long.
while kill -0 "$run" 2>/dev/null; do
    sleep 1 &
    wait "$!"
done
wait "$run"
status=$?
# killed by the signal before it could set this status itself
[ -z "$signalled" ] || [ "$status" -le 128 ] || status=<<stopped>>

"""
