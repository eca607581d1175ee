"""The tables and figures of a cross-validation and of a search."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from tinynet.report import figure_numbers, search_plane
from tinynet.report import folds as folds_figure
from tinynet.report.figure import Absent, Figure, FigureOptions
from tinynet.report.report_data import ReportData
from tinynet.report.run_data import label_of
from tinynet.report.table import Cell, Column, Table, interval_cell, percent
from tinynet.study.cross_validation import StageFolds
from tinynet.study.trials import Trial, ranked


def folds_table(stages: Sequence[StageFolds], number: int = 1, folder: str = "") -> Table:
    """Every stage over its folds, and held-out training against held-out validation images."""
    count = max((len(stage.folds) for stage in stages), default=0)
    columns = [
        Column("stage", "name"),
        *(Column(f"fold {number} (%)", "number") for number in range(1, count + 1)),
        *(Column("mean (%)", "number"), Column("95 % over folds", "number")),
        Column("training images (%)", "number", is_main=False),
        Column("validation images (%)", "number", is_main=False),
        Column("difference (points)", "number"),
        Column("95 % of it", "number", is_main=False),
    ]
    rows = []
    for stage in stages:
        kinds = (stage.from_train, stage.from_val)
        cells = [
            percent(accuracy, missing=stage.absence(fold))
            for fold, accuracy in enumerate(stage.folds, 1)
        ]
        cells += [percent(stage.mean), interval_cell(stage.by_fold)]
        cells += [percent(kind.accuracy if kind else None) for kind in kinds]
        cells += [percent(stage.train_less_val, sign=True)]
        cells += [interval_cell(stage.train_less_val_interval, sign=True)]
        rows.append([Cell(label_of(stage.name)), *cells])
    caption = (
        f"One-crop accuracy on the images that were held out{', from ' if folder else ''}{folder}. "
        "The interval over folds is Student's t, somewhat too narrow, as folds share training "
        "images; that of the difference takes the two kinds as independent samples (normal "
        "approximation)."
    )
    return Table(f"folds-{number}", caption, columns, rows)


def trials_table(
    trials: Sequence[Trial], names: Sequence[str], number: int = 1, folder: str = ""
) -> Table:
    """Every trial of a search, best first; ``names``: of the solver fields that were searched."""
    columns = [
        *(Column("trial", "number"), Column("state")),
        *(Column(name, "number") for name in names),
        Column("tuning accuracy (%)", "number"),
    ]
    rows = [
        [
            Cell(str(trial.number), str(trial.number)),
            Cell(trial.state),
            *(Cell(f"{trial.values[name]:.4g}", f"{trial.values[name]:.9g}") for name in names),
            percent(trial.score),
        ]
        for trial in ranked(trials)
    ]
    caption = f"The trials of {folder}; one that was given up early has its last accuracy."
    return Table(f"trials-{number}", caption, columns, rows)


def search_figures(report_data: ReportData, options: FigureOptions) -> Iterator[Figure]:
    """The plane of two searched values, of each search."""
    drawn = False
    for number, found in enumerate(report_data.searches, 1):
        best = found.best
        if best is None or len(found.names) < 2:
            continue
        names = (found.names[0], found.names[1])
        points = search_plane.points_of(found.trials, names)
        ringed = search_plane.points_of([best], names)[0]
        count = f"{len(points)} trial{'' if len(points) == 1 else 's'}"
        title = f"Search of {label_of(found.stage_name)}: {count}"
        drawn = True
        yield Figure(
            f"search_{number}_{found.stage_name}",
            title,
            "Each trial at its values, coloured by its accuracy on the tuning images: a small "
            "square was given up early, and has its last one. Each level of trials is drawn around "
            "the best so far.",
            search_plane.describe(points, ringed, names),
            [],
            partial(search_plane.draw_search_plane, points, ringed, names, title),
            partial(figure_numbers.plane, points, names),
        )
    if not drawn:
        raise Absent("no search of two values with a completed trial is here; 'tinynet search'")


def folds_figures(report_data: ReportData, options: FigureOptions) -> Iterator[Figure]:
    """Cross-validation: held-out accuracy by fold."""
    if not any(found.stages for found in report_data.folds):
        raise Absent("no cross-validation is here; 'tinynet dissect --folds K'")
    for number, found in enumerate(report_data.folds, 1):
        named = [replace(stage, name=label_of(stage.name)) for stage in found.stages]
        yield Figure(
            f"folds_{number}",
            "Accuracy on the fold that was held out",
            "A dot is a fold, a diamond their mean with its 95 % interval (Student's t). Right: "
            "accuracy of the same nets on images from the training set, less that on images from "
            "the validation set; an interval without 0 says that the two kinds differ.",
            folds_figure.describe(named),
            [],
            partial(folds_figure.draw_folds, named),
            partial(folds_table, named),
        )
