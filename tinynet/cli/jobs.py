"""``tinynet jobs create|local|run|status``, and the group of all job commands."""

from __future__ import annotations

import json
import os
import shlex
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinynet.cli import shared_options
from tinynet.cli.click_extensions import PATH, Group, RenamedOption
from tinynet.cli.jobs_batch import LIST, sge, slurm
from tinynet.cli.messages import say
from tinynet.errors import TinynetError, UsageError
from tinynet.run.paths import RUNS_ROOT

if TYPE_CHECKING:
    from tinynet.jobs.job_list import Job
    from tinynet.jobs.local import JobsReport
    from tinynet.jobs.slots import Slots
    from tinynet.jobs.status import RunStatus

_JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
# options that the list gives each job
_OWN = ("--stage", "--member", "--seed", "--random-seed", "--prototxt", "--runs", "--name")
_RETRY = click.option("--retry", is_flag=True, help="Begin again jobs that have failed.")


@click.group(
    cls=Group,
    epilog=shared_options.example(
        "tinynet jobs create lists/seeds --stage 7 --seeds 1-5",
        "tinynet jobs local lists/seeds",
        "tinynet jobs slurm lists/seeds --time 8:00:00 --on-gpu --submit",
        "tinynet jobs status lists/seeds",
    ),
)
def jobs() -> None:
    """Run many trainings: over the GPUs or cores of this machine, or through a batch system.

    A job list is a folder; every job trains a run and evaluates it.  Any number of runners may
    work on one list; finished jobs are not done again.  'local' needs no scheduler: it takes the
    free GPUs, or the cores.
    """


@jobs.command(
    short_help="Make a job list, or add to it.",
    epilog=shared_options.example("tinynet jobs create lists/dissection --stage 1-8 --seeds 1-3"),
)
@LIST
@click.argument("solvers", nargs=-1, metavar="[SOLVER]...", type=PATH)
@shared_options.numbers(
    "--stage", "stages", help_line="Stages; 8 means all its members and their average."
)
@shared_options.numbers(
    "--member", "members", help_line="Members of stage 8, and the average of just these."
)
@shared_options.seeds(
    "One run for each of these seeds (members have their own); default 1, or what the SOLVER has."
)
@click.option(
    "--train",
    "train_options",
    metavar="OPTIONS",
    default="",
    show_default=False,
    help="More options of 'tinynet train', as one word: --train '--max-iter 500'",
)
@click.option(
    "--evaluate",
    "evaluate_options",
    metavar="OPTIONS",
    default="--oversample",
    help="Options of 'tinynet evaluate' after the training.",
)
@click.option("--no-evaluate", is_flag=True, help="Only train.")
@click.option(
    "--gpus-per-job",
    type=click.IntRange(min=1),
    help="Train each with N solvers together, on N GPUs: 'tinynet train --solvers N'.",
)
@shared_options.prototxt_root
@click.option("--runs", type=PATH, default=RUNS_ROOT, metavar="DIR", help="Where the runs go.")
@shared_options.engine("What all jobs run on, as in 'tinynet train'.")
@shared_options.caffe_python
@_JSON
def create(
    folder: Path,
    solvers: tuple[Path, ...],
    stages: list[int],
    members: list[int],
    seeds: list[int],
    train_options: str,
    evaluate_options: str,
    no_evaluate: bool,
    gpus_per_job: int | None,
    prototxt: Path,
    runs: Path,
    engine: str,
    caffe_python: str | None,
    as_json: bool,
) -> None:
    """Make the job list LIST, or add to it: stages, ensemble members, any solver.prototxt.

    Each job trains one run (RUNS/STAGE/seedN, or memberNN) and evaluates it; 'ensemble' averages
    the members when all are done.  What is in the list already stays as it is.
    """
    from tinynet.cli.job_commands import require_understood
    from tinynet.jobs import jobs_of_stages
    from tinynet.jobs.additions import add_jobs

    solvers_option = () if gpus_per_job is None else ("--solvers", str(gpus_per_job))
    options = jobs_of_stages.Options(
        prototxt,
        runs,
        (*_words(train_options, "--train"), *solvers_option),
        None if no_evaluate else _words(evaluate_options, "--evaluate"),
        shared_options.engine_words(engine, caffe_python),
    )
    planned: list[Job] = []
    for number in stages:
        planned += jobs_of_stages.jobs_of_stage(number, seeds, options)
    if members:
        planned += jobs_of_stages.jobs_of_members(members, options)
    for solver in solvers:
        planned += jobs_of_stages.jobs_of_solver(solver, seeds, options)
    if not planned:
        raise UsageError("name what to run: --stage, --member, or a SOLVER.prototxt")
    for job in planned:
        require_understood(job)
    job_list = add_jobs(folder, planned)
    if as_json:
        click.echo(json.dumps({"list": str(folder), "jobs": [job.name for job in job_list.jobs]}))
        return
    count = len(job_list.jobs)
    jobs, them = ("1 job", "it") if count == 1 else (f"{count} jobs", "them")
    command = shlex.join(["tinynet", "jobs", "local", str(folder)])
    click.echo(f"{folder}: {jobs}; begin {them} here with {command}")


def _words(text: str, option: str) -> list[str]:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"{option} {text}: {error}") from None
    for word in words:
        if word.partition("=")[0] in _OWN:
            raise UsageError(
                f"{option} {text}: {word} is set by the list, which names each job's run; "
                "'tinynet jobs create' itself has --stage, --member, --seeds, --prototxt, --runs"
            )
    return words


@jobs.command(
    short_help="Do the jobs on the free GPUs here, or the cores.",
    epilog=shared_options.example(
        "tinynet jobs local lists/dissection --gpus 0,2,3 --leave-free 1"
    ),
)
@LIST
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    help="On the CPU: N jobs at once, the cores divided among them.",
)
@shared_options.gpu("Run one job at a time on")
@click.option(
    "--gpus",
    type=shared_options.GpuList(takes_uuids=True),
    metavar="N|N,N|all",
    help="Use N GPUs, those numbered 0,1, or all (the default if there are any): one job on each, "
    "or on as many as it has solvers.",
)
@click.option(
    "--leave-free",
    type=click.IntRange(min=0),
    default=0,
    help="Leave N GPUs (or cores) to others; jobs on GPUs are stopped for it if need be.",
)
@click.option(
    "--gpu-memory",
    "memory",
    cls=RenamedOption,
    former=["--memory"],
    type=click.IntRange(min=0),
    default=4096,
    metavar="MIB",
    help="Free memory that a GPU must have.",
)
@click.option("--share", is_flag=True, help="Also use GPUs on which others compute.")
@_RETRY
@_JSON
def local(
    folder: Path,
    processes: int | None,
    gpu: int | None,
    gpus: str | None,
    retry: bool,
    as_json: bool,
    **limits: Any,
) -> None:
    """Do the jobs of LIST on this machine, as many at once as there are free GPUs.

    A job that fails is reported, and the others are done all the same; where none can begin, for
    want of data, say, none is begun.  The command may be started again, and several times at once:
    finished jobs are not done again, and those that were stopped or killed resume.  Ctrl-C, or
    SIGTERM, SIGHUP, SIGUSR1 and SIGUSR2, stop every run with a snapshot.
    """
    from tinynet.cli.job_commands import common_fault
    from tinynet.jobs import local as runner

    shared_options.at_most_one(processes=processes, gpu=gpu, gpus=gpus)
    if gpu is not None:
        gpus = f"{gpu},"  # a list of one
    slots = _slots(folder, processes, gpus, **limits)
    fault = common_fault(folder, retry)
    if fault is not None:
        raise TinynetError(fault)
    _conclude(runner.run(folder, slots, say, again=retry), folder, as_json)


def _slots(
    folder: Path,
    processes: int | None,
    gpus: str | None,
    leave_free: int,
    memory: int,
    share: bool,
) -> Slots:
    from tinynet.jobs import gpus as gpu_module
    from tinynet.jobs.job_list import read
    from tinynet.jobs.slots import shares_of_cores

    if processes is not None or (gpus is None and not gpu_module.are_here()):
        return shares_of_cores(processes or 1, leave_free)
    allowed = gpu_module.chosen(gpu_module.look(), gpus, os.environ.get("CUDA_VISIBLE_DEVICES"))
    if len(allowed) <= leave_free:
        raise UsageError(f"--leave-free {leave_free}: only {len(allowed)} GPUs may be used")
    slots = gpu_module.Gpus(allowed, memory, leave_free, share)
    most = max(read(folder).jobs, key=lambda job: job.solvers, default=None)
    if most is not None:
        slots.require(most.solvers, f"job '{most.name}'")
    return slots


@jobs.command(
    short_help="Do single jobs: what batch scripts call.",
    epilog=shared_options.example(
        "tinynet jobs run lists/dissection stage7_dropout2-seed1 --gpu 0"
    ),
)
@LIST
@click.argument("names", nargs=-1, required=True, metavar="JOB...")
@shared_options.gpu("Run on")
@shared_options.cpu("Run on")
@click.option("--threads", type=click.IntRange(min=1), help="Threads for each job.")
@_RETRY
@_JSON
def run(
    folder: Path,
    names: tuple[str, ...],
    gpu: int | None,
    cpu: bool,
    threads: int | None,
    retry: bool,
    as_json: bool,
) -> None:
    """Do single jobs of LIST, one after the other: what batch scripts call.

    Waits where another runner works on one of them; one that is done already is left as it is.
    """
    from tinynet.jobs import local as runner
    from tinynet.jobs.slots import SingleSlot

    shared_options.at_most_one(gpu=gpu, cpu=cpu)
    slot = SingleSlot(gpu, cpu, threads)
    _conclude(runner.run(folder, slot, say, only=names, again=retry), folder, as_json)


def _conclude(report: JobsReport, folder: Path, as_json: bool) -> None:
    if as_json:
        found = {name: state.name for name, state in report.states.items()}
        click.echo(json.dumps({"list": str(folder), "jobs": found, "begun": report.begun}))
    report.require_complete(folder)
    if not as_json:
        count = len(report.states)
        click.echo(
            f"{folder}: " + ("the job is done" if count == 1 else f"all {count} jobs are done")
        )


@jobs.command(
    short_help="Show every run: state, iteration, accuracy, time left.",
    epilog=shared_options.example("tinynet jobs status lists/dissection"),
)
@LIST
@_JSON
def status(folder: Path, as_json: bool) -> None:
    """Show every run of LIST: state, iteration, last validation accuracy, time left.

    It only reads files, so it works from any machine that sees them.  Time left is that of the
    training, at its recent speed.
    """
    from tinynet.jobs.status import statuses

    runs = statuses(folder)
    if as_json:
        click.echo(json.dumps([entry.as_dict() for entry in runs]))
    else:
        _print_statuses(runs)


def _print_statuses(runs: list[RunStatus]) -> None:
    from tinynet.report.table import as_text, of_texts

    rows = [
        [
            entry.job,
            entry.state,
            "" if entry.iteration is None else f"{entry.iteration:,} / {entry.max_iter:,}",
            "" if entry.val_accuracy is None else f"{100 * entry.val_accuracy:.2f} %",
            _time_left(entry),
            entry.where or "",
            entry.message,
        ]
        for entry in runs
    ]
    header = ["job", "state", "iteration", "val accuracy", "left", "on", "message"]
    click.echo(as_text(of_texts(header, rows, right=(2, 3, 4), wrap=(6,))))
    counts = Counter(entry.state for entry in runs)
    click.echo(", ".join(f"{count} {state}" for state, count in counts.items()))


def _time_left(entry: RunStatus) -> str:
    from tinynet.run.status import duration

    if entry.seconds_left is None or entry.state == "done":
        return ""
    return duration(entry.seconds_left)


jobs.add_command(slurm)
jobs.add_command(sge)
