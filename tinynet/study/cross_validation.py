"""K-fold cross-validation over training and validation images, for which the paper had no time.

Fold k is held out of a training on all the others, so that every image is predicted once by nets
that have not seen it.  Each fold is a dissection of its own, under OUT/foldK and RESULTS/foldK;
this module sets them up and combines their results.

It also answers the paper's question whether its splits have the same statistics: in every fold,
images that came from ``train`` and from ``val`` are predicted by the same nets.  The difference of
their accuracies says how much easier one kind is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean

import numpy as np

from tinynet import files
from tinynet.dataset.split import Fold
from tinynet.errors import TinynetError
from tinynet.predict.probabilities import CENTER
from tinynet.study.results import DIVERGED, FINISHED, NOT_RUN, ResultsPaths, RunRow
from tinynet.study.settings import Settings, read_settings
from tinynet.study.statistics import t_interval, unpaired_interval
from tinynet.study.trainings import DissectionPaths, DissectionRequest

FOLDS = "folds.json"


@dataclass(frozen=True)
class Origin:
    """One-crop accuracy on the held-out images that came from one split of the source."""

    images: int
    accuracy: float


@dataclass(frozen=True)
class StageFolds:
    """A stage's cross-validation; None if a fold has not run.

    ``folds``: held-out accuracy of each fold, averaged over its seeds.  ``mean`` and ``by_fold``:
    the mean over the folds and its interval (Student's t; somewhat too narrow, since folds share
    training images).  ``train_less_val``: how much more accurate the nets are on held-out training
    images than on held-out validation images; ``train_less_val_interval``: of two independent
    samples of images, by the normal approximation.  ``diverged``: the folds, counted from 1, in
    which a training diverged.
    """

    name: str
    folds: list[float | None]
    mean: float | None = None
    by_fold: tuple[float, float] | None = None
    from_train: Origin | None = None
    from_val: Origin | None = None
    train_less_val: float | None = None
    train_less_val_interval: tuple[float, float] | None = None
    diverged: list[int] = field(default_factory=list)

    def absence(self, fold: int) -> str:
        """What a table shows for a fold, counted from 1, that has no accuracy."""
        return DIVERGED if fold in self.diverged else NOT_RUN


@dataclass(frozen=True)
class _Folds:
    """The content of ``folds.json``; ``command`` is "" in the files of earlier versions."""

    folds: int
    stages: list[StageFolds]
    command: str = ""


def fold_folders(folders: DissectionPaths, number: int) -> DissectionPaths:
    """The folders of fold ``number``, from 1."""
    name = f"fold{number}"
    return DissectionPaths(folders.root / name, ResultsPaths(folders.results.root / name))


def requests(
    request: DissectionRequest, folds: int, split_seed: int
) -> Iterator[DissectionRequest]:
    """The dissection of each fold."""
    for number in range(1, folds + 1):
        yield replace(
            request,
            folders=fold_folders(request.folders, number),
            split=Fold(number, folds, split_seed),
            collect=("--folds", str(folds), *request.folders.options),
        )


def summarize(folders: DissectionPaths, folds: int) -> list[StageFolds]:
    """Summarize the folds that have run, by stage, and write RESULTS/folds.json.

    Raises TinynetError if a fold's results cannot be read.
    """
    known = [(number, fold_folders(folders, number).results) for number in range(1, folds + 1)]
    settings = [(results, read_settings(results)) for _, results in known]
    command = next((found.command for _, found in settings if found), "")
    names = list(dict.fromkeys(name for _, found in settings if found for name in found.epochs))
    made = [_stage(name, settings) for name in names]
    folders.results.root.mkdir(parents=True, exist_ok=True)
    files.write_json(folders.results.root / FOLDS, _Folds(folds, made, command))
    return made


def read_folds(root: Path) -> tuple[list[StageFolds], str]:
    """What ``summarize`` wrote, and the command that made it ("" if the file does not say).

    Raises TinynetError if the file is of another form.
    """
    path = root / FOLDS
    try:
        found = files.typed(_Folds, files.read_json(path))
    except (OSError, ValueError) as error:
        raise TinynetError(f"{path}: is not a valid cross-validation ({error})") from None
    return found.stages, found.command


def _stage(name: str, folds: list[tuple[ResultsPaths, Settings | None]]) -> StageFolds:
    accuracies: list[float | None] = []
    diverged: list[int] = []
    right: dict[str, list[np.ndarray]] = {"train": [], "val": []}
    for number, (results, settings) in enumerate(folds, 1):
        rows = _rows(name, results, settings)
        if any(row.state == DIVERGED for row in rows):
            diverged.append(number)
        found = _held_out(rows, results, settings)
        accuracies.append(None if found is None else float(found[0].mean()))
        if found is not None:
            values, from_val = found
            right["val"].append(values[from_val])
            right["train"].append(values[~from_val])
    ran = [accuracy for accuracy in accuracies if accuracy is not None]
    if len(ran) < len(folds):
        return StageFolds(name, accuracies, diverged=diverged)
    train, val = (np.concatenate(right[key]) for key in ("train", "val"))
    made = StageFolds(name, accuracies, fmean(ran), t_interval(ran))
    if not len(train) or not len(val):
        return made
    return replace(
        made,
        from_train=Origin(len(train), float(train.mean())),
        from_val=Origin(len(val), float(val.mean())),
        train_less_val=float(train.mean() - val.mean()),
        train_less_val_interval=unpaired_interval(train, val),
    )


def _rows(name: str, results: ResultsPaths, settings: Settings | None) -> list[RunRow]:
    """A stage's runs in one fold, [] if the fold has not begun."""
    seeds = [] if settings is None else settings.seeds
    return [results.row(f"{name}/seed{seed}", seed) for seed in seeds]


def _held_out(
    rows: list[RunRow], results: ResultsPaths, settings: Settings | None
) -> tuple[np.ndarray, np.ndarray] | None:
    """For each held-out image: the share of seeds that are right, and whether it is from val."""
    if settings is None or any(row.state != FINISHED for row in rows):
        return None
    split = settings.reported.name
    found = [results.predictions(row.run, split, CENTER) for row in rows]
    right = [p.right for p in found]
    # Tiny ImageNet's layout names validation images val_N.JPEG, training ones after their wnid
    from_val = np.array([item.startswith("val_") for item in found[0].names.tolist()])
    return np.mean(right, axis=0), from_val
