"""The whole experiment in minutes: data set → LMDB → prototxt → runs → ten crops → ensemble.

The demo is a list of ``tinynet`` commands, each shown before it runs, so that it can be repeated by
hand.  What is done already is kept: an interrupted demo resumes where it was.
"""

from __future__ import annotations

import shlex
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tinynet.caffeformat import schema, text
from tinynet.dataset.manifest import read_manifest
from tinynet.dataset.paths import DataPaths
from tinynet.engine import signals
from tinynet.errors import StoppedEarly, TinynetError, UsageError
from tinynet.experiment.stages import stage
from tinynet.jobs import children
from tinynet.predict.metrics import Metrics
from tinynet.predict.probabilities import read_probabilities
from tinynet.run.log import Record, read_history
from tinynet.run.paths import RunPaths
from tinynet.study.paths import ExperimentPaths

Say = Callable[[str], None]

AGAIN = "delete it and start the demo again, which makes it anew"


@dataclass(frozen=True)
class Training:
    """One run of the demo."""

    stage: int
    seed: int
    member: bool  # of the demo's small ensemble

    def run(self, runs: Path) -> Path:
        return runs / stage(self.stage).name / f"seed{self.seed}"


# Two stages show what a change does.  Two seeds of the one with crops make the ensemble, since
# stage 8's own members, nets of stage 7, cost twice as much an iteration.
TRAININGS = (
    Training(1, 1, False),
    Training(3, 1, True),
    Training(3, 2, True),
)
# Small batches, with a rate to suit them, learn most from the few images that minutes allow.
BATCH_SIZE = 16
BASE_LR = 0.005
# A net needs to see its images often before dropout and crops pay: stage 1 has learned the drawn
# images by heart after 12 passes.  So few are drawn that minutes are enough for that, and stage 3,
# which learns slower, has twice the passes, as in the stages' own schedules.
ITERATIONS = {1: 300, 3: 600}  # of each stage
DRAWN = ("--classes", "10", "--train-per-class", "40")


@dataclass(frozen=True)
class DemoPaths(ExperimentPaths):
    """Where the demo puts things, under one folder."""

    @property
    def images(self) -> Path:
        return self.root / "images"

    @property
    def lmdb(self) -> Path:
        return self.root / "lmdb"

    @property
    def results(self) -> Path:
        return self.root / "results"


def lengths(folders: DemoPaths, iterations: int | None) -> dict[int, int]:
    """Iterations of each stage: those asked for, those of the folder's runs, or the usual.

    Raises UsageError if the folder's runs have another length than is asked for: schedules
    follow the length, so that a run of one cannot become a run of the other.
    """
    iterations_of = {}
    for number, usual in ITERATIONS.items():
        paths = [RunPaths(t.run(folders.runs)) for t in TRAININGS if t.stage == number]
        begun = {
            int(text.read(path.solver, schema.SolverParameter).max_iter)
            for path in paths
            if path.solver.exists()
        }
        iterations_of[number] = iterations or min(begun, default=usual)
        if begun - {iterations_of[number]}:
            raise UsageError(
                f"{folders.root}: holds a demo of {max(begun):,} iterations, not of "
                f"{iterations_of[number]:,}; leave out --max-iter to resume it, name another "
                "folder with --out, or remove this one"
            )
    return iterations_of


def commands(
    dataset: Path | None, folders: DemoPaths, iterations: dict[int, int]
) -> Iterator[list[str]]:
    """The ``tinynet`` commands of the demo, in order, without those whose work is done."""
    if dataset is None and not folders.images.exists():
        yield ["data", "synthesize", "--out", str(folders.images), *DRAWN]
    if not DataPaths(folders.lmdb).manifest.exists():
        yield ["data", "convert", str(dataset or folders.images), "--out", str(folders.lmdb)]
    for number, length in iterations.items():
        yield [
            *("generate", "--stage", str(number)),
            *("--data", str(folders.lmdb), "--out", str(folders.prototxt)),
            *("--batch-size", str(BATCH_SIZE), "--base-lr", str(BASE_LR)),
            *("--max-iter", str(length), "--test-interval", str(max(1, length // 2))),
            *("--display", "20"),
        ]
    for training in TRAININGS:
        yield [
            *("train", "--stage", str(training.stage), "--seed", str(training.seed)),
            *("--prototxt", str(folders.prototxt), "--runs", str(folders.runs), "--cpu"),
        ]
    for training in TRAININGS:
        run = str(training.run(folders.runs))
        yield ["evaluate", run, "--oversample", "--cpu"]
    members = [str(training.run(folders.runs)) for training in TRAININGS if training.member]
    yield ["ensemble", *members, "--out", str(folders.results), "--cpu"]


def run(dataset: Path | None, folders: DemoPaths, iterations: int | None, say: Say) -> None:
    """Run the demo's commands one after the other, each in a process of its own.

    Raises UsageError if the folder holds a demo of another length; StoppedEarly after a signal,
    which is passed on to the running command; TinynetError, naming the command, if one fails, after
    that command has printed its reason.
    """
    resumes = "the demo resumes from here when it is started again"
    iterations_of = lengths(folders, iterations)
    noted: list[int] = []
    with signals.caught(signals.STOP, noted.append):
        for command in commands(dataset, folders, iterations_of):
            say(f"\n$ tinynet {shlex.join(command)}")
            status = _status(command, noted)
            if noted:
                name = signal.Signals(noted[0]).name
                raise StoppedEarly(f"{folders.root}: stopped by {name}; {resumes}")
            if status != 0:
                raise TinynetError(
                    f"'tinynet {command[0]}' ended with status {status}; the reason is above; "
                    f"once that is mended, {resumes}"
                )


def _status(command: list[str], noted: Sequence[int]) -> int:
    """Run a command to its end, passing on each signal that comes meanwhile."""
    child = children.start(command, None)
    passed_on = 0
    while True:
        try:
            return child.wait(timeout=0.1)
        except subprocess.TimeoutExpired:
            for number in noted[passed_on:]:
                child.send_signal(number)
                passed_on += 1


def require_same_data(dataset: Path | None, folders: DemoPaths) -> None:
    """Raise TinynetError if the folder holds a demo of another data set."""
    if not DataPaths(folders.lmdb).manifest.exists():
        return
    source = read_manifest(folders.lmdb).source
    path = (dataset or folders.images).resolve()
    wanted = path.stem if path.suffix == ".zip" else path.name
    if source != wanted:
        raise TinynetError(
            f"{folders.root} holds the demo of {source}, not of {wanted}; remove it, "
            "or name another folder with --out"
        )


@dataclass(frozen=True)
class Result:
    """Validation scores: of one crop as training logged it, and of ``views`` averaged crops."""

    label: str
    one_crop: float | None  # 0…1
    oversampled: Metrics
    views: int


def results(folders: DemoPaths) -> list[Result]:
    """The demo's table, from the files that its commands left: every run, then the ensemble."""
    rows = []
    for training in TRAININGS:
        paths = RunPaths(training.run(folders.runs))
        many = read_probabilities(paths.probabilities("val", oversample=True), AGAIN)
        logged = [r for r in read_history(paths.history) if "val_accuracy" in r]
        # the stages train for different lengths, without which their accuracies mislead
        label = f"{_label(training)}, {logged[-1]['iteration']} iterations"
        rows.append(Result(label, logged[-1]["val_accuracy"], many.metrics, many.views))
    mean = read_probabilities(folders.results / "val_10crop.npz", AGAIN)
    members = sum(training.member for training in TRAININGS)
    rows.append(Result(f"ensemble of {members}", None, mean.metrics, mean.views))
    return rows


def passes(folders: DemoPaths) -> dict[int, float]:
    """How often each stage's trainings have seen each training image."""
    images = read_manifest(folders.lmdb).counts["train"]
    return {
        number: length * BATCH_SIZE / images for number, length in lengths(folders, None).items()
    }


def histories(folders: DemoPaths) -> dict[str, list[Record]]:
    """Label of each run → its history, for learning curves."""
    return {
        _label(training): read_history(RunPaths(training.run(folders.runs)).history)
        for training in TRAININGS
    }


def _label(training: Training) -> str:
    return f"{stage(training.stage).title}, seed {training.seed}"
