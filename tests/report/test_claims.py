"""Each claim of the paper gets the verdict that its rule gives by hand, and follows changes."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.command import run
from tests.report.run_directories import write_run
from tests.study.results_by_hand import add_run, begin, settings
from tests.study.tables import TABLE
from tinynet.experiment.paper import STAGES as PAPER
from tinynet.experiment.stages import stage
from tinynet.report import score_figures, stage_tables
from tinynet.report.claims import AGREES, DIFFERS, UNKNOWN, Claim, claims
from tinynet.report.ensemble_tables import ensemble_facts
from tinynet.report.figure import FigureOptions
from tinynet.report.report_data import ReportData, collect
from tinynet.study.dissection_table import build
from tinynet.study.results import (
    FINISHED,
    Dissection,
    Ensemble,
    Estimate,
    RunRow,
    Score,
    StageRow,
    Subset,
    write_dissection,
)


def estimate(mean: float, half: float = 0.005) -> Estimate:
    return Estimate(mean, [1], (mean - half, mean + half), None, None)


def row(number: int, accuracy: float, training: float, gain: float | None) -> StageRow:
    found = stage(number)
    score = Score(images=10_000, loss=2.4, top1=training, top5=0.9, views=1)
    done = RunRow(f"{found.name}/seed1", 1, FINISHED, 40, {"train_center": score})
    return StageRow(
        number=number,
        name=found.name,
        title=found.title,
        change=found.change,
        epochs=20,
        runs=[done],
        paper=PAPER[number],
        one_crop=estimate(accuracy),
        ten_crop=estimate(accuracy + 0.015),
        training=Estimate(training, [1], None, None, None),
        loss=2.4,
        gain=None if gain is None else estimate(gain),
    )


def dissection(classes: int = 200, factor: float = 1.0, **changes: object) -> Dissection:
    """A table with the paper's own figures, to a tenth of a point."""
    rows = [
        row(1, 0.27, 0.90, None),
        row(2, 0.319, 0.60, 0.049),
        row(3, 0.350, 0.55, 0.031),
        row(4, 0.362, 0.55, 0.012),
        row(5, 0.395, 0.677, 0.033),
        row(6, 0.404, 0.886, 0.009),
        row(7, 0.449, 0.663, 0.045),
    ]
    values: dict = {
        "settings": settings(data={"classes": classes}, epochs_factor=factor),
        "stages": rows,
        "tuning": None,
        "oversampling": estimate(0.015),
        "ensemble": None,
    }
    return replace(TABLE, **{**values, **changes})


def verdicts(made: Dissection) -> dict[str, Claim]:
    return {claim.text: claim for claim in claims(ReportData([], dissection=made))}


def changed(made: Dissection, number: int, **values: object) -> Dissection:
    rows = [replace(each, **values) if each.number == number else each for each in made.stages]
    return replace(made, stages=rows)


def test_the_papers_own_figures_agree_and_missing_runs_are_reported() -> None:
    found = verdicts(dissection())
    not_run = {text for text, claim in found.items() if claim.why == "not run"}
    assert not_run == {
        *("the ensemble of eleven, ten crops", "gain of the ensemble over its best model"),
        *("standard deviation of the models", "leaving models out is not worth it"),
    }
    untold = {text for text, claim in found.items() if claim.verdict == UNKNOWN} - not_run
    assert untold == {
        "its validation loss",
        next(text for text in found if text.startswith("test accuracy is lower")),
    }
    assert all(claim.verdict == AGREES for text, claim in found.items()
               if text not in untold | not_run)  # fmt: skip


def test_a_figure_agrees_within_chance_and_not_beyond() -> None:
    # ours ± 0.5, the paper's ± 1.96 · 0.37 · √2 for a gain: by hand 1.141 points
    reach = math.hypot(0.005, 1.96 * 0.0037 * math.sqrt(2))
    assert reach == pytest.approx(0.01141, abs=1e-5)
    for off, verdict in ((0.99 * reach, AGREES), (1.01 * reach, DIFFERS)):
        for sign in (1, -1):
            made = changed(dissection(), 2, gain=estimate(0.0488 + sign * off))
            claim = verdicts(made)["gain of dropout 1"]
            assert claim.verdict == verdict
    assert claim.why == "also a gain, but smaller"


@pytest.mark.parametrize(
    ("gain", "half", "verdict", "why"),
    [
        (0.012, 0.02, UNKNOWN, "the interval also includes a gain of zero"),
        (-0.02, 0.004, DIFFERS, "a loss"),
        (0.03, 0.004, DIFFERS, "also a gain, but larger"),
        (-0.006, 0.008, DIFFERS, "no clear gain"),
    ],
)
def test_a_gain_is_compared_with_zero_and_with_the_papers(
    gain: float, half: float, verdict: str, why: str
) -> None:
    made = changed(dissection(), 4, gain=estimate(gain, half))
    claim = verdicts(made)["gain of leaky ReLU"]
    assert (claim.verdict, claim.why) == (verdict, why)


def test_other_classes_and_short_schedules_refute_no_accuracy() -> None:
    low = changed(dissection(factor=0.15), 7, one_crop=estimate(0.40))
    claim = verdicts(low)["stage 7, one crop"]
    assert claim.verdict == UNKNOWN and "schedules times 0.15" in claim.why
    high = changed(dissection(factor=0.15), 7, one_crop=estimate(0.50))
    assert verdicts(high)["stage 7, one crop"].verdict == DIFFERS
    whole = changed(dissection(), 7, one_crop=estimate(0.40))
    assert verdicts(whole)["stage 7, one crop"].verdict == DIFFERS
    few = verdicts(dissection(classes=20))
    assert few["stage 7, one crop"].verdict == UNKNOWN
    assert few["gain of dropout 1"].verdict == AGREES
    assert few["gain of dropout 1"].why.endswith("; 20 classes")


def test_the_dropouts_are_the_largest_gains_only_beyond_chance() -> None:
    text = "the two dropouts are the two largest gains"
    assert verdicts(dissection())[text].verdict == AGREES  # 4.5 against 3.3, each ± 0.5
    near = changed(dissection(), 5, gain=estimate(0.040))
    assert verdicts(near)[text].verdict == UNKNOWN
    beaten = changed(dissection(), 3, gain=estimate(0.08))
    assert verdicts(beaten)[text].verdict == DIFFERS


def members(ten_crops: list[float], **values: object) -> Ensemble:
    rows = []
    for number, top1 in enumerate(ten_crops, 1):
        score = Score(images=10_000, loss=2.2, top1=top1, top5=0.7, views=10)
        rows.append(RunRow(f"m/{number}", number, FINISHED, 40, {"test_oversample": score}))
    full = Score(images=10_000, loss=2.1, top1=0.4902, top5=0.75, views=10)
    return Ensemble(
        number=8,
        name="stage8_ensemble",
        title="+ ensemble model",
        members=rows,
        paper=PAPER[8],
        full=full,
        full_by_image=(0.480, 0.500),
        gain_over_mean=estimate(0.03),
        **{"deviation": 0.0037, **values},  # type: ignore[arg-type]
    )


def test_the_ensemble_is_compared_with_the_papers_and_says_what_chose_its_subset() -> None:
    singles = [0.4521, *[0.458] * 9, 0.4644]
    found = verdicts(dissection(ensemble=members(singles)))
    assert found["the ensemble of eleven, ten crops"].verdict == AGREES
    over_best = found["gain of the ensemble over its best model"]
    assert over_best.ours == pytest.approx(0.4902 - 0.4644) and over_best.verdict == AGREES
    assert found["standard deviation of the models"].verdict == AGREES
    wide = verdicts(dissection(ensemble=members(singles, deviation=0.014)))
    assert wide["standard deviation of the models"].verdict == DIFFERS
    flattered = Subset([1, 2], 0.4906, None)
    alone = verdicts(dissection(ensemble=members(singles, flattered=flattered)))
    text = "leaving models out is not worth it"
    assert alone[text].verdict == UNKNOWN and alone[text].ours == pytest.approx(0.0004)
    for reported, verdict in ((0.488, AGREES), (0.52, DIFFERS)):
        chosen = Subset([1, 3], reported, 0.5)
        made = members(singles, flattered=flattered, chosen=chosen)
        assert verdicts(dissection(ensemble=made))[text].verdict == verdict


@pytest.mark.parametrize(
    ("name", "count", "is_papers"),
    [
        ("stage3_augmentation/seed", 2, False),
        ("stage8_ensemble/member", 10, False),
        ("stage8_ensemble/member", 11, True),
    ],
)
def test_only_the_eleven_models_of_stage_8_are_compared_with_the_papers_ensemble(
    tmp_path: Path, name: str, count: int, is_papers: bool
) -> None:
    for number in range(1, count + 1):
        write_run(tmp_path / f"runs/{name}{number:02d}", seed=number, classes=200)
    for seed in (1, 2):  # a variant is no later stage
        write_run(tmp_path / f"runs/variant_modern/seed{seed}", seed=seed, classes=200)
    report_data = collect([tmp_path / "runs"])
    found = {claim.text: claim for claim in claims(report_data)}
    for text in ("the ensemble of eleven, ten crops", "standard deviation of the models"):
        assert (found[text].ours is not None) == is_papers
        assert (found[text].why == "not run") == (not is_papers)
    facts, stages = ensemble_facts(report_data), stage_tables.stages(report_data)
    assert facts is not None and stages is not None
    for shown in (facts, stages):
        texts = [cell.text for row in shown.rows for cell in row]
        assert ("49.02" in texts) == is_papers
    assert len(facts.columns) == 2 + is_papers
    (figure,) = score_figures.accuracies(report_data, FigureOptions())
    assert ("49.02" in figure.alt) == is_papers


def test_two_protocols_of_one_data_set_have_separate_tables(tmp_path: Path) -> None:
    for name, factor, precision, right in (
        ("ladder", 0.15, "float32", [0, 1]),
        ("longer", 0.4, "bf16", range(7)),
    ):
        changes = {"epochs_factor": factor, "precision": precision, "tuning": None}
        results = begin(tmp_path / name, **changes)
        add_run(results, "stage1_simple/seed1", 1, one_crop=right)
        write_dissection(results.root, build(results))
    folders = (tmp_path / "ladder", tmp_path / "longer")
    done = run("report", *folders, "--out", tmp_path / "tables.md")
    assert done.status == 0, done.stderr
    title = "Schedules times 0.4, in bf16"
    first, second = (tmp_path / "tables.md").read_text().split(f"## {title}")
    assert "## Schedules times 0.15" in first
    # each cell is of its own protocol: 2 and 7 of 9 images
    assert "22.22" in first and "77.78" not in first
    assert "77.78" in second and "22.22" not in second
    page = tmp_path / "page.html"
    done = run("report", *folders, "--out", page)
    assert done.status == 0, done.stderr
    html = page.read_text()
    assert "figure 7 of the paper): schedules times 0.15</h2>" in html
    assert "The same by another protocol: schedules times 0.4, in bf16</h2>" in html
    assert 'id="stages-2"' in html and 'id="run-1-2"' in html and "#run-1-2" in html
    ids = re.findall(r'\sid="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', html)) <= set(ids)
    other = begin(tmp_path / "other", data={"source": "x", "digests": {"train": "z"}})
    write_dissection(other.root, build(other))
    done = run("report", folders[0], other.root, "--out", page)
    assert done.status == 2 and "are not of the same data" in done.stderr
    assert not collect([folders[0]]).others
