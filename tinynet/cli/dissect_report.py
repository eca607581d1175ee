"""What ``tinynet dissect`` prints: the table beside the paper's figures, then the ensemble."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from tinynet.report import ensemble_tables, stage_tables
from tinynet.report.report_data import ReportData
from tinynet.report.search_and_folds import folds_table
from tinynet.report.table import as_text
from tinynet.study.cross_validation import StageFolds
from tinynet.study.results import Dissection
from tinynet.study.settings import choices

_WIDTH = 100  # characters in a line of words


def text(table: Dissection) -> str:
    """The whole table as text; percent, and percentage points for gains."""
    return "\n".join(_lines(table))


def _lines(table: Dissection) -> Iterator[str]:
    settings = table.settings
    data = ReportData([], dissection=table)
    how = [f"epochs x {settings.epochs_factor:g}", f"batch {settings.batch_size}"]
    yield (
        f"reported on {table.reported.images:,} images ({table.reported.role}); "
        + ", ".join(how + data.arithmetic)
    )
    for choice in choices(settings):
        yield choice.text
    ensemble = ensemble_tables.ensemble_facts(data)
    for made in (stage_tables.stages(data), ensemble, stage_tables.tuning_and_held_out(data)):
        if made is not None:
            yield as_text(made)
            yield from textwrap.wrap(made.caption, _WIDTH)


def folds_text(made: list[StageFolds]) -> str:
    """The folds as text, percent."""
    table = folds_table(made)
    return "\n".join([as_text(table), *textwrap.wrap(table.caption, _WIDTH)])
