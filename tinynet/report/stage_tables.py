"""The tables of the stages: what each reaches and gains, and on which kind of images."""

from __future__ import annotations

from dataclasses import replace

from tinynet.experiment import paper
from tinynet.report.report_data import ReportData
from tinynet.report.run_data import OVERSAMPLE
from tinynet.report.run_links import run_links
from tinynet.report.summary import Oversampling, ensemble_of, oversampling, stage_rows
from tinynet.report.table import (
    NOT_RUN,
    Cell,
    Column,
    Row,
    Table,
    interval_cell,
    number,
    percent,
)
from tinynet.run.record import DIVERGED
from tinynet.study.results import Ensemble, StageRow, absence, of_images, training_heading

NO_CROPS = "*: sees whole images, which have no crops: the image and its mirror."


def stages(report_data: ReportData) -> Table:
    """What every stage reaches and gains, beside what the paper's text says of it."""
    found = stage_rows(report_data)
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
        Column(training_heading(found, "(%)"), "number", is_main=False),
        Column("paper's training (%)", "number", is_main=False),
        Column("loss (nats)", "number", is_main=False),
        Column("paper's loss", "number", is_main=False),
    ]
    rows = [Row(_stage_cells(report_data, row)) for row in found if row.is_step]
    rows.append(Row(_crops_cells(oversampling(report_data))))
    ensemble = ensemble_of(report_data)
    if ensemble is not None:
        rows.append(Row(_ensemble_cells(report_data, ensemble)))
    rows += [Row(_stage_cells(report_data, row)) for row in found if not row.is_step]
    return Table(
        "stages",
        f"Accuracy (top-1) on the {report_data.images} images, means over seeds. By image: a "
        "paired bootstrap over the images, these runs being as they are. By seed: Student's t "
        "over seeds, these images being what they are. A gain compares the seeds that both "
        "stages have. The paper's accuracy is of one crop where ours is, else over crops."
        + (f" {NO_CROPS}" if any(_has_no_crops(report_data, row) for row in found) else ""),
        columns,
        rows,
    )


def _stage_cells(report_data: ReportData, row: StageRow) -> list[Cell]:
    one = row.one_crop
    missing = row.absence if one is None else "—"
    return [
        *_named_cells(report_data, row, row.epochs),
        percent(one.mean if one else None, missing=missing),
        interval_cell(one.by_image if one else None),
        interval_cell(one.by_seed if one else None),
        _over_crops(report_data, row),
        number(row.paper.validation),
        percent(row.gain.mean if row.gain else None, sign=True),
        interval_cell(row.gain.by_image if row.gain else None, sign=True),
        interval_cell(row.gain.by_seed if row.gain else None, sign=True),
        number(row.paper.gain, sign=True),
        _training_cell(row, report_data),
        number(row.paper.training),
        number(row.loss, 3),
        number(row.paper.loss, 3),
    ]


def _training_cell(row: StageRow, report_data: ReportData) -> Cell:
    found = percent(row.training.mean if row.training else None)
    return replace(found, text=found.text + of_images(row, stage_rows(report_data)))


def _over_crops(report_data: ReportData, row: StageRow) -> Cell:
    found = percent(row.ten_crop.mean if row.ten_crop else None)
    return replace(found, text=found.text + " *") if _has_no_crops(report_data, row) else found


def _has_no_crops(report_data: ReportData, row: StageRow) -> bool:
    scores = [run.score(report_data.reported, OVERSAMPLE) for run in row.finished]
    return any(score is not None and score.views == 2 for score in scores)


def _named_cells(report_data: ReportData, row: StageRow, epochs: int | None = None) -> list[Cell]:
    """Which stage, its epochs, and the seeds that have run as links to their runs."""
    done = [run.run for run in row.finished]
    links = run_links(report_data, done, [str(run.seed) for run in row.finished])
    place = row.number if row.is_step else 100 + row.number  # behind the ladder
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
    none = Cell("—", "")
    ten, gain = over.ten_crop, over.gain
    accuracy = paper.BEST_MEMBER_TEN_CROPS if over.paper_gain is not None else None
    return [
        *(
            Cell(over.label, f"{over.label[:1]:0>3}.5"),
            none,
            Cell("as above" if over.ten_crop else NOT_RUN, ""),
        ),
        none,
        interval_cell(ten.by_image if ten else None),
        interval_cell(ten.by_seed if ten else None),
        percent(ten.mean if ten else None, missing=NOT_RUN),
        number(accuracy),
        percent(gain.mean if gain else None, sign=True),
        interval_cell(gain.by_image if gain else None, sign=True),
        interval_cell(gain.by_seed if gain else None, sign=True),
        number(over.paper_gain, sign=True),
        *(none, none, none, none),
    ]


def _ensemble_cells(report_data: ReportData, ensemble: Ensemble) -> list[Cell]:
    gain, full = ensemble.gain_over_mean, ensemble.full
    title = ensemble.label
    if report_data.dissection is None:
        title = ensemble.title
    done = [run.run for run in ensemble.members if run.state == "finished"]
    return [
        Cell(title, f"{ensemble.number:03d}"),
        Cell("—", ""),
        Cell(f"{len(done)} of {len(ensemble.members)} models", str(len(done))),
        Cell("—", ""),
        interval_cell(ensemble.full_by_image),
        Cell("—", ""),
        percent(full.top1 if full else None, missing=absence(ensemble.members)),
        number(ensemble.paper.validation),
        percent(gain.mean if gain else None, sign=True),
        interval_cell(gain.by_image if gain else None, sign=True),
        Cell("—", ""),
        number(ensemble.paper.gain, sign=True),
        Cell("—", ""),
        number(ensemble.paper.training),
        number(full.loss if full else None, 3),
        number(ensemble.paper.loss, 3),
    ]


def tuning_and_held_out(report_data: ReportData) -> Table | None:
    """Both kinds of images that no net was trained on, by stage; None where none chose."""
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
        "Accuracy (top-1) over crops on the images that may choose and on those that are "
        "reported, means over seeds; no net was trained on either. By image: two independent "
        "samples of images. What only one seed has run has no interval by seed."
    )
    return Table("tuning", caption, columns, [Row(_both_cells(report_data, row)) for row in rows])


def _both_cells(report_data: ReportData, row: StageRow) -> list[Cell]:
    less = row.tuning_less_reported
    return [
        *_named_cells(report_data, row),
        percent(row.tuning.mean if row.tuning else None),
        percent(row.ten_crop.mean if row.ten_crop else None),
        percent(less.mean if less else None, sign=True),
        interval_cell(less.by_image if less else None, sign=True),
        interval_cell(less.by_seed if less else None, sign=True),
    ]
