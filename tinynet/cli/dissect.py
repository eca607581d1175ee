"""``tinynet dissect``: every stage from several seeds, and what each change is worth."""

from __future__ import annotations

import dataclasses
import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinynet.errors import UsageError
from tinynet.paths import DATA_ROOT

if TYPE_CHECKING:
    from tinynet.data.split import Plan
    from tinynet.experiments.dissection import Folders
    from tinynet.jobs.places import Places

OUT = Path("runs/dissection")
HOLD_OUT = 0.1


@click.command(
    epilog="Example: tinynet dissect data/lmdb --split-seed 1 --seeds 3 --out runs/dissection"
)
@click.argument("data", required=False, type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=OUT,
    show_default=True,
    metavar="DIR",
    help="Where split data, prototxt, runs and the job list lie.",
)
@click.option(
    "--results",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where finished runs' small files and the table lie; default OUT/results.",
)
@click.option(
    "--stage",
    "stages",
    type=int,
    multiple=True,
    metavar="N",
    help="Only these stages, in this order of work; 8 is the ensemble.  Default: all.",
)
@click.option("--variant", "variants", multiple=True, metavar="NAME", help="A variant, too.")
@click.option(
    "--seeds",
    type=click.IntRange(1, 11),
    default=3,
    show_default=True,
    metavar="N",
    help="Trainings of each stage, from the seeds 1 to N.",
)
@click.option(
    "--split-seed",
    type=int,
    metavar="S",
    help="Hold tuning pictures out, which alone may choose; without it, val is reported and chose.",
)
@click.option(
    "--hold-out",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    metavar="PART",
    help=f"With --split-seed: this part of the training pictures.  [default: {HOLD_OUT}]",
)
@click.option("--half-val", is_flag=True, help="With --split-seed: one half of val instead.")
@click.option(
    "--epochs-factor",
    type=click.FloatRange(0, min_open=True),
    default=1.0,
    show_default=True,
    metavar="F",
    help="Train every stage F times its epochs; the table says so.",
)
@click.option("--batch-size", type=click.IntRange(1), metavar="B", help="Pictures an update.")
@click.option(
    "--engine",
    default="auto",
    show_default=True,
    metavar="auto|caffe|torch",
    help="For training and evaluation.",
)
@click.option("--caffe-python", metavar="PYTHON", help="Interpreter (or environment) with Caffe.")
@click.option("--cpu", is_flag=True, help="Use the CPU, even where there is a GPU.")
@click.option(
    "--processes", type=click.IntRange(1), metavar="N", help="On the CPU: N trainings at once."
)
@click.option("--jobs", "jobs_only", is_flag=True, help="Only write the job list OUT/jobs.")
@click.option("--collect", is_flag=True, help="Train nothing: take over what is done, and print.")
@click.option("--json", "as_json", is_flag=True, help="Print the table as JSON.")
def dissect(
    data: Path | None,
    out: Path,
    results: Path | None,
    stages: tuple[int, ...],
    variants: tuple[str, ...],
    seeds: int,
    split_seed: int | None,
    hold_out: float | None,
    half_val: bool,
    epochs_factor: float,
    batch_size: int | None,
    engine: str,
    caffe_python: str | None,
    cpu: bool,
    processes: int | None,
    jobs_only: bool,
    collect: bool,
    as_json: bool,
) -> None:
    """Train and evaluate every stage from several seeds, and show what each change is worth.

    DATA is what 'tinynet data convert' wrote (default data/lmdb).  What is done is kept, here or in
    --results; the same command goes on, and more seeds or stages are added to what is there.  What
    has not run reads "not run".  The ensemble's first members are the last single stage's runs.
    """
    from tinynet.cli import dissect_report
    from tinynet.experiments import dissection, table
    from tinynet.experiments import settings as experiment
    from tinynet.experiments.results import ResultsPaths, write_dissection

    folders = dissection.Folders(out, ResultsPaths(results or out / "results"))
    if collect:
        settings = experiment.load(folders.results)
        if settings is None:
            where = folders.results.root
            raise UsageError(f"{where}: holds no dissection; 'tinynet dissect DATA' begins one")
        dissection.collect_finished(folders, settings)
        found = None
    else:
        request = dissection.Request(
            data=data or DATA_ROOT,
            folders=folders,
            stages=_numbers(stages),
            seeds=seeds,
            variants=_variants(variants),
            plan=_plan(split_seed, hold_out, half_val),
            epochs_factor=epochs_factor,
            overrides=_overrides(batch_size),
            engine=_engine(engine, caffe_python, cpu),
            command=_command(),
        )
        settings, jobs = dissection.prepare(request)
        found = _work(folders, jobs, _places(cpu, processes), jobs_only)
        dissection.collect_finished(folders, settings)
    made = table.build(folders.results)
    write_dissection(folders.results.root, made)
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(made)))
    elif not jobs_only:
        click.echo(dissect_report.text(made))
        click.echo(f"table: {folders.results.table}, {folders.results.csv}")
    if found is not None:
        found.require_complete(folders.jobs)


def _command() -> str:
    """This command as another machine would repeat it: without what only steers the work here."""
    words = [word for word in sys.argv[1:] if word not in ("--jobs", "--json")]
    return shlex.join(["tinynet", *words])


def _work(folders: Folders, jobs: list[Any], places: Places, jobs_only: bool) -> Any:
    """Write the job list and do it, or say how; what became of it, None where nothing was done."""
    from tinynet.jobs import job_list, local

    if not jobs:
        return None
    job_list.write(folders.jobs, jobs)
    if jobs_only:
        click.echo(
            f"{folders.jobs}: {len(jobs)} jobs; begin them with 'tinynet jobs local "
            f"{folders.jobs}' or 'tinynet jobs slurm|sge {folders.jobs}'"
        )
        return None
    return local.run(folders.jobs, places, _say, only=[job.name for job in jobs], again=True)


def _places(cpu: bool, processes: int | None) -> Places:
    import os

    from tinynet.jobs import gpus
    from tinynet.jobs.places import Cores

    if cpu or processes is not None or not gpus.are_here():
        return Cores(processes or 1)
    return gpus.Gpus(gpus.chosen(gpus.look(), None, os.environ.get("CUDA_VISIBLE_DEVICES")))


def _numbers(stages: tuple[int, ...]) -> list[int]:
    from tinynet.stages import STAGES, stage

    return list(dict.fromkeys(stage(n).number for n in stages)) or [s.number for s in STAGES]


def _variants(names: tuple[str, ...]) -> list[str]:
    from tinynet.variants import variant

    return list(dict.fromkeys(variant(name).name for name in names))


def _plan(split_seed: int | None, hold_out: float | None, half_val: bool) -> Plan | None:
    from tinynet.data.split import HalfVal, Tuning

    if split_seed is None:
        if hold_out is not None or half_val:
            raise UsageError("--hold-out and --half-val go with --split-seed S")
        return None
    if half_val:
        if hold_out is not None:
            raise UsageError("--hold-out and --half-val: choose one")
        return HalfVal(split_seed)
    return Tuning(HOLD_OUT if hold_out is None else hold_out, split_seed)


def _overrides(batch_size: int | None) -> Any:
    from tinynet.prototxt.solvers import Overrides

    return Overrides(batch_size=batch_size)


def _engine(engine: str, caffe_python: str | None, cpu: bool) -> list[str]:
    options = [] if engine == "auto" else ["--engine", engine]
    options += ["--caffe-python", caffe_python] if caffe_python else []
    return options + (["--cpu"] if cpu else [])


def _say(line: str) -> None:
    click.echo(line, err=True)
