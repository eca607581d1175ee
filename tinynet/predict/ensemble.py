"""The ensemble of section 4.1 of the paper: the mean of several models' probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinynet.errors import TinynetError, UsageError
from tinynet.predict import evaluate
from tinynet.predict.evaluate import EvaluationRequest, Progress, Say
from tinynet.predict.probabilities import Probabilities, read_probabilities


@dataclass(frozen=True, eq=False)
class Member:
    """One model of an ensemble: the run directory or file it was given by, and what it says."""

    path: Path
    probabilities: Probabilities


def load_member(request: EvaluationRequest, say: Say, progress: Progress) -> Member:
    """The member that ``request.run`` names: an ``.npz``, or a run directory.

    A run's probabilities are computed where they are missing or of other weights.  Raises
    UsageError where there is neither, or the file is of another split than was asked for.
    """
    if request.run.is_dir():
        return Member(request.run, evaluate.obtain(request, say, progress))
    if request.run.suffix == ".npz":
        found = read_probabilities(
            request.run, "make it again with 'tinynet evaluate' or 'tinynet ensemble'"
        )
        if found.split not in ("", request.split):
            raise UsageError(
                f"{request.run}: is of the {found.split} split, not of {request.split}; give "
                f"--split {found.split}"
            )
        return Member(request.run, found)
    what = "is no run directory and no .npz" if request.run.exists() else "no such run or .npz"
    raise UsageError(f"{request.run}: {what}")


def require_distinct(paths: Sequence[Path]) -> None:
    """Raise UsageError where one run is named twice: it would count double in the average."""
    seen: set[Path] = set()
    for path in paths:
        if path.resolve() in seen:
            raise UsageError(f"{path}: named twice, and would count double in the average")
        seen.add(path.resolve())


def require_agreement(members: Sequence[Member], oversample: bool) -> None:
    """Raise TinynetError unless all members speak of the same images, classes and kind of crops.

    Different numbers of views (10, or 2 where a stage has no crops) are one kind: oversampling.
    """
    wanted = "oversample" if oversample else "center"
    first = members[0]
    for member in members:
        mine, theirs = first.probabilities, member.probabilities
        if theirs.crop != wanted:
            kinds = {"center": "one crop", "oversample": "10 crops"}
            option = "--one-crop" if oversample else "no --one-crop"
            raise TinynetError(
                f"{member.path}: holds probabilities of {kinds[theirs.crop]}, not of "
                f"{kinds[wanted]}; the two are not averaged (give {option} for the other kind)"
            )
        for key, what in (("wnids", "class"), ("names", "image"), ("labels", "label")):
            difference = _difference(getattr(mine, key), getattr(theirs, key), what)
            if difference:
                raise TinynetError(
                    f"{member.path}: {difference} in {first.path}, so the two are not averaged; "
                    "evaluate both on the same data set and split"
                )


def _difference(mine: np.ndarray, theirs: np.ndarray, what: str) -> str:
    plural = {"class": "classes"}.get(what, f"{what}s")
    if mine.shape != theirs.shape:
        return f"has {len(theirs):,} {plural}, but there are {len(mine):,}"
    differs = np.flatnonzero(mine != theirs)
    if not len(differs):
        return ""
    place = int(differs[0])
    return f"{what} {place} is {theirs[place]}, but it is {mine[place]}"


def average(members: Sequence[Member]) -> Probabilities:
    """The arithmetic mean of the members' probabilities, summed in float64."""
    first = members[0].probabilities
    total = np.zeros(first.probabilities.shape, dtype=np.float64)
    for member in members:
        total += member.probabilities.probabilities
    return Probabilities(
        probabilities=(total / len(members)).astype(np.float32),
        labels=first.labels,
        names=first.names,
        wnids=first.wnids,
        crop=first.crop,
        views=max(member.probabilities.views for member in members),
        split=first.split,
    )
