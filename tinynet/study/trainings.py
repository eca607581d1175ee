"""What a dissection was asked for, and which trainings that takes, in the order of work.

The ensemble averages as many models as stage 8 has members.  The first are the last single stage's
own runs, one for each seed, which differ in initialization; the others are stage 8's members with
the remaining numbers, which also differ in hyperparameters.  So no model is trained twice.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tinynet.dataset.selection_set import SelectionSet
from tinynet.dataset.split import Plan
from tinynet.experiment.hyperparameters import MEMBERS
from tinynet.experiment.paths import StagePaths, member_name
from tinynet.experiment.solvers import Overrides
from tinynet.experiment.stages import STAGES, Stage, stage
from tinynet.experiment.variants import variant
from tinynet.files import locked
from tinynet.study.paths import ExperimentPaths
from tinynet.study.results import ResultsPaths
from tinynet.study.settings import Settings

LAST_SINGLE, ENSEMBLE = STAGES[-2], STAGES[-1]
# With more training images than this, the training accuracy is measured on a sample of this size:
# as many as Tiny ImageNet's validation split has, so that its interval is as wide as the reported.
TRAIN_SAMPLE = 10_000


@dataclass(frozen=True)
class DissectionPaths(ExperimentPaths):
    """The folders of a dissection."""

    results: ResultsPaths

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def jobs(self) -> Path:
        return self.root / "jobs"

    @property
    def options(self) -> tuple[str, ...]:
        """The options of ``tinynet dissect`` that name these folders."""
        return ("--out", os.fspath(self.root), "--results", os.fspath(self.results.root))

    def changing_results(self) -> contextlib.AbstractContextManager[None]:
        """The lock to hold while reading RESULTS and writing what follows from it."""
        return locked(self.results.root / ".lock")


@dataclass(frozen=True)
class DissectionRequest:
    """What ``tinynet dissect`` was asked for.

    ``stages``: in the order of work.  ``seeds``: of each stage's trainings.  ``split``: how the
    data is split anew; None takes it as it is.  ``searched_values``: those that a search found, by
    the folder name of their stage; ``selection_set``: on which images, where that is known.
    ``epochs_factor``: multiplies every stage's epochs.  ``precision``: the arithmetic of trainings
    (``engine.precision``); evaluations are in float32.  ``engine``: options of train and evaluate.
    ``collect``: options of ``dissect --collect`` after each training; by default those of
    ``folders``.  ``train_sample``: at most so many training images are measured.  ``pack``: the
    folder into which finished runs are packed after each training (``study.packing``).
    """

    data: Path
    folders: DissectionPaths
    stages: Sequence[int]
    seeds: Sequence[int] = (1, 2, 3)
    variants: Sequence[str] = ()
    split: Plan | None = None
    epochs_factor: float = 1.0
    precision: str = "float32"
    overrides: Overrides = Overrides()
    searched_values: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    selection_set: Mapping[str, SelectionSet] = field(default_factory=dict)
    engine: Sequence[str] = ()
    command: str = ""
    collect: Sequence[str] = ()
    train_sample: int = TRAIN_SAMPLE
    pack: Path | None = None


@dataclass(frozen=True)
class Training:
    """One training: its run (STAGE/NAME), seed and solver, and the arguments of ``train``."""

    run: str
    seed: int
    solver: Path
    arguments: tuple[str, ...]
    max_norm: float | None = None

    @property
    def recipe_name(self) -> str:
        """The key of its recipe: seeds of a stage share one, each ensemble member has its own."""
        return self.run if "--member" in self.arguments else os.path.dirname(self.run)


def stage_numbers(request: DissectionRequest) -> list[int]:
    """The stages that are trained; with the ensemble also that whose runs are its first members."""
    first = [LAST_SINGLE.number] if ENSEMBLE.number in request.stages else []
    return list(dict.fromkeys([*request.stages, *first]))


def nets(request: DissectionRequest) -> Iterator[Stage]:
    """The stages and variants that are trained."""
    yield from (stage(number) for number in stage_numbers(request))
    yield from (variant(name) for name in request.variants)


def ensemble_members(request: DissectionRequest, known: Settings | None) -> list[str]:
    """The runs that the ensemble averages: the last single stage's, then stage 8's own.

    The members that a results folder has stay when seeds are added.  [] without stage 8.
    """
    if ENSEMBLE.number not in request.stages:
        return []
    if known is not None and known.members:
        return known.members
    numbers = range(1, len(MEMBERS) + 1)
    first = [f"{LAST_SINGLE.name}/seed{n}" for n in numbers if n in request.seeds]
    return [*first, *(_own_member(n) for n in numbers if n not in request.seeds)]


def trainings_of(request: DissectionRequest, members: Sequence[str]) -> list[Training]:
    """The trainings, each once, in order of priority.

    First one seed of each variant and of each stage; then the ensemble's models; then the other
    seeds.
    """
    by_run: dict[str, tuple[int, Training]] = {}  # with its priority, 0 first
    for net in sorted(nets(request), key=lambda net: net.is_ensemble):
        if net.is_ensemble:
            wanted = _own_members(request, members)
        else:  # a stage whose runs are members runs from their seeds too
            wanted = _seeds(net, request, _seeds_of_runs(members, net.name))
        for training in wanted:
            priority = 2 if training.run in members else 3
            if training.seed == min(request.seeds) and not net.is_ensemble:
                priority = 1 if net in STAGES else 0
            by_run.setdefault(training.run, (priority, training))
    return [training for _, training in sorted(by_run.values(), key=lambda pair: pair[0])]


def _seeds_of_runs(runs: Sequence[str], name: str) -> list[int]:
    """The seeds of the runs (STAGE/NAME) that belong to the stage called ``name``."""
    found = (re.fullmatch(rf"{re.escape(name)}/seed(\d+)", run) for run in runs)
    return [int(match[1]) for match in found if match]


def _seeds(net: Stage, request: DissectionRequest, more: Sequence[int]) -> Iterator[Training]:
    solver = StagePaths(request.folders.prototxt, net.name).solver
    for seed in sorted({*request.seeds, *more}):
        arguments = (os.fspath(solver), "--seed", str(seed), *net.train_options)
        yield Training(f"{net.name}/seed{seed}", seed, solver, arguments, net.max_norm)


def _own_members(request: DissectionRequest, members: Sequence[str]) -> Iterator[Training]:
    """The trainings of members that are not runs of the last single stage."""
    root = request.folders.prototxt
    for member in MEMBERS:
        run = _own_member(member.number)
        if run in members:
            which = ("--stage", str(ENSEMBLE.number), "--member", str(member.number))
            solver = StagePaths(root, ENSEMBLE.name, member.number).solver
            yield Training(run, member.random_seed, solver, (*which, "--prototxt", os.fspath(root)))


def _own_member(number: int) -> str:
    return f"{ENSEMBLE.name}/{member_name(number)}"


def planned_runs(settings: Settings) -> list[str]:
    """Every run (STAGE/NAME) of the table, each once."""
    singles = [stage(n).name for n in settings.stages if not stage(n).is_ensemble]
    names = [f"{name}/seed{s}" for name in (*singles, *settings.variants) for s in settings.seeds]
    return list(dict.fromkeys([*names, *settings.members]))
