"""Compares the paper's claims one by one with what has run here: agrees, does not, cannot be told.

A figure agrees if it differs from ours by no more than chance explains: ours has a 95 % interval
(the wider of by image and by seed), the paper's is of one training, whose standard deviation over
its eleven members is 0.37 points.  Rule: |ours - paper's| <= sqrt(half width² + (1.96 · 0.37)²),
twice the last square for a difference of two trainings.  A gain whose interval holds both zero and
the paper's figure decides nothing; nor does an accuracy of other classes, or one that falls short
after a shorter training.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from tinynet.experiment import paper
from tinynet.experiment.stages import STAGES, stage
from tinynet.predict.probabilities import OVERSAMPLE
from tinynet.report.report_data import ReportData
from tinynet.report.summary import ensemble_of, oversampling, stage_rows
from tinynet.report.table import NOT_RUN, Cell, Column, Table, interval_cell, number
from tinynet.study.results import Ensemble, Estimate, StageRow
from tinynet.study.statistics import deviation_interval, half_width

AGREES, DIFFERS, UNKNOWN = "agrees", "does not agree", "cannot be told"
PAPER_CLASSES = 200
_TRAINING = 1.96 * paper.MEMBERS_DEVIATION / 100  # half width of the paper's own figures
_GAIN = math.sqrt(2) * _TRAINING


@dataclass(frozen=True)
class Claim:
    """What the paper says, what is measured here (shares, not percent), and the verdict.

    ``stated``: a text, since not all claims are numbers.  ``unit``: "%", "points" or "nats".
    """

    text: str
    stated: str
    ours: float | None
    interval: tuple[float, float] | None
    verdict: str
    why: str
    unit: str = "%"


@dataclass(frozen=True)
class _Setting:
    """How our experiment differs from the paper's."""

    classes: int
    factor: float
    arithmetic: list[str]

    @property
    def is_other(self) -> bool:
        return self.classes != PAPER_CLASSES

    @property
    def differences(self) -> str:
        """Behind a verdict that these may explain: "", or "; 20 classes, schedules times 0.4"."""
        parts = [f"{self.classes} classes"] if self.is_other else []
        parts += [f"schedules times {self.factor:g}"] if self.factor != 1 else []
        parts += self.arithmetic
        return f"; {', '.join(parts)}" if parts else ""


def claims(report_data: ReportData) -> list[Claim]:
    """Every claim of the paper's section 4 that can be stated as a number, in its order."""
    rows = {row.number: row for row in stage_rows(report_data) if row.is_step}
    dissection = report_data.dissection
    factor = dissection.settings.epochs_factor if dissection else 1.0
    setting = _Setting(report_data.classes, factor, report_data.arithmetic)
    ensemble = ensemble_of(report_data)
    if ensemble is not None and not ensemble.is_papers:
        ensemble = None  # an average of other runs tells nothing of the paper's
    return [
        *_single(rows, setting),
        *_gains(rows, report_data, setting),
        *_overfitting(rows, setting),
        *_ensemble(ensemble, report_data, setting),
        _test_images(rows, ensemble),
    ]


def table(report_data: ReportData) -> Table | None:
    """The claims as a table.

    None for a further dissection of which no stage has run, which its own table says.
    """
    if report_data.suffix and not any(
        row.finished for row in stage_rows(report_data) if row.is_step
    ):
        return None
    rows = [
        [
            Cell(claim.text),
            Cell(claim.stated.replace("-", "−")),
            _ours(claim),
            _interval(claim),
            Cell(claim.verdict),
            Cell(claim.why.replace(" (-", " (−").replace(" -", " −")),
        ]
        for claim in claims(report_data)
    ]
    columns = [
        Column("the paper's claim", "name", wraps=True),
        Column("paper"),
        Column("here", "number"),
        Column("95 %", "number", is_main=False),
        Column("verdict"),
        Column("why", wraps=True),
    ]
    caption = (
        "Agrees: ours and the paper's figure differ by no more than chance explains, by our 95 % "
        f"interval and by the {paper.MEMBERS_DEVIATION} points by which the paper's single models "
        "spread. The paper's figures are of 200 classes."
    )
    return Table("claims", caption, columns, rows)


def _ours(claim: Claim) -> Cell:
    missing = NOT_RUN if claim.why.startswith(NOT_RUN) else "—"
    if claim.unit == "nats":
        return number(claim.ours, 3, missing=missing)
    value = None if claim.ours is None else 100 * claim.ours
    return number(value, sign=claim.unit == "points", missing=missing)


def _interval(claim: Claim) -> Cell:
    return interval_cell(claim.interval, sign=claim.unit == "points")


# ------------------------------------------------------------------------------- the claims


def _single(rows: dict[int, StageRow], setting: _Setting) -> Iterator[Claim]:
    row = rows.get(7)
    one = row.one_crop if row else None
    stated = paper.STAGES[7]
    yield _level("stage 7, one crop", stated.validation, one, setting)
    yield _level(
        "the same over ten crops", paper.BEST_MEMBER_TEN_CROPS, row.ten_crop if row else None,
        setting,
    )  # fmt: skip
    loss = row.loss if row else None
    why = NOT_RUN if loss is None else "a loss has no interval here" + setting.differences
    yield Claim("its validation loss", f"{stated.loss} nats", loss, None, UNKNOWN, why, "nats")


def _gains(
    rows: dict[int, StageRow], report_data: ReportData, setting: _Setting
) -> Iterator[Claim]:
    for number_ in range(2, 8):
        stated = paper.STAGES[number_].gain
        if stated is not None:
            row = rows.get(number_)
            text = f"gain of {stage(number_).title.removeprefix('+ ')}"
            yield _gain(text, stated, row.gain if row else None, setting)
    over = oversampling(report_data)
    ten_crops = over.gain if over.paper_gain is not None else None
    yield _gain("gain of ten crops, stage 7", paper.OVERSAMPLING_GAIN, ten_crops, setting)
    yield _largest(rows, setting)


def _overfitting(rows: dict[int, StageRow], setting: _Setting) -> Iterator[Claim]:
    for number_ in (5, 6, 7):
        row = rows.get(number_)
        yield _level(
            f"training accuracy of stage {number_}",
            paper.STAGES[number_].training,
            _training(row),
            setting,
        )
    for text, first, second, sign in (
        ("the split of conv2 raises training accuracy", 5, 6, 1),
        ("dropout 2 lowers training accuracy", 6, 7, -1),
    ):
        before, after = paper.STAGES[first].training, paper.STAGES[second].training
        assert before is not None and after is not None
        found = _difference(_training(rows.get(second)), _training(rows.get(first)))
        yield _direction(text, f"{after - before:+.2f} points", found, sign, setting)
    gaps = [_gap(rows.get(n)) for n in (1, 2)]
    yield _direction(
        "dropout 1 narrows the gap between training and validation",
        "no figure",
        _difference(gaps[1], gaps[0]),
        -1,
        setting,
    )


def _ensemble(
    found: Ensemble | None, report_data: ReportData, setting: _Setting
) -> Iterator[Claim]:
    full = found.full if found else None
    whole = found.accuracy if found else None
    yield _level("the ensemble of eleven, ten crops", paper.ENSEMBLE, whole, setting, 0.0)
    over_best = None
    if found is not None and full is not None and found.gain_over_mean is not None:
        scores = [row.score(report_data.reported, OVERSAMPLE) for row in found.members]
        best = max(score.top1 for score in scores if score is not None)
        low, high = found.gain_over_mean.by_image or (0.0, 0.0)
        shift = full.top1 - best
        half = (high - low) / 2
        over_best = _around(shift, half)
    yield _gain(
        "gain of the ensemble over its best model", paper.STAGES[8].gain, over_best, setting
    )
    yield _spread(found, setting)
    yield _leaving_out(found, setting)


def _spread(found: Ensemble | None, setting: _Setting) -> Claim:
    text, stated = "standard deviation of the models", f"{paper.MEMBERS_DEVIATION} points"
    spread = found.deviation if found else None
    if found is None or spread is None:
        return Claim(text, stated, None, None, UNKNOWN, NOT_RUN, "points")
    low, high = deviation_interval(spread, len(found.members))
    holds = low <= paper.MEMBERS_DEVIATION / 100 <= high
    if setting.is_other:
        verdict, why = UNKNOWN, f"other images{setting.differences}"
    else:
        verdict = AGREES if holds else DIFFERS
        why = "by the chi-square interval of eleven" + ("" if holds else setting.differences)
    return Claim(text, stated, spread, (low, high), verdict, why, "points")


def _leaving_out(found: Ensemble | None, setting: _Setting) -> Claim:
    text = "leaving models out is not worth it"
    stated = f"{paper.BEST_SUBSET - paper.ENSEMBLE:+.2f} points, {paper.BEST_SUBSET_SIZE} models"
    if found is None or found.full is None:
        return Claim(text, stated, None, None, UNKNOWN, NOT_RUN, "points")
    if found.chosen is None:
        gained = found.flattered.reported - found.full.top1 if found.flattered else None
        why = "the best subset is chosen on the images that it is reported on"
        return Claim(text, stated, gained, None, UNKNOWN, why, "points")
    gained = found.chosen.reported - found.full.top1
    half = half_width(found.full.top1, found.full.images)
    verdict = DIFFERS if gained > half else AGREES
    why = f"{len(found.chosen.members)} models, chosen on other images than those reported"
    return Claim(text, stated, gained, None, verdict, why + setting.differences, "points")


def _test_images(rows: dict[int, StageRow], ensemble: Ensemble | None) -> Claim:
    text = "test accuracy is lower because hyperparameters were overfitted on validation images"
    gap = paper.ENSEMBLE - paper.ENSEMBLE_TEST
    parts = ["the labels of the test images are not public"]
    row = rows.get(STAGES[-2].number)
    less = row.tuning_less_reported if row else None
    if less is not None and less.by_image is not None:
        low, high = less.by_image
        parts.append(
            f"held-out training images less validation images, stage 7: {100 * less.mean:+.1f} "
            f"points ({100 * low:+.1f} to {100 * high:+.1f})"
        )
    if ensemble is not None and ensemble.chosen is not None and ensemble.flattered is not None:
        flattered = ensemble.flattered.reported - ensemble.chosen.reported
        parts.append(
            f"choosing a subset on what is reported is optimistic by {100 * flattered:.1f}"
        )
    stated = f"{paper.ENSEMBLE_TEST:.1f} %, {gap:.2f} points less"
    return Claim(text, stated, None, None, UNKNOWN, "; ".join(parts))


# ------------------------------------------------------------------------------ the verdicts


def _level(
    text: str,
    stated: float | None,
    found: Estimate | None,
    setting: _Setting,
    noise: float = _TRAINING,
) -> Claim:
    """An accuracy that the paper states in percent."""
    assert stated is not None
    shown = f"{stated:.2f} %"
    if found is None:
        return Claim(text, shown, None, None, UNKNOWN, NOT_RUN)
    interval = _wider(found)
    if setting.is_other:
        why = f"accuracies of {setting.classes} classes are not those of {PAPER_CLASSES}"
        return Claim(text, shown, found.mean, interval, UNKNOWN, why)
    if _is_near(found.mean, interval, stated / 100, noise):
        return Claim(text, shown, found.mean, interval, AGREES, "within chance")
    if setting.factor < 1 and found.mean < stated / 100:
        why = f"schedules times {setting.factor:g}: a shorter training may fall short"
        return Claim(text, shown, found.mean, interval, UNKNOWN, why)
    side = "higher" if found.mean > stated / 100 else "lower"
    return Claim(text, shown, found.mean, interval, DIFFERS, side + setting.differences)


def _gain(text: str, stated: float | None, found: Estimate | None, setting: _Setting) -> Claim:
    """A gain that the paper states in points."""
    assert stated is not None
    shown = f"{stated:+.2f} points"
    if found is None:
        return Claim(text, shown, None, None, UNKNOWN, NOT_RUN, "points")
    interval = _wider(found)
    made = (text, shown, found.mean, interval)
    holds_zero = interval is not None and interval[0] <= 0 <= interval[1]
    if _is_near(found.mean, interval, stated / 100, _GAIN):
        if holds_zero:
            why = "the interval also includes a gain of zero"
            return Claim(*made, UNKNOWN, why + setting.differences, "points")
        return Claim(*made, AGREES, "within chance" + setting.differences, "points")
    if holds_zero:
        why = "no clear gain"
    elif found.mean < 0:
        why = "a loss"
    else:
        why = "also a gain, but " + ("larger" if found.mean > stated / 100 else "smaller")
    return Claim(*made, DIFFERS, why + setting.differences, "points")


def _direction(
    text: str, stated: str, found: Estimate | None, sign: int, setting: _Setting
) -> Claim:
    """A difference whose sign the paper states."""
    if found is None:
        return Claim(text, stated, None, None, UNKNOWN, NOT_RUN, "points")
    low, high = _wider(found) or (found.mean, found.mean)
    verdict = UNKNOWN if low <= 0 <= high else AGREES if found.mean * sign > 0 else DIFFERS
    why = {UNKNOWN: "the interval holds zero", AGREES: "the same sign", DIFFERS: "the other sign"}
    made = (text, stated, found.mean, (low, high), verdict)
    return Claim(*made, why[verdict] + setting.differences, "points")


def _largest(rows: dict[int, StageRow], setting: _Setting) -> Claim:
    """That the two dropouts are the largest gains: the smaller of them against the best other."""
    text = "the two dropouts are the two largest gains"
    stated = f"{paper.STAGES[7].gain} against {paper.STAGES[3].gain} points"
    gains = {n: row.gain for n, row in rows.items() if row.gain is not None}
    if not {2, 3, 4, 5, 6, 7} <= set(gains):
        return Claim(text, stated, None, None, UNKNOWN, NOT_RUN, "points")
    least = min((gains[n] for n in (2, 7)), key=lambda found: found.mean)
    best = max((gains[n] for n in (3, 4, 5, 6)), key=lambda found: found.mean)
    # the two gains may share a stage, so that their errors may add up
    half = _half(_wider(least)) + _half(_wider(best))
    mean = least.mean - best.mean
    return _direction(text, stated, _around(mean, half), 1, setting)


def _training(row: StageRow | None) -> Estimate | None:
    """A stage's training accuracy; its interval by image is that of independent images."""
    if row is None or row.training is None:
        return None
    found = row.training
    half = half_width(found.mean, max(1, row.training_images))
    by_image = (found.mean - half, found.mean + half)
    return Estimate(found.mean, found.seeds, by_image, found.by_seed, found.deviation)


def _gap(row: StageRow | None) -> Estimate | None:
    return None if row is None else _difference(_training(row), row.one_crop)


def _difference(first: Estimate | None, second: Estimate | None) -> Estimate | None:
    """The difference of two independent estimates; too wide an interval for runs of one stage."""
    if first is None or second is None:
        return None
    half = math.hypot(*(_half(_wider(found)) for found in (first, second)))
    mean = first.mean - second.mean
    return _around(mean, half)


def _is_near(
    ours: float, interval: tuple[float, float] | None, stated: float, noise: float
) -> bool:
    return abs(ours - stated) <= math.hypot(_half(interval), noise)


def _wider(found: Estimate) -> tuple[float, float] | None:
    both = [each for each in (found.by_image, found.by_seed) if each is not None]
    return max(both, key=lambda each: each[1] - each[0], default=None)


def _half(interval: tuple[float, float] | None) -> float:
    return 0.0 if interval is None else (interval[1] - interval[0]) / 2


def _around(mean: float, half: float) -> Estimate:
    """A mean with ``half`` the width of its interval by image."""
    return Estimate(mean, by_image=(mean - half, mean + half))
