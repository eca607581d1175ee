"""Links from a table of the page to the runs that its numbers are of."""

from __future__ import annotations

from collections.abc import Sequence

from tinynet.report.report_data import ReportData
from tinynet.report.table import Link


def run_id(report_data: ReportData, name: str) -> str:
    """The id of a run's row in the table of runs: by its place, since names may hold anything."""
    names = [run.name for run in report_data.runs]
    if name not in names:
        return ""
    return f"run-{names.index(name) + 1}{report_data.suffix}"


def run_links(
    report_data: ReportData, names: Sequence[str], texts: Sequence[str] | None = None
) -> list[Link]:
    """Links to the rows of runs, by their names or by ``texts``, which then say them when asked.

    A name that is no run's (a prototxt) is left out.
    """
    found = [(name, run_id(report_data, name)) for name in names]
    return [
        Link(text, f"#{anchor}", "" if text == name else name)
        for text, (name, anchor) in zip(texts or names, found)
        if anchor
    ]
