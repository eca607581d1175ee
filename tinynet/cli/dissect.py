"""``tinynet dissect``: every stage from several seeds, and what each change is worth."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinynet.cli import shared_options
from tinynet.cli.click_extensions import FILE, FOLDER, PATH, RenamedOption
from tinynet.cli.messages import say
from tinynet.cli.repeat import command_line
from tinynet.dataset.paths import DATA_ROOT
from tinynet.engine.precision import PRECISIONS
from tinynet.errors import UsageError

if TYPE_CHECKING:
    from tinynet.cli.dissect_work import Devices
    from tinynet.dataset.split import Plan
    from tinynet.jobs.job_list import Job
    from tinynet.study.settings import Settings
    from tinynet.study.trainings import DissectionPaths, DissectionRequest


OUT = Path("runs/dissection")
HOLD_OUT = 0.1


@click.command(
    epilog=shared_options.example(
        "tinynet dissect data/lmdb --split-seed 1 --seeds 1-3 --out runs/dissection"
    )
)
@click.argument("data", required=False, type=PATH)
@click.option(
    "--out",
    type=PATH,
    default=OUT,
    metavar="DIR",
    help="Where split data, prototxt, runs and the job list lie.",
)
@click.option(
    "--results",
    type=PATH,
    metavar="DIR",
    help="Where finished runs' small files and the table lie; default OUT/results.",
)
@shared_options.numbers(
    "--stage",
    "stages",
    help_line="Only these stages, in this order of work; 8 is the ensemble.  Default: all.",
)
@click.option(
    "--variant",
    "variants",
    multiple=True,
    metavar="NAME",
    help="A variant, too, of those in 'tinynet generate --help' (may be given again).",
)
@click.option(
    "--overrides",
    "overrides_files",
    type=FILE,
    multiple=True,
    help="What 'tinynet search' found for the stage that FILE names; may be given again.  Stage 8 "
    "varies around stage 7's; a variant takes only its own.",
)
@shared_options.seeds("Seeds of each stage's trainings.  [default: 1-3; 1 with --folds]")
@click.option(
    "--folds",
    type=click.IntRange(2),
    metavar="K",
    help="K-fold cross-validation over training and validation images instead, of stage 7 or "
    "those named.",
)
@click.option(
    "--split-seed",
    type=shared_options.SEED,
    help="Hold out tuning images, which alone may choose.  Without it, choices and reported "
    "figures are on the same images, val.",
)
@click.option(
    "--hold-out",
    type=shared_options.FiniteRange(0, 1, min_open=True, max_open=True),
    metavar="PART",
    help=f"With --split-seed: this part of the training images.  [default: {HOLD_OUT}]",
)
@click.option("--half-val", is_flag=True, help="With --split-seed: one half of val instead.")
@click.option(
    "--epochs-factor",
    type=shared_options.FiniteRange(0, min_open=True),
    default=1.0,
    help="Train every stage X times its epochs; the table says so.",
)
@click.option("--batch-size", type=shared_options.COUNT, help="Images in each update; default 128.")
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    default="float32",
    help="Arithmetic of all trainings, as in 'tinynet train'; the table says so.",
)
@shared_options.engine("For training and evaluation.")
@shared_options.caffe_python
@shared_options.cpu("Use")
@click.option("--processes", type=click.IntRange(1), help="On the CPU: N trainings at once.")
@click.option("--per-gpu", type=click.IntRange(1), help="N trainings at once on each GPU.")
@click.option(
    "--gpus-per-job",
    type=click.IntRange(1),
    help="Share each training's batch among N solvers, on N GPUs (or among processes).",
)
@click.option(
    "--within",
    type=shared_options.FiniteRange(0, min_open=True),
    metavar="SECONDS",
    help="Begin no training that would not end within this time, judged by the rates so far.",
)
@click.option(
    "--pack",
    type=FOLDER,
    help="Also put each finished run into small tar files in DIR, as soon as it is done.",
)
@click.option(
    "--plan",
    "plan_only",
    is_flag=True,
    help="Only say what is left to do and, from a few timed iterations, how long it takes here.",
)
@click.option(
    "--write-jobs",
    "jobs_only",
    cls=RenamedOption,
    former=["--jobs"],
    is_flag=True,
    help="Only write the job list OUT/jobs.",
)
@click.option("--collect", is_flag=True, help="Train nothing: collect finished runs, and print.")
@click.option(
    "--evaluate",
    "is_evaluating",
    is_flag=True,
    help="With --collect: first evaluate finished runs that lack evaluations.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the table as JSON.")
def dissect(
    data: Path | None,
    out: Path,
    results: Path | None,
    stages: list[int],
    variants: tuple[str, ...],
    overrides_files: tuple[Path, ...],
    seeds: list[int],
    folds: int | None,
    split_seed: int | None,
    hold_out: float | None,
    half_val: bool,
    epochs_factor: float,
    batch_size: int | None,
    precision: str,
    engine: str,
    caffe_python: str | None,
    cpu: bool,
    processes: int | None,
    per_gpu: int | None,
    gpus_per_job: int | None,
    within: float | None,
    pack: Path | None,
    plan_only: bool,
    jobs_only: bool,
    collect: bool,
    is_evaluating: bool,
    as_json: bool,
) -> None:
    """Train and evaluate every stage from several seeds, and show what each change is worth.

    DATA is what 'tinynet data convert' wrote (default data/lmdb).  Finished work is kept; the same
    command resumes the rest, and more seeds or stages are added to what is there.
    What has not run reads "not run".  The ensemble's first members are the last single stage's
    runs.  One seed of each variant and stage is trained first, then the ensemble's models, then
    other seeds.
    """
    from tinynet.cli import dissect_plan, dissect_work
    from tinynet.experiment.overrides import read_overrides_by_stage
    from tinynet.experiment.solvers import Overrides
    from tinynet.study.dissection import planned
    from tinynet.study.results import ResultsPaths
    from tinynet.study.trainings import DissectionPaths, DissectionRequest

    if plan_only + jobs_only + collect > 1:
        raise UsageError("--plan, --write-jobs and --collect: choose one")
    if folds is not None and (hold_out is not None or half_val):
        raise UsageError("--folds holds out each fold: leave out --hold-out and --half-val")
    if folds is not None and (pack is not None or within is not None or plan_only):
        raise UsageError("--plan, --within and --pack are for a dissection; leave out --folds")
    if is_evaluating and (not collect or folds is not None):
        raise UsageError("--evaluate goes with --collect, and without --folds")
    if within is not None and (plan_only or jobs_only or collect):
        raise UsageError("--within is for trainings: leave out --plan, --write-jobs, --collect")
    if per_gpu is not None and (cpu or processes is not None):
        raise UsageError("--per-gpu is for GPUs: leave out --cpu and --processes")
    searched = read_overrides_by_stage(overrides_files)
    request = DissectionRequest(
        data=data or DATA_ROOT,
        folders=DissectionPaths(out, ResultsPaths(results or out / "results")),
        stages=_numbers(stages, folds),
        seeds=seeds or ([1, 2, 3] if folds is None else [1]),
        variants=_variants(variants),
        split=None if folds is not None else _split(split_seed, hold_out, half_val),
        epochs_factor=epochs_factor,
        precision=precision,
        overrides=Overrides(batch_size=batch_size, solvers=gpus_per_job or 1),
        searched_values={stage: values.solver for stage, values in searched.items()},
        selection_set={
            stage: values.selection_set
            for stage, values in searched.items()
            if values.selection_set is not None
        },
        engine=shared_options.engine_words(engine, caffe_python, cpu),
        command=command_line(),
        pack=pack,
    )
    if folds is None:
        asked = [request]
    else:
        from tinynet.study.cross_validation import requests

        asked = list(requests(request, folds, 1 if split_seed is None else split_seed))
    devices = dissect_work.Devices(
        *(engine, caffe_python, cpu, precision), processes, per_gpu, gpus_per_job or 1
    )
    if plan_only:
        dissect_plan.show(request, devices)
        return
    done = None
    if not collect:
        costs = None
        if not jobs_only:
            left = [training for each in asked for training in planned(each)]
            if left:  # now, before any data is split; the table of what is there takes no engine
                devices.require_engine()
                devices.slots()  # refuses GPUs that are not here
            if folds is None:
                costs = {training.cost.run: training.cost for training in left}
                if within is None:  # what has a limit does not spend it on timing
                    dissect_plan.show_if_long(left, devices)
        jobs = _jobs(asked)
        if jobs_only:
            dissect_work.write_list(request.folders, jobs)
        elif jobs:
            done = dissect_work.work(request.folders, jobs, devices, costs, within)
    for each in asked:
        _collect(each, devices if is_evaluating else None)
    plain, shown = _results(request.folders, folds, pack)
    if as_json:
        click.echo(json.dumps(plain))
    elif not jobs_only:
        click.echo(shown)
        click.echo(f"results: {request.folders.results.root}")
    if done is not None:
        done.require_complete(request.folders.jobs)


def _jobs(asked: list[DissectionRequest]) -> list[Job]:
    """The jobs that are left of one dissection, or of one for each fold."""
    from tinynet.study.dissection import prepare
    from tinynet.study.settings import choices

    jobs = []
    for request in asked:
        prefix = f"{request.folders.root.name}-" if len(asked) > 1 else ""
        settings, left = prepare(request)
        jobs += [dataclasses.replace(job, name=prefix + job.name) for job in left]
        for choice in choices(settings):
            if not choice.is_honest:
                say(prefix.replace("-", ": ") + choice.text)
    return jobs


def _collect(request: DissectionRequest, evaluating: Devices | None) -> None:
    """Collect finished runs; ``evaluating``: where to evaluate first those that are not yet."""
    from tinynet.study.dissection import collect_finished
    from tinynet.study.settings import read_settings

    folders = request.folders
    settings = read_settings(folders.results)
    if settings is None:
        raise UsageError(
            f"{folders.results.root}: holds no dissection; 'tinynet dissect DATA' begins one"
        )
    if evaluating is not None:
        _evaluate(request, settings, evaluating)
    with folders.changing_results():
        collect_finished(folders, settings)


def _evaluate(request: DissectionRequest, settings: Settings, devices: Devices) -> None:
    from tinynet.dataset.paths import DataPaths
    from tinynet.predict.evaluate import obtain
    from tinynet.study.dissection import evaluations_left

    folders = request.folders
    data = folders.data if DataPaths(folders.data).manifest.exists() else request.data
    for each in evaluations_left(folders, settings, data):
        say(f"evaluating {each.out}")
        obtain(
            dataclasses.replace(
                each,
                engine=devices.engine,
                caffe_python=devices.caffe_python,
                cpu=devices.cpu,
            ),
            say,
        )


def _results(folders: DissectionPaths, folds: int | None, pack: Path | None) -> tuple[Any, str]:
    """Write the table of what there is, and pack it; return it as plain data and as text."""
    from tinynet.cli import dissect_report
    from tinynet.study import cross_validation, dissection_table, packing
    from tinynet.study.results import write_dissection

    with folders.changing_results():
        if folds is not None:
            stages = cross_validation.summarize(folders, folds)
            plain: Any = [dataclasses.asdict(stage) for stage in stages]
            return plain, dissect_report.folds_text(stages)
        made = dissection_table.build(folders.results)
        write_dissection(folders.results.root, made)
        if pack is not None:
            left = packing.pack(folders.results, pack)
            if left:
                say(f"{pack}: is full; {len(left)} finished runs are not in it: {', '.join(left)}")
    return dataclasses.asdict(made), dissect_report.text(made)


def _numbers(stages: Sequence[int], folds: int | None) -> list[int]:
    from tinynet.experiment.stages import STAGES, stage

    numbers = list(dict.fromkeys(stage(n).number for n in stages))
    if folds is None:
        return numbers or [s.number for s in STAGES]
    if any(stage(n).is_ensemble for n in numbers):
        raise UsageError("--folds trains single stages, 1 to 7; leave out --stage 8")
    return numbers or [STAGES[-2].number]


def _variants(names: tuple[str, ...]) -> list[str]:
    from tinynet.experiment.variants import variant

    return list(dict.fromkeys(variant(name).name for name in names))


def _split(split_seed: int | None, hold_out: float | None, half_val: bool) -> Plan | None:
    from tinynet.dataset.split import HalfVal, Tuning

    if split_seed is None:
        if hold_out is not None or half_val:
            raise UsageError("--hold-out and --half-val go with --split-seed N")
        return None
    if half_val:
        if hold_out is not None:
            raise UsageError("--hold-out and --half-val: choose one")
        return HalfVal(split_seed)
    return Tuning(HOLD_OUT if hold_out is None else hold_out, split_seed)
