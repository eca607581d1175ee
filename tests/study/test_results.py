"""Results of an experiment round-trip, and runs that are missing are shown as such."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tests.study.tables import TABLE
from tinynet.errors import TinynetError
from tinynet.study.results import ResultsPaths, read_dissection, write_dissection


def test_a_dissection_round_trips(tmp_path: Path) -> None:
    write_dissection(tmp_path, TABLE)
    assert read_dissection(tmp_path) == TABLE


def test_the_csv_has_a_line_for_each_run_and_empty_cells_where_none_has_run(tmp_path: Path) -> None:
    write_dissection(tmp_path, TABLE)
    with ResultsPaths(tmp_path).csv.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["run"] for row in rows] == [
        *("stage1_simple/seed1", "stage1_simple/seed2", "stage8_ensemble/member04")
    ]
    assert rows[0]["one_crop_accuracy"] == "0.5" and rows[0]["state"] == "finished"
    assert rows[1]["state"] == "not run"
    assert {
        rows[1][key] for key in rows[1] if key.endswith(("accuracy", "loss", "iterations"))
    } == {""}


@pytest.mark.parametrize(
    "change",
    [{"version": 99}, {"stages": [{}]}, {"reported": None}, {"settings": [1]},
     {"reported": {"name": "../x", "role": "", "images": 1}}, {"ensemble": {"members": 3}}],
)  # fmt: skip
def test_a_table_of_another_format_is_refused_in_one_line(tmp_path: Path, change: dict) -> None:
    write_dissection(tmp_path, TABLE)
    path = ResultsPaths(tmp_path).table
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(TinynetError, match="is not a valid dissection") as caught:
        read_dissection(tmp_path)
    assert "\n" not in str(caught.value)


def test_damaged_scores_of_a_run_are_refused_in_one_line(tmp_path: Path) -> None:
    write_dissection(tmp_path, TABLE)
    path = ResultsPaths(tmp_path).table
    content = json.loads(path.read_text())
    content["stages"][0]["runs"][0]["scores"] = [1]
    path.write_text(json.dumps(content))
    with pytest.raises(TinynetError, match="is not a valid dissection .*scores: expected object"):
        read_dissection(tmp_path)


def test_a_folder_without_a_table_is_refused_with_the_command_that_writes_one(
    tmp_path: Path,
) -> None:
    with pytest.raises(TinynetError, match="tinynet dissect"):
        read_dissection(tmp_path)
