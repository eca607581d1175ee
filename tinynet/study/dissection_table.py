"""Makes the table of a results folder from the runs in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean, stdev
from typing import Any

import numpy as np

from tinynet.errors import TinynetError
from tinynet.experiment import paper
from tinynet.experiment.hyperparameters import MEMBERS
from tinynet.experiment.stages import STAGES, Stage, stage
from tinynet.experiment.variants import variant
from tinynet.predict.ensemble import Member, average, require_agreement
from tinynet.predict.probabilities import CENTER, OVERSAMPLE, read_probabilities
from tinynet.predict.subsets import MAX_MEMBERS, SubsetScores, members_of, score_subsets
from tinynet.study.results import (
    FINISHED,
    TAKEN_AGAIN,
    Dissection,
    Ensemble,
    Estimate,
    ResultsPaths,
    RunRow,
    Score,
    StageRow,
    Subset,
)
from tinynet.study.settings import Settings, read_settings
from tinynet.study.statistics import bootstrap_mean, t_interval, unpaired_interval

BySeed = dict[int, np.ndarray]  # seed → 1.0 where an image was right, 0.0 where it was wrong


def build(results: ResultsPaths) -> Dissection:
    """Build the table of what has run so far.  Raises TinynetError on a folder without results."""
    settings = read_settings(results)
    if settings is None:
        raise TinynetError(f"{results.root}: holds no experiment; 'tinynet dissect' begins one")
    return _Builder(results, settings).dissection()


class _Builder:
    def __init__(self, results: ResultsPaths, settings: Settings) -> None:
        self._results = results
        self._settings = settings
        self._right: dict[tuple[str, str, str], np.ndarray] = {}

    def dissection(self) -> Dissection:
        settings = self._settings
        singles = [stage(n) for n in settings.stages if not stage(n).is_ensemble]
        rows: dict[str, StageRow] = {}
        for each in singles:
            before = STAGES[each.number - 2].name if each.number > 1 else ""
            rows[each.name] = self._stage_row(each, rows.get(before))
        variants = [self._variant_row(name, rows) for name in settings.variants]
        last = STAGES[-2].name
        return Dissection(
            settings=settings,
            reported=settings.reported,
            tuning=settings.tuning,
            stages=list(rows.values()),
            variants=variants,
            oversampling=self._oversampling(rows[last]) if last in rows else None,
            ensemble=self._ensemble() if settings.members else None,
        )

    # ------------------------------------------------------------------ single nets

    def _stage_row(self, stage: Stage, before: StageRow | None) -> StageRow:
        runs = [
            self._results.row(f"{stage.name}/seed{seed}", seed) for seed in self._settings.seeds
        ]
        finished = [row for row in runs if row.state == FINISHED]
        row: dict[str, Any] = {}
        if finished:
            reported = self._settings.reported.name
            row["one_crop"] = estimate(self._by_seed(finished, CENTER))
            row["ten_crop"] = estimate(self._by_seed(finished, OVERSAMPLE))
            row["training"] = _training(finished)
            row["loss"] = fmean(_score(run, reported).loss for run in finished)
            if self._settings.tuning is not None:
                tuning = self._by_seed(finished, OVERSAMPLE, self._settings.tuning.name)
                row["tuning"] = estimate(tuning)
                over = self._by_seed(finished, OVERSAMPLE)
                row["tuning_less_reported"] = unpaired(tuning, over)
        if before is not None:
            row["gain"] = self._gain(finished, before.finished)
            row["gain_over"] = before.name if row["gain"] else ""
        return StageRow(
            number=stage.number,
            name=stage.name,
            title=stage.title,
            change=stage.change,
            epochs=self._settings.epochs[stage.name],
            runs=runs,
            paper=paper.STAGES.get(stage.number, paper.PaperStage()),
            **row,
        )

    def _variant_row(self, name: str, rows: dict[str, StageRow]) -> StageRow:
        net = variant(name)
        # the paper's figures are its stages' own
        return replace(self._stage_row(net, rows.get(net.base)), paper=paper.PaperStage())

    def _gain(self, after: list[RunRow], before: list[RunRow]) -> Estimate | None:
        return gain(self._by_seed(before, CENTER), self._by_seed(after, CENTER))

    def _oversampling(self, row: StageRow) -> Estimate | None:
        runs = row.finished
        return gain(self._by_seed(runs, CENTER), self._by_seed(runs, OVERSAMPLE))

    def _by_seed(self, runs: Sequence[RunRow], crop: str, split: str = "") -> BySeed:
        """Which images each seed's run has right; ``split``: the reported one by default."""
        return {run.seed: self._correct(run.run, split or self._reported, crop) for run in runs}

    def _correct(self, run: str, split: str, crop: str) -> np.ndarray:
        """Whether a run is right on each of a split's images, in the order of their keys."""
        if (run, split, crop) not in self._right:
            self._right[run, split, crop] = self._results.predictions(run, split, crop).right
        return self._right[run, split, crop]

    def _member(self, run: str, split: str) -> Member:
        path = self._results.run(run).probabilities(split, oversample=True)
        return Member(path, read_probabilities(path, TAKEN_AGAIN))

    # ------------------------------------------------------------------ the ensemble

    def _ensemble(self) -> Ensemble:
        ensemble = STAGES[-1]
        rows = [self._results.row(run, _seed_of(run)) for run in self._settings.members]
        finished = [row for row in rows if row.state == FINISHED]
        out: dict[str, Any] = {}
        if len(finished) == len(rows):
            tuning = self._settings.tuning
            out = ensemble_scores(
                [self._member(row.run, self._settings.reported.name) for row in rows],
                [row.seed for row in rows],
                [self._member(row.run, tuning.name) for row in rows] if tuning else None,
            )
        elif len(finished) > 1:
            out["so_far"] = _score_of([self._member(r.run, self._reported) for r in finished])
        return Ensemble(
            number=ensemble.number,
            name=ensemble.name,
            title=ensemble.title,
            members=rows,
            paper=paper.STAGES[ensemble.number],
            **out,
        )

    @property
    def _reported(self) -> str:
        return self._settings.reported.name


def ensemble_scores(
    reported: list[Member], seeds: list[int], tuning: list[Member] | None = None
) -> dict[str, Any]:
    """The fields of an ``Ensemble`` whose members, at least two, have all run.

    ``reported``, ``tuning``: their ten-crop probabilities of the two splits, in the same order.
    """
    require_agreement(reported, oversample=True)
    mean = average(reported)
    right = mean.right
    singles = [member.probabilities.right for member in reported]
    over_mean = right - np.mean(singles, axis=0)
    out: dict[str, Any] = {
        "full": Score.of(mean),
        "full_by_image": bootstrap_mean(right),
        "gain_over_mean": Estimate(
            float(over_mean.mean()), seeds, by_image=bootstrap_mean(over_mean)
        ),
        "deviation": stdev([float(single.mean()) for single in singles]),
    }
    if len(reported) <= MAX_MEMBERS:
        out |= _subsets(reported, tuning, float(right.mean()))
    return out


def _subsets(reported: list[Member], tuning: list[Member] | None, full: float) -> dict[str, Any]:
    scores = _subset_scores(reported)
    choosing = None if tuning is None else _subset_scores(tuning)
    out: dict[str, Any] = {"flattered": _subset(scores.best, scores, choosing)}
    if choosing is not None:
        out["chosen"] = _subset(choosing.best, scores, choosing)
        out["gain_over_best"] = full - scores.accuracy(choosing.best_of_size(1))
    return out


def estimate(by_seed: BySeed) -> Estimate:
    """The mean of per-image values over the seeds, with both intervals."""
    over_seeds = _of_values({seed: float(value.mean()) for seed, value in by_seed.items()})
    return replace(over_seeds, by_image=bootstrap_mean(np.mean(list(by_seed.values()), axis=0)))


def gain(before: BySeed, after: BySeed) -> Estimate | None:
    """By how much ``after`` exceeds ``before``, over the seeds of both; None without such seeds.

    Paired twice: each image with itself, and each seed with itself.
    """
    shared = [seed for seed in after if seed in before]
    if not shared:
        return None
    return estimate({seed: after[seed] - before[seed] for seed in shared})


def unpaired(first: BySeed, second: BySeed) -> Estimate:
    """By how much the same runs are more accurate on ``first``'s images than on ``second``'s.

    Paired by seed, since a net is compared with itself; the images are two independent samples.
    """
    over_seeds = _of_values(
        {seed: float(first[seed].mean() - second[seed].mean()) for seed in first}
    )
    means = [np.mean(list(side.values()), axis=0) for side in (first, second)]
    return replace(over_seeds, by_image=unpaired_interval(*means))


def _subset(mask: int, reported: SubsetScores, tuning: SubsetScores | None) -> Subset:
    return Subset(
        members=[m + 1 for m in members_of(mask)],
        reported=reported.accuracy(mask),
        tuning=None if tuning is None else tuning.accuracy(mask),
    )


def _subset_scores(members: list[Member]) -> SubsetScores:
    require_agreement(members, oversample=True)
    arrays = [member.probabilities.probabilities for member in members]
    return score_subsets(arrays, members[0].probabilities.labels)


def _score_of(members: list[Member]) -> Score:
    require_agreement(members, oversample=True)
    return Score.of(average(members))


def _of_values(values: dict[int, float]) -> Estimate:
    """The mean of one value for each seed, and its interval by seed."""
    numbers = list(values.values())
    return Estimate(
        mean=fmean(numbers),
        seeds=list(values),
        by_seed=t_interval(numbers),
        deviation=stdev(numbers) if len(numbers) > 1 else None,
    )


def _training(finished: list[RunRow]) -> Estimate:
    """The mean of a stage's training accuracies.

    Raises TinynetError if runs were measured on different numbers of images, as after folders
    were merged by hand: one interval needs one kind of measurement.
    """
    scores = {run.seed: _score(run, "train") for run in finished}
    counts = {score.images: run.run for run, score in zip(finished, scores.values())}
    if len(counts) > 1:
        parts = [f"of {run} on {images:,} images" for images, run in sorted(counts.items())]
        raise TinynetError(
            f"the training accuracy is {' and '.join(parts)}, which no mean may mix; remove the "
            "folder of one of them from the results and collect again"
        )
    return _of_values({seed: score.top1 for seed, score in scores.items()})


def _score(run: RunRow, split: str) -> Score:
    score = run.score(split)
    if score is None:
        raise TinynetError(
            f"{run.run}: has no score of the {split} split; remove it and collect again"
        )
    return score


def _seed_of(run: str) -> int:
    """The seed that a member's run has or will have, from its name."""
    name = run.rsplit("/", 1)[1]
    if name.startswith("seed"):
        return int(name.removeprefix("seed"))
    return MEMBERS[int(name.removeprefix("member")) - 1].random_seed
