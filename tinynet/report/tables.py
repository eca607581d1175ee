"""The tables of a report: stages beside the paper, ensemble, confusions, and every run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from tinynet.experiment import paper
from tinynet.report import confusion
from tinynet.report.cells import (
    NOT_RUN,
    Cell,
    Column,
    Link,
    Row,
    Table,
    interval_cell,
    number,
    percent,
    run_id,
    run_links,
)
from tinynet.report.figure import Absent
from tinynet.report.report_data import CENTER, OVERSAMPLE, ReportData, RunData
from tinynet.report.score_figures import confused
from tinynet.report.summary import Oversampling, ensemble_of, oversampling, stage_rows
from tinynet.run.record import DIVERGED
from tinynet.study.results import Ensemble, StageRow, absence, of_images, training_heading


def stages(report_data: ReportData) -> Table:
    """What every stage reaches and gains, beside what the paper's text says of it."""
    found = stage_rows(report_data)
    columns = [
        Column("stage", "name"),
        Column("seeds", "runs"),
        Column("accuracy, one crop (%)", "number"),
        Column("95 % by image", "number"),
        Column("95 % by seed", "number"),
        Column("over crops (%)", "number"),
        Column("paper's accuracy (%)", "number"),
        Column("gain (points)", "number"),
        Column("gain, 95 % by image", "number"),
        Column("gain, 95 % by seed", "number"),
        Column("paper's gain", "number"),
        Column(training_heading(found, "(%)"), "number"),
        Column("paper's training (%)", "number"),
        Column("loss (nats)", "number"),
        Column("paper's loss", "number"),
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
        "stages have. The paper's accuracy is of one crop where ours is, else over crops.",
        columns,
        rows,
    )


def _stage_cells(report_data: ReportData, row: StageRow) -> list[Cell]:
    one = row.one_crop
    missing = row.absence if one is None else "—"
    return [
        *_named_cells(report_data, row),
        percent(one.mean if one else None, missing=missing),
        interval_cell(one.by_image if one else None),
        interval_cell(one.by_seed if one else None),
        percent(row.ten_crop.mean if row.ten_crop else None),
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


def _named_cells(report_data: ReportData, row: StageRow) -> list[Cell]:
    """Which stage, and the seeds that have run as links to their runs."""
    done = [run.run for run in row.finished]
    links = run_links(report_data, done, [str(run.seed) for run in row.finished])
    place = row.number if row.is_step else 100 + row.number  # behind the ladder
    return [
        Cell(row.label, f"{place:03d}"),
        Cell(str(len(done)) if done else row.absence, str(len(done)), links),
    ]


def _crops_cells(over: Oversampling) -> list[Cell]:
    none = Cell("—", "")
    ten, gain = over.ten_crop, over.gain
    accuracy = paper.BEST_MEMBER_TEN_CROPS if over.paper_gain is not None else None
    return [
        *(
            Cell(over.label, f"{over.label[:1]:0>3}.5"),
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
        Column("95 % by image", "number"),
        Column("95 % by seed", "number"),
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


def confusions(report_data: ReportData, limit: int = 20) -> Table | None:
    """The pairs of classes that are confused most."""
    try:
        name, found = confused(report_data)
    except Absent:
        return None
    matrix = confusion.confusion_matrix(found)
    wnids = found.wnids.tolist()
    names = [report_data.class_names.get(wnid, wnid) for wnid in wnids]
    rows = [
        Row(
            [
                Cell(names[pair.label]),
                Cell(names[pair.answer]),
                percent(pair.share),
                number(pair.count, 0),
                number(pair.images, 0),
            ]
        )
        for pair in confusion.top_confusions(matrix, limit)
    ]
    columns = [
        Column("class", "name"),
        Column("taken for", "name"),
        Column("% of its images", "number"),
        Column("images", "number"),
        Column("of", "number"),
    ]
    return Table("confusions", f"The {len(rows)} pairs confused most, by {name}.", columns, rows)


def runs(report_data: ReportData, page: Path) -> Table:
    """Every run: where it lies, how it ended, what it is made of."""
    columns = [
        *(Column("run", "runs"), Column("state"), Column("iteration", "number")),
        *(Column("of", "number"), Column("seed", "number")),
        Column("accuracy, one crop (%)", "number"),
        Column("over crops (%)", "number"),
        *(Column("engine"), Column("device")),
        *(Column("weights (SHA-256)", "hash"), Column("solver (SHA-256)", "hash")),
        Column("folder", "path"),
    ]
    rows = [
        Row(_run_cells(report_data, run, page), run_id(report_data, run.name))
        for run in report_data.runs
    ]
    caption = (
        "Every run, finished or not. The hashes are of the weights that were measured and of the "
        "solver.prototxt as run; point at one to see it whole."
    )
    return Table("runs", caption, columns, rows)


def _run_cells(report_data: ReportData, run: RunData, page: Path) -> list[Cell]:
    record = run.record
    state = record.state + (f": {record.message}" if record.message else "")
    missing = DIVERGED if record.state == DIVERGED else NOT_RUN
    engine = record.engine or _session_engine(record.sessions)
    link = quote(Path(os.path.relpath(run.folder.resolve(), page.resolve().parent)).as_posix())
    return [
        Cell(run.name),
        Cell(state),
        number(record.iteration, 0),
        number(record.max_iter, 0),
        Cell(str(record.seed), str(record.seed)),
        percent(run.scored_or_measured(report_data.reported, CENTER), missing=missing),
        percent(run.scored_or_measured(report_data.reported, OVERSAMPLE), missing=missing),
        Cell(" ".join(engine.get(key, "") for key in ("name", "version")).strip() or "—"),
        Cell(record.device),
        _hash(run.model_sha256),
        _hash(str(record.hashes.get("solver.prototxt", ""))),
        Cell(str(run.folder), None, [Link(str(run.folder), f"{link}/")]),
    ]


def _session_engine(sessions: Sequence[dict[str, object]]) -> dict[str, str]:
    """A published record has no engine of its own, but its sessions say."""
    if not sessions:
        return {}
    last = sessions[-1]
    return {"name": str(last.get("engine", "")), "version": str(last.get("engine_version", ""))}


def _hash(digest: str) -> Cell:
    return Cell(digest[:12], digest, is_code=True, title=digest) if digest else Cell("—", "")
