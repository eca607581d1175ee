"""The paper's section 4.2, with several seeds: which trainings are to be run, and their files.

    OUT/data/      the data split anew, where a tuning set is held out (tinynet data split)
    OUT/prototxt/  the stages at this experiment's lengths and batch size
    OUT/runs/      run directories: snapshots, logs
    OUT/jobs/      the job list: one job a training
    RESULTS/       what is kept of finished runs, and the table (``study.results``)
    RESULTS/.lock  held while RESULTS is changed: jobs of a list end at the same time

Every training is a job of ``tinynet train`` and ``tinynet evaluate`` commands, done here or by a
batch system.  A training whose results are there is no longer in the list.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tinynet.caffeformat import schema, text
from tinynet.dataset.manifest import Manifest, read_manifest
from tinynet.dataset.paths import DataPaths
from tinynet.dataset.selection_set import overlap
from tinynet.dataset.split import split
from tinynet.errors import UsageError
from tinynet.experiment import data_description as dataset
from tinynet.experiment import generate
from tinynet.experiment.paths import WARM_UP
from tinynet.experiment.solvers import batch_size
from tinynet.jobs.job_list import Job
from tinynet.predict.evaluate import EvaluationRequest
from tinynet.run import record as runs
from tinynet.run.paths import RunPaths
from tinynet.study import collect
from tinynet.study.cost import CROPS, Cost, cost
from tinynet.study.recipes import Recipe, recipe
from tinynet.study.settings import (
    Settings,
    Split,
    describe_data,
    merged_settings,
    read_settings,
    splits_of,
    write_settings,
)
from tinynet.study.trainings import (
    LAST_SINGLE,
    DissectionPaths,
    DissectionRequest,
    Training,
    ensemble_members,
    nets,
    planned_runs,
    stage_numbers,
    trainings_of,
)


def prepare(request: DissectionRequest) -> tuple[Settings, list[Job]]:
    """Split the data, write the prototxt and ``experiment.json``; return the jobs left to do.

    Existing files are checked and kept.  Raises UsageError if the results folder holds another
    experiment, or if searched values were chosen on images that a data set with a tuning set
    reports; TinynetError if the data or the files in the folders cannot be used.
    """
    _require_stages_of_searched_values(request)
    read_manifest(request.data)  # without data no folder is begun
    with request.folders.changing_results():
        return _prepare(request)


def _prepare(request: DissectionRequest) -> tuple[Settings, list[Job]]:
    results = request.folders.results
    known = read_settings(results)
    data, manifest = _data(request)
    settings, files, trainings = _experiment(request, known, data, manifest)
    generate.write(files)  # not before: trainings of what is there may be under way
    for name in planned_runs(settings):
        run = RunPaths(request.folders.runs / name)
        collect.drop_incomplete(run, name, results, settings)
    collect_finished(request.folders, settings)
    write_settings(settings, results)
    left = [t for t in trainings if not results.scores(t.run).exists()]
    return settings, [_job(training, request, settings, data) for training in left]


def _experiment(
    request: DissectionRequest, known: Settings | None, data: Path, manifest: Manifest
) -> tuple[Settings, dict[Path, str], list[Training]]:
    """The settings of all that is known and asked, the prototxt by path, and what is asked for.

    ``known``: of the results folder.  Raises UsageError if that holds another experiment.
    """
    files, epochs = _generate(request, data)
    members = ensemble_members(request, known)
    trainings = trainings_of(request, members)
    reported, tuning = splits_of(manifest)
    new = Settings(
        data=describe_data(manifest),
        reported=reported,
        tuning=tuning,
        seeds=sorted(set(request.seeds)),
        stages=sorted(stage_numbers(request)),
        variants=list(request.variants),
        members=members,
        epochs=epochs,
        epochs_factor=request.epochs_factor,
        batch_size=batch_size(request.overrides),
        recipes=dict(_recipes(trainings, files)),
        overrides={name: dict(values) for name, values in request.searched_values.items()},
        choices=_choices(request, data, reported, tuning is not None),
        command=request.command,
        train_sample=_train_sample(request, manifest),
        precision=request.precision,
    )
    settings = merged_settings(known, new, os.fspath(request.folders.results.root))
    return settings, files, trainings


@dataclass(frozen=True)
class Planned:
    """A training that is left to do: its cost, net and solver, which may not be written yet."""

    cost: Cost
    net: schema.NetParameter
    solver: schema.SolverParameter


def planned(request: DissectionRequest) -> list[Planned]:
    """The trainings left to do, in the order of work; writes nothing.

    Where the data is still to be split, the whole set is counted, so that costs are upper bounds.
    Raises as ``prepare`` does.
    """
    _require_stages_of_searched_values(request)
    data, manifest = request.data, read_manifest(request.data)
    results = request.folders.results
    known = read_settings(results)
    is_to_be_split = request.split is not None and not (
        DataPaths(request.folders.data).manifest.exists()
    )
    if not is_to_be_split:
        data, manifest = _data(request)
    # the digests of a split that is still to be made are compared when it is there
    settings, files, trainings = _experiment(
        request, None if is_to_be_split else known, data, manifest
    )
    evaluated = settings.train_sample or manifest.counts["train"]
    for split_ in (settings.reported, settings.tuning):
        if split_ is not None:
            evaluated += (1 + CROPS) * manifest.counts[split_.name]
    found = []
    for training in trainings:
        if results.scores(training.run).exists():
            continue
        if known is not None and _will_be_taken_over(request.folders, training.run, known):
            continue
        net, solver = _net_and_solver(training, files)
        one = cost(training.run, net, solver, evaluated)
        whole = replace(one, batch=one.batch * request.overrides.solvers)
        found.append(Planned(whole, net, solver))
    return found


def _will_be_taken_over(folders: DissectionPaths, name: str, settings: Settings) -> bool:
    """Whether a run that is not in the results yet is done, so that ``prepare`` collects it."""
    run = RunPaths(folders.runs / name)
    record = runs.load(run.run_json)
    if record is not None and record.state == runs.DIVERGED:
        return True
    return collect.is_complete(run, record, settings)


def collect_finished(folders: DissectionPaths, settings: Settings) -> list[str]:
    """Copy finished runs into the results; return those that are there now."""
    return [
        name
        for name in planned_runs(settings)
        if collect.collect(RunPaths(folders.runs / name), name, folders.results, settings)
    ]


def evaluations_left(
    folders: DissectionPaths, settings: Settings, data: Path
) -> Iterator[EvaluationRequest]:
    """The missing evaluations of every finished run that the results do not hold yet.

    A job of the list evaluates what it has trained; a run that was trained by ``tinynet train``
    alone, or by an earlier release that evaluated less, has some left.  ``data``: the converted
    folder that the images are read from.
    """
    for name in planned_runs(settings):
        run = RunPaths(folders.runs / name)
        record = runs.load(run.run_json)
        is_there = folders.results.scores(name).exists()
        if record is not None and record.state == runs.FINISHED and not is_there:
            for evaluation in collect.evaluations(run, settings, data):
                if not evaluation.out.exists():
                    yield evaluation


def _train_sample(request: DissectionRequest, manifest: Manifest) -> int:
    """How many training images are measured; 0: all."""
    return request.train_sample if manifest.counts["train"] > request.train_sample else 0


def _choices(
    request: DissectionRequest, data: Path, reported: Split, is_honest: bool
) -> dict[str, dict[str, Any]]:
    made = {}
    for name, chosen in request.selection_set.items():
        shared = overlap(chosen, data, reported.name)
        if shared and is_honest:
            raise UsageError(
                f"--overrides: of the {reported.images:,} images that would be reported, "
                f"{shared:,} were used to choose {name}'s values ({chosen.role} of "
                f"{chosen.source}); search on the tuning images of this split"
            )
        made[name] = {**chosen.facts, "reported": shared}
    return made


# ---------------------------------------------------------------------- data and prototxt


def _data(request: DissectionRequest) -> tuple[Path, Manifest]:
    source = read_manifest(request.data)
    if request.split is None:
        return request.data, source
    folder = request.folders.data
    if not DataPaths(folder).manifest.exists():
        return folder, split(request.data, folder, request.split)
    manifest = read_manifest(folder)
    wanted = {"plan": type(request.split).__name__, **vars(request.split)}
    if (
        manifest.options.get("split") != wanted
        or manifest.options.get("split_of") != source.digests
    ):
        raise UsageError(
            f"{folder}: holds another split of {request.data}, or other data; name another --out"
        )
    return folder, manifest


def _generate(request: DissectionRequest, data: Path) -> tuple[dict[Path, str], dict[str, int]]:
    """The prototxt of every stage and variant asked for, by path; the epochs of each."""
    described = dataset.describe(data)
    files: dict[Path, str] = {}
    epochs = {}
    for net in nets(request):
        length = max(1, round(net.hyperparameters.epochs * request.epochs_factor))
        epochs[net.name] = length
        # the ensemble's first members are the last single stage's runs: the others vary around it
        searched = LAST_SINGLE.name if net.is_ensemble else net.name
        overrides = replace(
            request.overrides, epochs=length, searched=request.searched_values.get(searched, {})
        )
        files |= generate.generate(request.folders.prototxt, described, [net], overrides)
    return files, epochs


def _net_and_solver(
    training: Training, files: Mapping[Path, str]
) -> tuple[schema.NetParameter, schema.SolverParameter]:
    """A training's prototxt, read from the generated ``files``."""
    path = training.solver.with_name("train_val.prototxt")
    net = text.parse(files[path], schema.NetParameter, os.fspath(path))
    where = os.fspath(training.solver)
    return net, text.parse(files[training.solver], schema.SolverParameter, where)


def _require_stages_of_searched_values(request: DissectionRequest) -> None:
    names = [net.name for net in nets(request) if not net.is_ensemble]
    for name in request.searched_values:
        if name not in names:
            raise UsageError(
                f"--overrides: '{name}' is not among the nets to train ({', '.join(names)}); leave "
                "its file out, or add its --stage or --variant"
            )


# ------------------------------------------------------------------------------ what is to do


def _recipes(trainings: list[Training], files: Mapping[Path, str]) -> Iterator[tuple[str, Recipe]]:
    for training in trainings:
        net, solver = _net_and_solver(training, files)
        beside = training.solver.with_name(WARM_UP)
        warm_up = None
        if beside in files:
            warm_up = text.parse(files[beside], schema.SolverParameter, os.fspath(beside))
        yield training.recipe_name, recipe(net, solver, training.max_norm, warm_up)


def _job(training: Training, request: DissectionRequest, settings: Settings, data: Path) -> Job:
    folders = request.folders
    stage_name, name = training.run.split("/")
    run = RunPaths.of(folders.runs, stage_name, name)
    train = [
        *("train", *training.arguments, "--runs", os.fspath(folders.runs), "--name", name),
        *("--quiet", *request.engine),
    ]
    if request.precision != "float32":
        train += ["--precision", request.precision]
    if request.overrides.solvers > 1:
        train += ["--solvers", str(request.overrides.solvers)]
    commands = [tuple(train)]
    # a run that was trained before the data moved records their old place
    where = ("--data", os.fspath(data), *request.engine)
    commands += [
        (*evaluation.arguments, *where) for evaluation in collect.evaluations(run, settings)
    ]
    pack = () if request.pack is None else ("--pack", os.fspath(request.pack))
    commands.append(("dissect", "--collect", *(request.collect or folders.options), *pack))
    scores = folders.results.scores(training.run)
    return Job(f"{stage_name}-{name}", tuple(commands), run.root, leaves=scores)
