"""The tables of a cross-validation and of a search."""

from __future__ import annotations

from tinynet.experiments.trials import ranked
from tinynet.reporting.evidence import label_of
from tinynet.reporting.sources import Folds, Search
from tinynet.reporting.tables import NOT_RUN, Cell, Column, Row, Table, interval_cell, percent


def folds(found: Folds, number: int) -> Table:
    """Every stage over its folds, and held-out training against held-out validation pictures."""
    count = max((len(stage.folds) for stage in found.stages), default=0)
    columns = [
        Column("stage", "name"),
        *(Column(f"fold {number} (%)", "number") for number in range(1, count + 1)),
        *(Column("mean (%)", "number"), Column("95 % over folds", "number")),
        *(Column("training pictures (%)", "number"), Column("validation pictures (%)", "number")),
        *(Column("difference (points)", "number"), Column("95 % of it", "number")),
    ]
    rows = []
    for stage in found.stages:
        kinds = (stage.from_train, stage.from_val)
        cells = [percent(accuracy, missing=NOT_RUN) for accuracy in stage.folds]
        cells += [percent(stage.mean), interval_cell(stage.by_fold)]
        cells += [percent(kind.accuracy if kind else None) for kind in kinds]
        cells += [percent(stage.train_less_val, sign=True)]
        cells += [interval_cell(stage.train_less_val_interval, sign=True)]
        rows.append(Row([Cell(label_of(stage.name)), *cells]))
    caption = (
        f"One-crop accuracy on the pictures that were held out, from {found.folder}. The interval "
        "over folds is Student's t, somewhat too narrow, as folds share training pictures; that of "
        "the difference takes the two kinds as independent samples (normal approximation)."
    )
    return Table(f"folds-{number}", caption, columns, rows)


def trials(search: Search, number: int) -> Table:
    """Every trial of a search, best first."""
    columns = [
        *(Column("trial", "number"), Column("state")),
        *(Column(name, "number") for name in search.names),
        Column("tuning accuracy (%)", "number"),
    ]
    rows = [
        Row(
            [
                Cell(str(trial.number), str(trial.number)),
                Cell(trial.state),
                *(Cell(f"{value:.4g}", f"{value:.9g}") for value in trial.values.values()),
                percent(trial.score),
            ]
        )
        for trial in ranked(search.trials)
    ]
    caption = f"The trials of {search.folder}; what was given up early has its last accuracy."
    return Table(f"trials-{number}", caption, columns, rows)
