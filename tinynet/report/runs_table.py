"""The page's table of all runs."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

from tinynet.predict.probabilities import CENTER, OVERSAMPLE
from tinynet.report.report_data import ReportData
from tinynet.report.run_data import RunData
from tinynet.report.table import NONE, NOT_RUN, Cell, Column, Link, Table, number, percent
from tinynet.run.record import DIVERGED


def runs_table(report_data: ReportData, page: Path) -> Table:
    """Every run: its state, accuracy, engine, hashes and folder."""
    columns = [
        *(Column("run", "runs"), Column("state"), Column("iteration", "number")),
        Column("of", "number", is_main=False),
        Column("seed", "number", is_main=False),
        Column("accuracy, one crop (%)", "number"),
        Column("over crops (%)", "number"),
        *(Column("engine"), Column("device", is_main=False)),
        Column("weights (SHA-256)", "hash", is_main=False),
        Column("solver (SHA-256)", "hash", is_main=False),
        Column("folder", "path", is_main=False),
    ]
    rows = [_run_cells(report_data, run, page) for run in report_data.runs]
    ids = [report_data.run_id(run.name) for run in report_data.runs]
    caption = (
        "Every run, finished or not. The hashes are of the weights that were measured and of the "
        "solver.prototxt as run; point at one to see it whole."
    )
    return Table("runs", caption, columns, rows, ids)


def _run_cells(report_data: ReportData, run: RunData, page: Path) -> list[Cell]:
    record = run.record
    state = record.state + (f": {record.message}" if record.message else "")
    missing = DIVERGED if record.state == DIVERGED else NOT_RUN
    engine = record.engine
    link = quote(Path(os.path.relpath(run.folder.resolve(), page.resolve().parent)).as_posix())
    return [
        Cell(run.name),
        Cell(state),
        number(record.iteration, 0),
        number(record.max_iter, 0),
        Cell(str(record.seed), str(record.seed)),
        percent(run.top1(report_data.reported, CENTER), missing=missing),
        percent(run.top1(report_data.reported, OVERSAMPLE), missing=missing),
        Cell(" ".join(engine.get(key, "") for key in ("name", "version")).strip() or "—"),
        Cell(record.device),
        _hash(run.model_sha256),
        _hash(str(record.hashes.get("solver.prototxt", ""))),
        Cell(str(run.folder), None, [Link(str(run.folder), f"{link}/")]),
    ]


def _hash(digest: str) -> Cell:
    return Cell(digest[:12], digest, is_code=True, title=digest) if digest else NONE
