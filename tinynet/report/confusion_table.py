"""The page's table of the classes that are confused most."""

from __future__ import annotations

from tinynet.report.confusion import top_confusions
from tinynet.report.figure import Absent
from tinynet.report.report_data import ReportData
from tinynet.report.score_figures import confused
from tinynet.report.table import Cell, Column, Table, number, percent


def confusion_table(report_data: ReportData) -> Table | None:
    """The pairs of classes that are confused most; None if no answers are there."""
    try:
        model, matrix, names = confused(report_data)
    except Absent:
        return None
    rows = [
        [
            Cell(names[pair.label]),
            Cell(names[pair.answer]),
            percent(pair.share),
            number(pair.count, 0),
            number(pair.images, 0),
        ]
        for pair in top_confusions(matrix)
    ]
    columns = [
        Column("class", "name"),
        Column("taken for", "name"),
        Column("% of its images", "number"),
        Column("images", "number"),
        Column("of", "number"),
    ]
    caption = f"The {len(rows)} pairs confused most, by {model}."
    return Table("confusions", caption, columns, rows)
