"""Chooses the images that a page shows, by rules that are the same for any results, never by hand.

All arrays are over the reported images, in the order of their keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tinynet.predict.ensemble import average
from tinynet.predict.guesses import Guesses, Predictions, guesses
from tinynet.predict.probabilities import CENTER, OVERSAMPLE
from tinynet.report.report_data import ReportData
from tinynet.report.run_data import RunData
from tinynet.report.summary import ensemble_of, stage_rows


@dataclass(frozen=True, eq=False)
class ModelGuesses:
    """The guesses of a stage's first seed, of a member or of the ensemble, and its name."""

    name: str
    guesses: Guesses


def as_guesses(found: Predictions) -> Guesses:
    return found if isinstance(found, Guesses) else guesses(found)


def of_run(report_data: ReportData, run: RunData) -> Guesses | None:
    """A finished run's answers for the reported images, over crops if it was evaluated so."""
    if not run.is_finished:
        return None
    for crop in (OVERSAMPLE, CENTER):
        found = run.says(report_data.reported, crop)
        if found is not None:
            return as_guesses(found)
    return None


def stages_and_ensemble(report_data: ReportData) -> list[ModelGuesses]:
    """Every stage by its first seed, in order, and the whole ensemble where there is one."""
    by_name = {run.name: run for run in report_data.runs}
    found = []
    for row in stage_rows(report_data):
        for each in row.finished[:1]:
            said = of_run(report_data, by_name[each.run]) if each.run in by_name else None
            if said is not None:
                found.append(ModelGuesses(row.label, said))
    ensemble = averaged(report_data)
    return found if ensemble is None else [*found, ensemble]


def averaged(report_data: ReportData) -> ModelGuesses | None:
    """The average of all members; None if there is no ensemble, or one has not run."""
    ensemble = ensemble_of(report_data)
    found = report_data.members_on(report_data.reported)
    if ensemble is None or len(found) < max(2, len(ensemble.members)):
        return None
    return ModelGuesses(f"{len(found)} models averaged", guesses(average(found)))


def best_member(report_data: ReportData) -> ModelGuesses | None:
    """The member that is best on the images that may choose."""
    scored = [
        (metrics.top1, run)
        for run in report_data.members
        if (metrics := run.metrics(report_data.choosing, OVERSAMPLE)) is not None
    ]
    if not scored:
        return None
    run = max(scored, key=lambda pair: pair[0])[1]
    said = of_run(report_data, run)
    return None if said is None else ModelGuesses(run.name, said)


def at_random(says: Guesses, count: int) -> list[int]:
    """Images chosen by a fixed seed, of as many different classes as possible."""
    order = np.random.default_rng(1).permutation(len(says.labels))
    _, first = np.unique(says.labels[order], return_index=True)
    rest = np.setdiff1d(np.arange(len(order)), first)
    return [int(number) for number in order[np.concatenate([np.sort(first), rest])][:count]]


def surely_wrong(says: Guesses, count: int) -> list[int]:
    """The images whose wrong answers have the highest probability, the surest first."""
    wrong = np.flatnonzero(says.best != says.labels)
    order = np.argsort(-says.shares[wrong, 0].astype(np.float64), kind="stable")
    return [int(number) for number in wrong[order][:count]]


def often_wrong(all_say: Sequence[Guesses], count: int) -> list[int]:
    """Images that most models get wrong; of equal ones, those whose label is least likely first."""
    wrong = np.sum([1 - says.right for says in all_say], axis=0)
    own = np.mean([says.own for says in all_say], axis=0)
    order = np.lexsort((own, -wrong))
    return [int(number) for number in order[:count] if wrong[number] > 0]


@dataclass(frozen=True, eq=False)
class Change:
    """Images won and lost between two models, or two stages' seeds, the clearest first.

    ``won``: wrong by all before and right by all after; ``lost``: the other way round.
    """

    won: list[int]
    lost: list[int]


def change(before: Sequence[Guesses], after: Sequence[Guesses]) -> Change:
    """What changed from the models before a step to those after it."""
    was, now = (np.array([says.right for says in side]) for side in (before, after))
    sure = np.mean([b.own for b in after], axis=0) - np.mean([a.own for a in before], axis=0)
    won = np.flatnonzero((was.max(axis=0) == 0) & (now.min(axis=0) == 1))
    lost = np.flatnonzero((was.min(axis=0) == 1) & (now.max(axis=0) == 0))
    return Change(
        [int(n) for n in won[np.argsort(-sure[won], kind="stable")]],
        [int(n) for n in lost[np.argsort(sure[lost], kind="stable")]],
    )


def by_class(says: Guesses, classes: int) -> np.ndarray:
    """Accuracy of each class; NaN where a class has no image."""
    images = np.bincount(says.labels, minlength=classes).astype(np.float64)
    images[images == 0] = np.nan
    return np.bincount(says.labels, weights=says.right, minlength=classes) / images
