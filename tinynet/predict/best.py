"""Chooses the runs whose average predicts best: those of one stage or variant, or the ensemble.

Every stage and variant offers the average of its finished runs; stage 8 offers the average of its
members and the last single stage's runs.  The group with the best accuracy on the validation split,
over ten crops, is chosen.  As a maximum, that accuracy is optimistic.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tinynet.errors import TinynetError, UsageError
from tinynet.experiment.stages import STAGES
from tinynet.predict.ensemble import Member, average, require_agreement
from tinynet.predict.probabilities import read_probabilities
from tinynet.run import record as runs
from tinynet.run.paths import RunPaths

SPLIT = "val"


@dataclass(frozen=True)
class Group:
    """Runs to average, and the top-1 accuracy of their average on the validation split."""

    name: str
    runs: list[Path]
    top1: float


def best(folders: Sequence[Path]) -> Group:
    """The best group among the finished runs below ``folders`` that have val_10crop.npz.

    Raises UsageError if there is none, TinynetError if the runs of a group cannot be averaged.
    """
    found = groups(folders)
    if not found:
        for folder in folders:
            if not folder.is_dir():
                raise UsageError(f"{folder}: is not a folder; name one of runs")
        shown = ", ".join(map(str, folders))
        raise UsageError(
            f"{shown}: holds no finished run with {RunPaths(Path()).probabilities(SPLIT, True)}; "
            "'tinynet evaluate RUN --oversample' writes it"
        )
    return max(found, key=lambda group: (group.top1, len(group.runs)))


def groups(folders: Sequence[Path]) -> list[Group]:
    """All groups of the runs below ``folders``, ordered by name; each model once."""
    by_stage: dict[str, list[Path]] = {}
    for run in sorted({run.resolve(): run for run in _runs(folders)}.values()):
        by_stage.setdefault(RunPaths(run).stage_name, []).append(run)
    last, ensemble = STAGES[-2].name, STAGES[-1].name
    if ensemble in by_stage:
        by_stage[ensemble] = by_stage.get(last, []) + by_stage[ensemble]
    return [_group(name, found) for name, found in sorted(by_stage.items())]


def _group(name: str, found: list[Path]) -> Group:
    members = [Member(run, read_probabilities(_file(run))) for run in found]
    try:
        require_agreement(members, oversample=True)
    except TinynetError as error:
        raise TinynetError(f"the runs of {name} cannot be averaged: {error}") from None
    # one model trained twice, such as stage 7's seed 1 and member 1, would count double
    models: dict[bytes, Member] = {}
    for member in members:
        models.setdefault(member.probabilities.probabilities.tobytes(), member)
    members = list(models.values())
    return Group(name, [m.path for m in members], average(members).metrics.top1)


def _runs(folders: Sequence[Path]) -> Iterator[Path]:
    for folder in folders:
        for pattern in ("run.json", "*/run.json", "*/*/run.json", "runs/*/*/run.json"):
            for path in folder.glob(pattern):
                record = runs.load(path)
                is_done = record is not None and record.state == runs.FINISHED
                if is_done and _file(path.parent).exists():
                    yield path.parent


def _file(run: Path) -> Path:
    return RunPaths(run).probabilities(SPLIT, oversample=True)
