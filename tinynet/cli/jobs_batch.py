"""``tinynet jobs slurm|sge``: a job list for a batch system."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinynet import files
from tinynet.cli import shared_options
from tinynet.cli.click_extensions import PATH, RenamedOption
from tinynet.cli.messages import say
from tinynet.errors import UsageError

if TYPE_CHECKING:
    from tinynet.jobs.submission import BatchSystem

LIST = click.argument("folder", metavar="LIST", type=PATH)


def _batch_options(memory_example: str) -> shared_options.Option:
    return shared_options.all_of(
        click.option("--time", metavar="TIME", help="Time limit of a task, as in 8:00:00."),
        click.option(
            "--warning",
            type=click.IntRange(min=10),
            default=120,
            metavar="SECONDS",
            help="How long before the limit the run is told to stop.",
        ),
        click.option("--at-once", type=click.IntRange(min=1), help="Run at most N tasks at once."),
        click.option(
            "--cpus",
            type=click.IntRange(min=1),
            help="Cores (and threads) of each task; default 1, or one for each solver.",
        ),
        click.option(
            "--on-gpu",
            "gpu",
            cls=RenamedOption,
            former=["--gpu"],
            is_flag=True,
            help="One GPU for each task, or for each of its solvers.",
        ),
        click.option(
            "--memory", metavar="SIZE", help=f"Memory of each task, as in {memory_example}."
        ),
        click.option(
            "--option",
            "options",
            multiple=True,
            metavar="OPTION",
            help="Any other option of the batch system (may be given again).",
        ),
        click.option("--retry", is_flag=True, help="Also the jobs that have failed before."),
        click.option("--submit", is_flag=True, help="Submit, and print the job ids."),
    )


@click.command(
    short_help="Write Slurm batch scripts for what is not done, and submit them.",
    epilog=shared_options.example(
        "tinynet jobs slurm lists/dissection --time 8:00:00 --on-gpu --at-once 4 "
        "--option --partition=gpu --submit"
    ),
)
@LIST
@_batch_options("16G")
def slurm(**given: Any) -> None:
    """Write Slurm batch scripts for the jobs of LIST that are not done, and submit them.

    There is one array of tasks, and another for each group of jobs that depends on others (the
    ensemble's average).  Before its time limit a run is told to stop, leaves a snapshot, and its
    task is put back into the queue; so is one that is preempted or whose node fails.  Runs that
    scancel ended can resume: submit the list again.
    """
    from tinynet.jobs.slurm import SLURM

    _batch(SLURM, "slurm", **given)


@click.command(
    short_help="Write Grid Engine batch scripts for what is not done, and submit them.",
    epilog=shared_options.example(
        "tinynet jobs sge lists/dissection --time 24:00:00 --at-once 4 --submit"
    ),
)
@LIST
@_batch_options("4G")
def sge(**given: Any) -> None:
    """Write Grid Engine batch scripts for the jobs of LIST that are not done, and submit them.

    Works as 'tinynet jobs slurm' does.  The names of the parallel environment (smp) and of the GPU
    resource (gpu) differ between sites: replace them, as in --option '-pe openmp 4' --option '-l
    ngpus=1'.
    """
    from tinynet.jobs.grid_engine import GRID_ENGINE

    _batch(GRID_ENGINE, "sge", **given)


def _batch(
    system: BatchSystem,
    name: str,
    folder: Path,
    submit: bool,
    time: str | None,
    warning: int,
    retry: bool,
    **options: Any,
) -> None:
    """``asked``: the other fields of a BatchRequest."""
    from tinynet.cli.job_commands import common_fault
    from tinynet.jobs import batch_script, job_list, states

    seconds = None if time is None else batch_script.parse_time(time)
    if seconds is not None and seconds <= warning:
        raise UsageError(f"--time {time}: leaves no time to work before the --warning {warning} s")
    jobs = job_list.read(folder)
    known = states.states(folder)
    left = [job for job in jobs.jobs if known[job.name].is_open(retry)]
    for state in (states.RUNNING, states.FAILED):
        others = [job for job in jobs.jobs if known[job.name].name == state]
        if others and not known[others[0].name].is_open(retry):
            more_to_do = "; --retry takes them too" if state == states.FAILED else ""
            say(f"left out, {state}: {job_list.named(others)}{more_to_do}")
    if not left:
        say(f"{folder}: nothing is left to submit")
        return
    fault = common_fault(folder, retry)
    if fault is not None:  # of this machine: a node of the cluster may have what is not here
        say(f"as seen from here, {fault}")
    context = batch_script.JobContext(jobs.directory.resolve(), folder.resolve())
    request = batch_script.BatchRequest(seconds=seconds, warning=warning, retry=retry, **options)
    texts = [system.render(group, context, request) for group in batch_script.arrays(left)]
    scripts = [folder / f"{name}-{number}.sh" for number in range(1, len(texts) + 1)]
    (folder / "logs").mkdir(exist_ok=True)
    for script, text in zip(scripts, texts):
        files.write_text(script, text)
    if not submit:
        click.echo(system.submission_commands(scripts))
        return
    for script, identifier in zip(scripts, system.submit(scripts, Path.cwd())):
        say(f"{script}: submitted")
        click.echo(identifier)
