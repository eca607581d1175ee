"""The tables of the stages: accuracies and gains, and two kinds of images compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tinynet.experiment import paper
from tinynet.predict.probabilities import OVERSAMPLE
from tinynet.report.report_data import ReportData
from tinynet.report.summary import Oversampling, ensemble_of, oversampling, stage_rows
from tinynet.report.table import NONE, NOT_RUN, Cell, Column, Table, interval_cell, number, percent
from tinynet.run.record import DIVERGED
from tinynet.study.results import Ensemble, Estimate, StageRow, absence

_ENSEMBLE_GAIN = (
    " The ensemble's gain is over the mean of its members; the paper's is over the best of its own."
)
NO_CROPS = "*: sees whole images, which have no crops: the image and its mirror."


def stages(report_data: ReportData) -> Table:
    """Accuracy and gain of every stage, beside the paper's."""
    found = stage_rows(report_data)
    training = _training_counts(found)
    of_all = f", {next(iter(training)):,} images" if len(training) == 1 else ""
    columns = [
        Column("stage", "name"),
        Column("epochs", "number", is_main=False),
        Column("seeds", "runs"),
        Column("one crop (%)", "number"),
        Column("95 % by image", "number", is_main=False),
        Column("95 % by seed", "number", is_main=False),
        Column("over crops (%)", "number"),
        Column("paper's accuracy (%)", "number"),
        Column("gain (points)", "number"),
        Column("gain, 95 % by image", "number", is_main=False),
        Column("gain, 95 % by seed", "number", is_main=False),
        Column("paper's gain", "number"),
        Column(f"training (%){of_all}", "number", is_main=False),
        Column("paper's training (%)", "number", is_main=False),
        Column("loss (nats)", "number", is_main=False),
        Column("paper's loss", "number", is_main=False),
    ]
    rows = [_stage_cells(report_data, row) for row in found if row.is_step]
    rows.append(_crops_cells(oversampling(report_data)))
    ensemble = ensemble_of(report_data)
    if ensemble is not None:
        rows.append(_ensemble_cells(report_data, ensemble))
    rows += [_stage_cells(report_data, row) for row in found if not row.is_step]
    return Table(
        "stages",
        f"Accuracy (top-1) on the {report_data.images} images, means over seeds. By image: a "
        "paired bootstrap over the images, for these very runs. By seed: Student's t over the "
        "seeds, for these very images. A gain compares the seeds that both "
        "stages have. The paper's accuracy is of one crop where ours is, else over crops."
        + (_ENSEMBLE_GAIN if ensemble is not None else "")
        + (f" {NO_CROPS}" if any(_has_no_crops(report_data, row) for row in found) else ""),
        columns,
        rows,
    )


def _stage_cells(report_data: ReportData, row: StageRow) -> list[Cell]:
    crops, training = _mean(row.ten_crop), _mean(row.training)
    no_crops = " *" if _has_no_crops(report_data, row) else ""
    return [
        *_named_cells(report_data, row, row.epochs),
        *_estimated(row.one_crop, missing=row.absence),
        replace(crops, text=crops.text + no_crops),
        number(row.paper.validation),
        *_estimated(row.gain, sign=True),
        number(row.paper.gain, sign=True),
        replace(training, text=training.text + _of_images(report_data, row)),
        number(row.paper.training),
        number(row.loss, 3),
        number(row.paper.loss, 3),
    ]


def _of_images(report_data: ReportData, row: StageRow) -> str:
    """How many images a training accuracy is of, where that differs between stages; else ""."""
    differs = len(_training_counts(stage_rows(report_data))) > 1
    return f" of {row.training_images:,}" if row.training is not None and differs else ""


def _training_counts(rows: Sequence[StageRow]) -> set[int]:
    """The numbers of images on which training accuracies were measured."""
    return {row.training_images for row in rows if row.training is not None}


def _mean(found: Estimate | None, sign: bool = False, missing: str = "—") -> Cell:
    return percent(found.mean if found else None, sign, missing)


def _estimated(found: Estimate | None, sign: bool = False, missing: str = "—") -> list[Cell]:
    """The mean and both its intervals."""
    by_image, by_seed = (found.by_image, found.by_seed) if found else (None, None)
    return [
        _mean(found, sign, missing),
        interval_cell(by_image, sign),
        interval_cell(by_seed, sign),
    ]


def _has_no_crops(report_data: ReportData, row: StageRow) -> bool:
    scores = [run.score(report_data.reported, OVERSAMPLE) for run in row.finished]
    return any(score is not None and score.views == 2 for score in scores)


def _named_cells(report_data: ReportData, row: StageRow, epochs: int | None = None) -> list[Cell]:
    """The stage, its epochs, and the seeds that have run as links to their runs."""
    done = [run.run for run in row.finished]
    links = report_data.run_links(done, [str(run.seed) for run in row.finished])
    place = row.number if row.is_step else 100 + row.number  # variants sort after the stages
    lost = sum(run.state == DIVERGED for run in row.runs)
    return [
        Cell(row.label, f"{place:03d}"),
        *([] if epochs is None else [number(epochs or None, 0)]),
        Cell(
            row.done if row.runs else NOT_RUN,
            str(len(done)),
            links,
            after=f", {lost} {DIVERGED}" if lost else "",
        ),
    ]


def _crops_cells(over: Oversampling) -> list[Cell]:
    accuracy = paper.BEST_MEMBER_TEN_CROPS if over.paper_gain is not None else None
    mean, *intervals = _estimated(over.ten_crop, missing=NOT_RUN)
    return [
        Cell(over.label, f"{over.label[:1]:0>3}.5"),
        NONE,
        Cell("as above" if over.ten_crop else NOT_RUN, ""),
        NONE,
        *intervals,
        mean,
        number(accuracy),
        *_estimated(over.gain, sign=True),
        number(over.paper_gain, sign=True),
        *[NONE] * 4,
    ]


def _ensemble_cells(report_data: ReportData, ensemble: Ensemble) -> list[Cell]:
    full = ensemble.full
    title = ensemble.title if report_data.dissection is None else ensemble.label
    done = len(ensemble.finished)
    return [
        Cell(title, f"{ensemble.number:03d}"),
        NONE,
        Cell(f"{done} of {len(ensemble.members)} models", str(done)),
        NONE,
        interval_cell(ensemble.full_by_image),
        NONE,
        percent(full.top1 if full else None, missing=absence(ensemble.members)),
        number(ensemble.paper.validation),
        *_estimated(ensemble.gain_over_mean, sign=True),
        number(ensemble.paper.gain, sign=True),
        NONE,
        number(ensemble.paper.training),
        number(full.loss if full else None, 3),
        number(ensemble.paper.loss, 3),
    ]


def tuning_and_held_out(report_data: ReportData) -> Table | None:
    """Accuracy on tuning and on held-out images, by stage; None without tuning images."""
    rows = [row for row in stage_rows(report_data) if row.tuning is not None]
    if not rows:
        return None
    columns = [
        Column("stage", "name"),
        Column("seeds", "runs"),
        Column("tuning images (%)", "number"),
        Column("held-out images (%)", "number"),
        Column("difference (points)", "number"),
        Column("95 % by image", "number", is_main=False),
        Column("95 % by seed", "number", is_main=False),
    ]
    caption = (
        "Accuracy (top-1) over crops on the tuning images and on the held-out images that are "
        "reported, means over seeds; no net was trained on either. By image: two independent "
        "samples of images. A stage that only one seed has run has no interval by seed."
    )
    return Table("tuning", caption, columns, [_both_cells(report_data, row) for row in rows])


def _both_cells(report_data: ReportData, row: StageRow) -> list[Cell]:
    return [
        *_named_cells(report_data, row),
        _mean(row.tuning),
        _mean(row.ten_crop),
        *_estimated(row.tuning_less_reported, sign=True),
    ]
