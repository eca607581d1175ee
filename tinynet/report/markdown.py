"""The tables of a report as Markdown, for a README of results, so that none is typed by hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tinynet import files
from tinynet.report import claims, ensemble_tables, page_text, stage_tables
from tinynet.report.report_data import ReportData
from tinynet.report.table import as_markdown


def write_markdown(report_data: ReportData, path: Path) -> None:
    """Write the tables of every dissection, or of the runs, to a file, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(path, render(report_data))


def render(report_data: ReportData) -> str:
    """One part for each protocol, headed by it."""
    parts = [f"# {page_text.title(report_data)}"]
    for each in (report_data, *report_data.others):
        parts += _part(each)
    return "\n\n".join(parts) + "\n"


def _part(report_data: ReportData) -> Iterator[str]:
    yield f"## {report_data.protocol.capitalize() or 'Runs'}"
    yield page_text.lead(report_data)
    yield from page_text.warnings(report_data)
    for heading, made in (
        ("### Every stage", stage_tables.stages(report_data)),
        ("### The ensemble", ensemble_tables.ensemble_facts(report_data)),
        ("### Two kinds of held-out images", stage_tables.tuning_and_held_out(report_data)),
        ("### The paper's claims, one by one", claims.table(report_data)),
    ):
        if made is not None:
            yield heading
            yield as_markdown(made)
