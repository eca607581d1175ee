"""Makes jobs for the usual runs: stages with several seeds, ensemble members, any solver."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tinynet.errors import TinynetError, UsageError
from tinynet.experiment.paths import PROTOTXT_ROOT, StagePaths, member_name
from tinynet.experiment.stages import Stage, stage
from tinynet.jobs.job_list import Job
from tinynet.run import solver_files
from tinynet.run.paths import RUNS_ROOT, RunPaths, stage_of

ENSEMBLE = "ensemble"


@dataclass(frozen=True)
class Options:
    """Options that all jobs of a list share."""

    prototxt: Path = PROTOTXT_ROOT
    runs: Path = RUNS_ROOT
    train: Sequence[str] = ()  # further options of `tinynet train`
    evaluate: Sequence[str] | None = ("--oversample",)  # of `tinynet evaluate`; None: do not run it
    engine: Sequence[str] = ()  # --engine and --caffe-python, for these two and `tinynet ensemble`


def jobs_of_stage(number: int, seeds: Sequence[int], options: Options) -> list[Job]:
    """One job per seed; for the ensemble, one job per member and one that averages them.

    Raises UsageError if there is no such stage, or if its prototxt does not exist.
    """
    wanted = stage(number)
    if wanted.is_ensemble:
        return list(_ensemble(wanted, range(1, wanted.members + 1), options))
    solver = StagePaths(options.prototxt, wanted.name).solver
    what = ["--stage", str(number), "--prototxt", os.fspath(options.prototxt)]
    return [
        _training(solver, what, wanted.name, f"seed{seed}", seed, options) for seed in seeds or [1]
    ]


def jobs_of_members(members: Sequence[int], options: Options) -> list[Job]:
    """One job per given member of stage 8, and one that averages them."""
    ensemble = stage(8)
    for member in members:
        ensemble.require_member(member)
    return list(_ensemble(ensemble, members, options))


def jobs_of_solver(solver: Path, seeds: Sequence[int], options: Options) -> list[Job]:
    """One job per seed; without seeds, one job with the solver's own seed."""
    folder = stage_of(solver)
    what = [os.fspath(solver)]
    if seeds:
        return [_training(solver, what, folder, f"seed{seed}", seed, options) for seed in seeds]
    seed = int(solver_files.load(solver)[0].random_seed)
    return [_training(solver, what, folder, f"seed{seed}", None, options)]


def _ensemble(ensemble: Stage, members: Sequence[int], options: Options) -> Iterator[Job]:
    trainings = []
    for member in members:
        solver = StagePaths(options.prototxt, ensemble.name, member).solver
        what = ["--stage", str(ensemble.number), "--member", str(member)]
        what += ["--prototxt", os.fspath(options.prototxt)]
        trainings.append(_training(solver, what, ensemble.name, member_name(member), None, options))
    yield from trainings
    runs = [os.fspath(job.run) for job in trainings if job.run is not None]
    average = [ENSEMBLE, *runs, "--out", os.fspath(options.runs / ENSEMBLE), *options.engine]
    yield Job(ENSEMBLE, (tuple(average),), None, tuple(job.name for job in trainings))


def _training(
    solver: Path,
    what: Sequence[str],
    stage_name: str,
    name: str,
    seed: int | None,
    options: Options,
) -> Job:
    """The job of a training and its evaluation; its run directory is RUNS/STAGE_NAME/NAME.

    ``what``: the arguments that name the training to `tinynet train`.
    """
    if not solver.exists():
        raise UsageError(
            f"{solver}: no such solver; generate the stages with 'tinynet generate', or name "
            "where they lie with --prototxt"
        )
    deploy = solver.with_name("deploy.prototxt")
    if options.evaluate is not None and not deploy.exists():
        raise TinynetError(
            f"{deploy}: no such file, and the evaluation after the training runs this net; write "
            "it, or give --no-evaluate"
        )
    run = RunPaths.of(options.runs, stage_name, name).root
    train = ["train", *what, "--runs", os.fspath(options.runs), "--name", name]
    train.append("--quiet")  # the run has a log of its own
    if seed is not None:
        train += ["--seed", str(seed)]
    commands = [(*train, *options.engine, *options.train)]
    if options.evaluate is not None:
        commands.append(("evaluate", os.fspath(run), *options.engine, *options.evaluate))
    return Job(f"{stage_name}-{name}", tuple(commands), run)
