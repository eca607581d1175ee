"""The numbers of a report: accuracy and gain of every stage, from its runs.

A results folder has its own table.  For run directories the same table is made here, from finished
runs only: one that is under way never stands for one of full length.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from tinynet.experiment import paper
from tinynet.experiment.hyperparameters import MEMBERS
from tinynet.experiment.stages import STAGES
from tinynet.predict.probabilities import CENTER, OVERSAMPLE
from tinynet.predict.subsets import MAX_MEMBERS, SubsetScores, score_subsets
from tinynet.report.bars import Bar
from tinynet.report.report_data import ReportData
from tinynet.report.run_data import RunData
from tinynet.run.record import DIVERGED
from tinynet.study.dissection_table import BySeed, ensemble_scores, estimate, gain
from tinynet.study.results import FINISHED as EVALUATED
from tinynet.study.results import NOT_RUN, Ensemble, Estimate, RunRow, Score, StageRow, absence


@functools.lru_cache(maxsize=1)  # many parts of a page ask for the same
def stage_rows(report_data: ReportData) -> list[StageRow]:
    """The table's rows: every single stage in order, then other nets that have run."""
    if report_data.dissection is not None:
        return [*report_data.dissection.stages, *report_data.dissection.variants]
    rows: list[StageRow] = []
    for stage in STAGES:
        if not stage.is_ensemble:
            runs = report_data.by_stage.get(stage.label, [])
            before = rows[-1] if rows else None
            facts = (stage.number, stage.name, stage.title, stage.change)
            rows.append(_row(report_data, runs, facts, before))
    for label, runs in report_data.by_stage.items():
        if runs[0].stage is None:
            rows.append(_row(report_data, runs, (0, label, label, ""), None))
    return rows


def _row(
    report_data: ReportData,
    runs: Sequence[RunData],
    facts: tuple[int, str, str, str],
    before: StageRow | None,
) -> StageRow:
    number, name, title, change = facts
    done = [run for run in runs if run.is_finished]
    row: dict[str, Any] = {}
    one = _correct(done, report_data.reported, CENTER)
    if one:
        row["one_crop"] = estimate(one)
        losses = [m.loss for run in done if (m := run.metrics(report_data.reported)) is not None]
        row["loss"] = fmean(losses)
    for key, split, crop in (
        ("ten_crop", report_data.reported, OVERSAMPLE),
        ("training", "train", CENTER),
    ):
        found = _of_one_size(_correct(done, split, crop))
        if found:
            row[key] = estimate(found)
    if before is not None and one:
        earlier = report_data.by_stage.get(before.label, [])
        earlier = [run for run in earlier if run.is_finished]
        row["gain"] = gain(_correct(earlier, report_data.reported, CENTER), one)
        row["gain_over"] = before.name if row["gain"] else ""
    return StageRow(
        number=number,
        name=name,
        title=title,
        change=change,
        epochs=0,
        runs=[_run_row(run) for run in runs],
        paper=paper.STAGES.get(number, paper.PaperStage()),
        **row,
    )


def _run_row(run: RunData) -> RunRow:
    scores = {}
    for (split, crop), p in run.predictions.items():
        if p.labelled:
            scores[f"{split}_{crop}"] = Score.of(p)
    state = EVALUATED if run.is_finished and scores else NOT_RUN
    state = DIVERGED if run.record.state == DIVERGED else state
    return RunRow(run.name, run.record.seed, state, run.record.iteration, scores)


def _correct(runs: Sequence[RunData], split: str, crop: str) -> BySeed:
    found: BySeed = {}
    for run in runs:
        p = run.says(split, crop)
        if p is not None and run.record.seed not in found:
            found[run.record.seed] = p.right
    return found


def _of_one_size(found: BySeed) -> BySeed:
    """Keep the seeds that were measured on one number of images.

    Some may have all images and others a sample of them: the commoner number is kept, and the
    larger of two that are equally common.
    """
    sizes = [len(right) for right in found.values()]
    size = max(sizes, key=lambda n: (sizes.count(n), n), default=0)
    return {seed: right for seed, right in found.items() if len(right) == size}


@dataclass(frozen=True)
class Oversampling:
    """A stage's accuracy over crops, and its gain over one crop; both None if it has not run.

    ``paper_gain``: the paper's, in percentage points, if this is the paper's stage.
    """

    label: str
    ten_crop: Estimate | None = None
    gain: Estimate | None = None
    paper_gain: float | None = None


def oversampling(report_data: ReportData) -> Oversampling:
    """That of the last single stage, as in the paper; for run directories, of the last that ran."""
    wanted = STAGES[-2].number
    # a variant has its stage's number, but is not that stage
    steps = [row for row in stage_rows(report_data) if row.is_step]
    rows = {row.number: row for row in steps if row.ten_crop is not None}
    if report_data.dissection is not None:
        ten = rows[wanted].ten_crop if wanted in rows else None
        gained = report_data.dissection.oversampling
        return Oversampling(f"{wanted} over crops", ten, gained, paper.OVERSAMPLING_GAIN)
    number = max((number for number in rows if number), default=0)
    if not number:
        return Oversampling(f"{wanted} over crops", paper_gain=paper.OVERSAMPLING_GAIN)
    row = rows[number]
    done = [run for run in report_data.by_stage.get(row.label, []) if run.is_finished]
    views = {
        p.views for run in done if (p := run.says(report_data.reported, OVERSAMPLE)) is not None
    }
    label = f"{number} with mirror image" if views == {2} else f"{number} over crops"
    gained = gain(
        _correct(done, report_data.reported, CENTER),
        _correct(done, report_data.reported, OVERSAMPLE),
    )
    stated = paper.OVERSAMPLING_GAIN if number == wanted else None
    return Oversampling(label, row.ten_crop, gained, stated)


@functools.lru_cache(maxsize=1)  # many parts of a page ask for the same
def ensemble_of(report_data: ReportData) -> Ensemble | None:
    """The ensemble's scores, or None without an ensemble; for run directories, of ``members``."""
    if report_data.dissection is not None:
        return report_data.dissection.ensemble
    members = report_data.members
    if not members:
        return None
    own = [run for run in members if run.stage is not None and run.stage.is_ensemble]
    is_papers = len(own) == len(members) == len(MEMBERS)
    return Ensemble(
        number=STAGES[-1].number,
        name=STAGES[-1].name,
        title=f"{len(members)} averaged ({members[0].label})",
        members=[_run_row(run) for run in members],
        paper=paper.STAGES[STAGES[-1].number] if is_papers else paper.PaperStage(),
        **ensemble_scores(
            report_data.members_on(report_data.reported), [run.record.seed for run in members]
        ),
    )


@functools.lru_cache(maxsize=1)  # a figure and a table ask for the same
def subset_scores(report_data: ReportData) -> SubsetScores:
    """The scores of every subset of the ensemble's members, which must be at least two."""
    found = [member.probabilities for member in report_data.members_on(report_data.reported)]
    return score_subsets([p.probabilities for p in found[:MAX_MEMBERS]], found[0].labels)


def _bar(
    label: str,
    accuracy: Estimate | None,
    gain: Estimate | None,
    paper_gain: float | None,
    absence: str = NOT_RUN,
) -> Bar:
    """A bar whose intervals are by image, since even one seed has these: all error bars of a figure
    answer the same question.  ``paper_gain``: in points.
    """
    return Bar(
        label,
        accuracy.mean if accuracy else None,
        accuracy.by_image if accuracy else None,
        gain.mean if gain else None,
        gain.by_image if gain else None,
        None if paper_gain is None else paper_gain / 100,
        absence,
    )


def _stage_bar(row: StageRow) -> Bar:
    return _bar(row.label, row.one_crop, row.gain, row.paper.gain, row.absence)


def stage_bars(report_data: ReportData) -> tuple[list[Bar], str]:
    """Figure 7's bars and a note on what they are.

    Every stage in order, also those that have not run, as in the paper; then variants.
    """
    rows = stage_rows(report_data)
    bars = [_stage_bar(row) for row in rows if row.is_step]
    over = oversampling(report_data)
    bars.append(_bar(over.label, over.ten_crop, over.gain, over.paper_gain))
    ensemble = ensemble_of(report_data)
    if ensemble is not None:
        title = ensemble.label
        if report_data.dissection is None:
            title = f"{len(ensemble.members)} averaged"
        gain, stated = ensemble.gain_over_mean, ensemble.paper.gain
        bars.append(_bar(title, ensemble.accuracy, gain, stated, absence(ensemble.members)))
    others = [row for row in rows if not row.is_step]
    bars += [_stage_bar(row) for row in others]
    seeds = max([len(row.finished) for row in stage_rows(report_data)], default=0)
    means = f"means of up to {seeds} seeds" if seeds > 1 else "one seed"
    notes = [
        f"One crop unless over crops; {means}; error bars: 95 % by image (paired bootstrap).",
        "The paper has 200 classes.",
    ]
    if ensemble is not None:
        notes[1] += " Its ensemble's gain is over its best member, ours over the mean member."
    if any(_is_of_fewer_seeds(row, rows) for row in rows):
        notes.append(
            "A gain compares the seeds that both stages have, so that bars may differ by more."
        )
    if any(row.gain for row in others):
        notes.append("A variant's gain is over its own stage.")
    return bars, "\n".join(notes)


def _is_of_fewer_seeds(row: StageRow, rows: Sequence[StageRow]) -> bool:
    """Whether a gain leaves out seeds of its stage or of the one before."""
    before = [other for other in rows if other.name == row.gain_over]
    one = [each.one_crop for each in (row, *before) if each.one_crop is not None]
    return row.gain is not None and any(found.seeds != row.gain.seeds for found in one)
