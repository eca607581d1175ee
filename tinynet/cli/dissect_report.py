"""What ``tinynet dissect`` prints: the table beside the paper's figures, then the ensemble."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from tinynet.experiment import paper
from tinynet.report import stage_tables
from tinynet.report.report_data import ReportData
from tinynet.report.search_and_folds import folds_table
from tinynet.report.table import as_text
from tinynet.study.cross_validation import StageFolds
from tinynet.study.results import Dissection, Ensemble, Estimate, absence
from tinynet.study.settings import choices

_WIDTH = 100  # characters in a line of words


def text(table: Dissection) -> str:
    """The whole table as text; percent, and percentage points for gains."""
    return "\n".join(_lines(table))


def _lines(table: Dissection) -> Iterator[str]:
    settings = table.settings
    yield (
        f"reported on {table.reported.images:,} images ({table.reported.role}); epochs x "
        f"{settings['epochs_factor']:g}, batch {settings['batch_size']}"
    )
    for choice in choices(settings):
        yield choice.text
    data = ReportData([], dissection=table)
    made = stage_tables.stages(data)
    yield as_text(made)
    yield from textwrap.wrap(made.caption, _WIDTH)
    if table.ensemble is not None:
        yield from _ensemble(table.ensemble, table)
    tuning = stage_tables.tuning_and_held_out(data)
    if tuning is not None:
        yield as_text(tuning)
        yield from textwrap.wrap(tuning.caption, _WIDTH)


def _ensemble(found: Ensemble, table: Dissection) -> Iterator[str]:
    done = sum(row.state == "finished" for row in found.members)
    name = f"ensemble of {len(found.members)}"
    if found.full is None:
        members = f"{done} of {len(found.members)} members so far"
        yield f"{name}: {absence(found.members)} ({members}) (paper: {paper.ENSEMBLE:.2f})"
        if found.so_far is not None:
            yield f"  those {done} averaged: {100 * found.so_far.top1:.2f} %"
        return
    yield f"{name}: {100 * found.full.top1:.2f} % (paper: {paper.ENSEMBLE:.2f})"
    if found.gain_over_mean is not None:
        yield f"  over its mean member: {_gain(found.gain_over_mean)}"
    if found.gain_over_best is not None:
        stated = found.paper.gain
        yield (
            f"  over the member that is best on the tuning images: "
            f"{100 * found.gain_over_best:+.2f} (paper, over the best: {stated:+.2f})"
        )
    if found.chosen is not None:
        size = len(found.chosen.members)
        yield (
            f"  best subset by the tuning images, {size} members: "
            f"{100 * found.chosen.reported:.2f} %"
        )
    if found.flattered is not None:
        size = len(found.flattered.members)
        yield (
            f"  best subset by the reported images themselves, {size} members: "
            f"{100 * found.flattered.reported:.2f} %, which flatters "
            f"(paper: {paper.BEST_SUBSET:.2f} with {paper.BEST_SUBSET_SIZE})"
        )


def _gain(found: Estimate) -> str:
    parts = [_interval(found.by_image), _interval(found.by_seed)]
    return f"{100 * found.mean:+.2f} " + "; ".join(part for part in parts if part)


def _interval(interval: tuple[float, float] | None) -> str:
    if interval is None:
        return ""
    return f"[{100 * interval[0]:+.2f}, {100 * interval[1]:+.2f}]"


def folds_text(made: list[StageFolds]) -> str:
    """The folds as text, percent."""
    found = folds_table(made)
    return "\n".join([as_text(found), *textwrap.wrap(found.caption, _WIDTH)])
