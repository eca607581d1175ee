"""The ensemble of section 4.1 of the paper: the mean of several models' probabilities."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinynet.errors import TinynetError, UsageError
from tinynet.predict import evaluate
from tinynet.predict.evaluate import Evaluation, EvaluationRequest, Progress, Say
from tinynet.predict.probabilities import Probabilities, read_probabilities


@dataclass(frozen=True, eq=False)
class Member:
    """One model of an ensemble: its run directory or file, and its probabilities."""

    path: Path
    probabilities: Probabilities


def _silent(*said: object) -> None:
    pass


def _in_silence(request: EvaluationRequest) -> AbstractContextManager[Progress]:
    return nullcontext(_silent)


def load_members(
    requests: Sequence[EvaluationRequest],
    say: Say = _silent,
    progress: Callable[[EvaluationRequest], AbstractContextManager[Progress]] = _in_silence,
) -> list[Member]:
    """Load the members that the requests' ``run`` names, each a run directory or an ``.npz``.

    A run's probabilities are computed if they are missing or outdated, but only after all members
    have been checked.  ``progress`` shows the progress of one computation.  Raises UsageError if a
    path is neither, if a file is of another split, or if one is named twice; TinynetError if the
    members cannot be averaged, or if one cannot be evaluated.
    """
    _require_distinct([request.run for request in requests])
    found = [(request.run, _open(request, say)) for request in requests]
    known = [(run, _identity(what)) for run, what in found]
    _require_same(known, requests[0].oversample)
    members = []
    for request, (run, what) in zip(requests, found):
        if isinstance(what, Evaluation):
            with progress(request) as advance:
                what = evaluate.compute(what, advance)
        members.append(Member(run, what))
    require_agreement(members, requests[0].oversample)
    return members


def _open(request: EvaluationRequest, say: Say) -> Probabilities | Evaluation:
    """A member's probabilities, or the evaluation that computes them."""
    if request.run.is_dir():
        return evaluate.stored(request, say) or evaluate.prepare(request, say)
    if request.run.suffix == ".npz":
        found = read_probabilities(
            request.run, "make it again with 'tinynet evaluate' or 'tinynet ensemble'"
        )
        if found.split not in ("", request.split):
            raise UsageError(
                f"{request.run}: is of the {found.split} split, not of {request.split}; give "
                f"--split {found.split}"
            )
        return found
    if request.run.exists():
        raise UsageError(f"{request.run}: is neither a run directory nor an .npz")
    raise UsageError(f"{request.run}: no such run or .npz")


def _require_distinct(paths: Sequence[Path]) -> None:
    """Raise UsageError if a run is named twice: it would count double in the average."""
    seen: set[Path] = set()
    for path in paths:
        if path.resolve() in seen:
            raise UsageError(f"{path}: named twice, and would count double in the average")
        seen.add(path.resolve())


_WHAT = {"wnids": "class", "names": "image", "labels": "label"}


def require_agreement(members: Sequence[Member], oversample: bool) -> None:
    """Raise TinynetError unless all members have the same images, classes and kind of crops.

    Oversampling is one kind, whether it has 10 views or 2 (of a stage without crops).
    """
    said = [
        (m.path, {key: getattr(m.probabilities, key) for key in ("crop", *_WHAT)}) for m in members
    ]
    _require_same(said, oversample)


def _identity(what: Probabilities | Evaluation) -> dict[str, Any]:
    """A member's crops, classes and images; its labels are read only while it is computed."""
    crop = what.request.crop if isinstance(what, Evaluation) else what.crop
    said = what.images if isinstance(what, Evaluation) else what
    return {"crop": crop, "wnids": np.asarray(said.wnids), "names": np.asarray(said.names)}


def _require_same(members: Sequence[tuple[Path, dict[str, Any]]], oversample: bool) -> None:
    wanted = "oversample" if oversample else "center"
    first, mine = members[0]
    for path, theirs in members:
        if theirs["crop"] != wanted:
            kinds = {"center": "one crop", "oversample": "10 crops"}
            option = "--one-crop" if oversample else "no --one-crop"
            raise TinynetError(
                f"{path}: holds probabilities of {kinds[theirs['crop']]}, not of "
                f"{kinds[wanted]}; the two are not averaged (give {option} for the other kind)"
            )
        for key in [key for key in _WHAT if key in mine]:
            difference = _difference(mine[key], theirs[key], _WHAT[key])
            if difference:
                raise TinynetError(
                    f"{path}: {difference} in {first}, so the two are not averaged; "
                    "evaluate both on the same data set and split"
                )


def _difference(mine: np.ndarray, theirs: np.ndarray, what: str) -> str:
    plural = {"class": "classes"}.get(what, f"{what}s")
    if mine.shape != theirs.shape:
        return f"has {len(theirs):,} {plural}, but there are {len(mine):,}"
    differs = np.flatnonzero(mine != theirs)
    if not len(differs):
        return ""
    index = int(differs[0])
    return f"{what} {index} is {theirs[index]}, but it is {mine[index]}"


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
