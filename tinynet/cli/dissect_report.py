"""What ``tinynet dissect`` prints: the table beside the paper's figures, then the ensemble."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tinynet.cli.table import render
from tinynet.experiment import paper
from tinynet.study.cross_validation import StageFolds
from tinynet.study.results import (
    OVERSAMPLE,
    Dissection,
    Ensemble,
    Estimate,
    StageRow,
    absence,
    of_images,
    training_heading,
)
from tinynet.study.settings import choices


def text(table: Dissection) -> str:
    """The whole table as text; percent, and percentage points for gains."""
    return "\n".join(_lines(table))


def _lines(table: Dissection) -> Iterator[str]:
    settings = table.settings
    yield (
        f"reported on {table.reported.images:,} images ({table.reported.role}); epochs x "
        f"{settings['epochs_factor']:g}, batch {settings['batch_size']}"
    )
    for choice in choices(settings):
        yield choice.text
    every = (*table.stages, *table.variants)
    training = training_heading(every, "%")
    header = ["stage", "epochs", "seeds", "1 crop %", "10 crops %", training, "loss"]
    header += ["gain, 95 % by image; by seed", "paper"]
    yield render(header, [_row(row, table) for row in every], right=(1, 2, 3, 4, 5, 6))
    if any(_has_no_crops(row, table) for row in every):
        yield "*: sees whole images, which have no crops: the image and its mirror"
    if table.oversampling is not None:
        gain = _gain(table.oversampling)
        yield f"oversampling, stage 7: {gain} (paper: +{paper.OVERSAMPLING_GAIN:g})"
    if table.ensemble is not None:
        yield from _ensemble(table.ensemble, table)
    if any(row.gain for row in every):
        yield "by image: paired bootstrap over the reported images; by seed: Student's t"
    yield from _tuning(every)


def _tuning(rows: Sequence[StageRow]) -> Iterator[str]:
    """What the images that may choose say beside those that are reported."""
    header = ["stage, over crops", "tuning %", "reported %", "difference, 95 % by image; by seed"]
    cells = [
        [row.label, _percent(row.tuning), _percent(row.ten_crop), _gain(row.tuning_less_reported)]
        for row in rows
        if row.tuning is not None and row.tuning_less_reported is not None
    ]
    if cells:
        yield render(header, cells, right=(1, 2))
        yield "difference: of two independent samples of images; no net was trained on either"


def _has_no_crops(row: StageRow, table: Dissection) -> bool:
    scores = [run.score(table.reported.name, OVERSAMPLE) for run in row.finished]
    return any(score is not None and score.views == 2 for score in scores)


def _row(row: StageRow, table: Dissection) -> list[str]:
    cells = [row.label, str(row.epochs), row.done]
    if not row.finished:
        return [*cells, row.absence, "", "", "", "", _paper(row)]
    return [
        *cells,
        _percent(row.one_crop),
        _percent(row.ten_crop) + (" *" if _has_no_crops(row, table) else ""),
        _percent(row.training) + of_images(row, (*table.stages, *table.variants)),
        "" if row.loss is None else f"{row.loss:.3f}",
        "" if row.gain is None else _gain(row.gain),
        _paper(row),
    ]


def _paper(row: StageRow) -> str:
    stated = row.paper
    parts = [] if stated.gain is None else [f"gain {stated.gain:+.2f}"]
    parts += [] if stated.validation is None else [f"val {stated.validation:.2f}"]
    parts += [] if stated.training is None else [f"train {stated.training:.2f}"]
    parts += [] if stated.loss is None else [f"loss {stated.loss:.3f}"]
    return ", ".join(parts)


def _ensemble(found: Ensemble, table: Dissection) -> Iterator[str]:
    done = sum(row.state == "finished" for row in found.members)
    name = f"ensemble of {len(found.members)}"
    if found.full is None:
        members = f"{done} of {len(found.members)} members so far"
        yield f"{name}: {absence(found.members)} ({members}) (paper: {paper.ENSEMBLE:.2f})"
        if found.so_far is not None:
            yield f"  those {done} averaged: {100 * found.so_far.top1:.2f} %"
        return
    yield f"{name}: {100 * found.full.top1:.2f} % (paper: {paper.ENSEMBLE:.2f})"
    if found.gain_over_mean is not None:
        yield f"  over its mean member: {_gain(found.gain_over_mean)}"
    if found.gain_over_best is not None:
        stated = found.paper.gain
        yield (
            f"  over the member that is best on the tuning images: "
            f"{100 * found.gain_over_best:+.2f} (paper, over the best: {stated:+.2f})"
        )
    if found.chosen is not None:
        size = len(found.chosen.members)
        yield (
            f"  best subset by the tuning images, {size} members: "
            f"{100 * found.chosen.reported:.2f} %"
        )
    if found.flattered is not None:
        size = len(found.flattered.members)
        yield (
            f"  best subset by the reported images themselves, {size} members: "
            f"{100 * found.flattered.reported:.2f} %, which flatters "
            f"(paper: {paper.BEST_SUBSET:.2f} with {paper.BEST_SUBSET_SIZE})"
        )


def _percent(found: Estimate | None) -> str:
    if found is None:
        return ""
    spread = "" if found.deviation is None else f" ± {100 * found.deviation:.2f}"
    return f"{100 * found.mean:.2f}{spread}"


def _gain(found: Estimate) -> str:
    parts = [_interval(found.by_image), _interval(found.by_seed)]
    return f"{100 * found.mean:+.2f} " + "; ".join(part for part in parts if part)


def _interval(interval: tuple[float, float] | None) -> str:
    if interval is None:
        return ""
    return f"[{100 * interval[0]:+.2f}, {100 * interval[1]:+.2f}]"


def folds_text(made: list[StageFolds]) -> str:
    """The folds as text, percent."""
    count = max((len(stage.folds) for stage in made), default=0)
    header = ["stage", *(f"fold {n}" for n in range(1, count + 1)), "mean", "train - val images"]
    rows = []
    for stage in made:
        cells = ["not run" if a is None else f"{100 * a:.2f}" for a in stage.folds]
        mean = "" if stage.mean is None else f"{100 * stage.mean:.2f}"
        if stage.by_fold is not None:
            mean += f" [{100 * stage.by_fold[0]:.2f}, {100 * stage.by_fold[1]:.2f}]"
        less = ""
        if stage.train_less_val is not None and stage.train_less_val_interval is not None:
            low, high = stage.train_less_val_interval
            less = f"{100 * stage.train_less_val:+.2f} [{100 * low:+.2f}, {100 * high:+.2f}]"
        rows.append([stage.name, *cells, mean, less])
    table = render(header, rows, right=tuple(range(1, count + 1)))
    return (
        f"{table}\n"
        "percent, one crop, on the fold held out; in brackets 95 %: of the mean by Student's t\n"
        "over folds, of the difference by the two kinds of images as independent samples"
    )
