"""The trials of a search and their file: values, how each ended, tuning accuracy."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tinynet import files
from tinynet.errors import TinynetError


@dataclass(frozen=True)
class Trial:
    """One trial; ``score``: its last tuning accuracy, None if it has none."""

    number: int
    state: str  # "complete", "pruned", "failed", "diverged" or "running"
    values: dict[str, float]
    score: float | None


def winner(trials: Sequence[Trial]) -> Trial | None:
    """The completed trial of the best score, the earliest of equal ones."""
    complete = [t for t in trials if t.state == "complete" and t.score is not None]
    return max(complete, key=lambda t: (t.score, -t.number), default=None)


def ranked(trials: Sequence[Trial]) -> list[Trial]:
    """Best first: those that were trained to the end, then the others by their last accuracy."""
    return sorted(trials, key=lambda t: (t.state != "complete", -(t.score or 0), t.number))


def write_trials(path: Path, trials: Sequence[Trial], names: Sequence[str]) -> None:
    """Write the trials as CSV, with the values of ``names`` and the last accuracy (0 to 1)."""
    rows: list[list[object]] = [["trial", "state", *names, "tuning_accuracy"]]
    for trial in trials:
        values = [f"{trial.values[name]:.6g}" for name in names]
        score = "" if trial.score is None else f"{trial.score:.6g}"
        rows.append([trial.number, trial.state, *values, score])
    files.write_text(path, files.csv_text(rows))


def read_trials(path: Path) -> list[Trial]:
    """What ``write_trials`` wrote.  Raises TinynetError if the file is of another form."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [_trial(row) for row in csv.DictReader(file, strict=True)]
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise TinynetError(
            f"{path}: is not a list of trials as 'tinynet search' writes it ({error})"
        ) from None


def _trial(row: dict[str, str]) -> Trial:
    number, state, score = int(row.pop("trial")), row.pop("state"), row.pop("tuning_accuracy")
    values = {name: float(value) for name, value in row.items()}
    if not all(math.isfinite(value) and value > 0 for value in values.values()):
        raise ValueError(f"trial {number} has a value that is not above 0")
    return Trial(number, state, values, float(score) if score else None)
