"""A diverged run is marked as diverged wherever its accuracy would be shown."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tests.report.run_directories import write_run
from tests.study.results_by_hand import add_run, begin
from tinynet.cli import dissect_report
from tinynet.report import report_data, stage_tables
from tinynet.report.runs_table import runs_table
from tinynet.run.paths import RunPaths
from tinynet.run.record import DIVERGED, FINISHED, Run
from tinynet.study import collect
from tinynet.study.dissection_table import build
from tinynet.study.results import ResultsPaths, write_dissection
from tinynet.study.settings import read_settings

SEEDS = ("stage1_simple/seed1", "stage1_simple/seed2")
WHY = "the training loss is not finite at iteration 12"


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ResultsPaths:
    """Two seeds, one finished and one diverged, as ``dissect`` collects them."""
    monkeypatch.setattr(collect, "_require_recipe", lambda *arguments: None)
    results = begin(tmp_path / "results", stages=[1])
    made = ResultsPaths(tmp_path / "runs")
    for name in SEEDS:
        add_run(made, name, int(name[-1]), [0, 1, 2])
    run = RunPaths(made.root / SEEDS[1])
    Run(state=DIVERGED, iteration=8, max_iter=40, seed=2, message=WHY).save(run.run_json)
    assert [_collect(results, name) for name in SEEDS] == [True, False]
    return results


def _collect(results: ResultsPaths, name: str) -> bool:
    settings = read_settings(results)
    assert settings is not None
    return collect.collect(RunPaths(results.root.parent / "runs" / name), name, results, settings)


def test_the_table_and_its_csv_mark_a_diverged_run_and_average_the_rest(
    results: ResultsPaths,
) -> None:
    table = build(results)
    assert [run.state for run in table.stages[0].runs] == ["finished", "diverged"]
    assert table.stages[0].one_crop is not None and table.stages[0].one_crop.seeds == [1]
    assert "1/2, 1 diverged" in dissect_report.text(table)
    write_dissection(results.root, table)
    rows = list(csv.DictReader(results.csv.read_text().splitlines()))
    assert [row["state"] for row in rows] == ["finished", "diverged"]


def test_a_stage_whose_runs_all_diverged_is_not_called_not_run(results: ResultsPaths) -> None:
    for path in results.run(SEEDS[0]).root.iterdir():
        path.unlink()
    results.run(SEEDS[0]).root.rmdir()
    (line,) = (line for line in dissect_report.text(build(results)).splitlines() if "0/2" in line)
    assert "diverged" in line.partition("1 diverged")[2]
    assert "not run" not in line


def test_the_report_shows_a_diverged_run_with_its_reason(
    results: ResultsPaths, tmp_path: Path
) -> None:
    write_dissection(results.root, build(results))
    found = report_data.collect([results.root])
    texts = [[cell.text for cell in row] for row in runs_table(found, tmp_path / "p").rows]
    (row,) = (row for row in texts if row[0] == SEEDS[1])
    assert row[1] == f"diverged: {WHY}"
    assert row.count("diverged") == 2 and "not run" not in row  # one crop, ten crops


def test_a_diverged_run_is_replaced_by_a_later_training(results: ResultsPaths) -> None:
    assert not _collect(results, SEEDS[1])  # once more changes nothing
    assert collect.missing(results, SEEDS[1], build(results)) == []
    run = RunPaths(results.root.parent / "runs" / SEEDS[1])
    Run(state=FINISHED, iteration=40, seed=2).save(run.run_json)
    assert _collect(results, SEEDS[1])
    assert [run.state for run in build(results).stages[0].runs] == ["finished", "finished"]


def test_a_report_of_run_directories_marks_a_stage_with_only_diverged_runs(tmp_path: Path) -> None:
    write_run(tmp_path / "stage1_simple/seed1", state=DIVERGED, message=WHY, evaluated=False)
    write_run(tmp_path / "stage2_dropout1/seed1")
    table = stage_tables.stages(report_data.collect([tmp_path]))
    cells = {row[0].text[:1]: [cell.text for cell in row] for row in table.rows}
    assert cells["1"][2:4] == ["0/1, 1 diverged", "diverged"]
    assert cells["3"][2:4] == ["not run", "not run"]
