"""Searched values are used in training; a note says if reported images chose them."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import run
from tests.study.small_dissection import request, solver_of
from tinynet.dataset.selection_set import selection_set
from tinynet.dataset.split import HalfVal, Plan, Tuning, split
from tinynet.errors import UsageError
from tinynet.study.dissection import prepare
from tinynet.study.results import ResultsPaths
from tinynet.study.settings import read_settings


def test_searched_values_are_trained_with_and_recorded(lmdb: Path, tmp_path: Path) -> None:
    found = {"stage7_dropout2": {"base_lr": 0.02, "momentum": 0.8}}
    asked = replace(request(lmdb, tmp_path), searched_values=found)
    settings, _ = prepare(asked)
    assert settings.overrides == found
    last = solver_of(asked, "stage7_dropout2")
    assert (last.base_lr, last.momentum) == pytest.approx((0.02, 0.8))
    assert solver_of(asked, "stage1_simple").base_lr == pytest.approx(0.01)
    # members 4 to 6 learn at 0.8 of what stage 7 does
    fourth = solver_of(asked, "stage8_ensemble", 4)
    assert (fourth.base_lr, fourth.momentum) == pytest.approx((0.016, 0.8))
    with pytest.raises(UsageError, match="stage7_dropout2: base_lr 0.01, not 0.02"):
        prepare(replace(asked, searched_values={}, stages=[7]))
    assert read_settings(asked.folders.results) == settings


def test_values_of_a_later_search_are_refused(lmdb: Path, tmp_path: Path) -> None:
    asked = replace(request(lmdb, tmp_path), stages=[7])
    prepare(asked)
    with pytest.raises(UsageError, match="base_lr 0.02, not 0.01"):
        prepare(replace(asked, searched_values={"stage7_dropout2": {"base_lr": 0.02}}))
    # a refused command does not change the files of trainings that may be under way
    assert solver_of(asked, "stage7_dropout2").base_lr == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("contents", "says"),
    [
        (['{"solver": {"base_lr": 0.02}}'], "names no stage"),
        (['{"solver": {"base_lr": 0.02}, "stage": "stage7_dropout2"}'], "not among the nets"),
        (2 * ['{"solver": {"base_lr": 0.02}, "stage": "stage1_simple"}'], "second file"),
    ],
)
def test_overrides_for_no_stage_of_the_dissection_are_refused(
    lmdb: Path, tmp_path: Path, contents: list[str], says: str
) -> None:
    options: list[Any] = []
    for number, content in enumerate(contents):
        file = tmp_path / f"{number}.json"
        file.write_text(content)
        options += ["--overrides", file]
    done = run("dissect", lmdb, "--stage", 1, "--jobs", "--out", tmp_path / "d", *options)
    assert done.status == 2 and says in done.stderr
    assert not (tmp_path / "d").exists()


def searched(data: Path, out: Path, plan: Plan | None, stage: str = "stage1_simple") -> Path:
    """Overrides as a search on a split of ``data`` writes them."""
    folder = data
    if plan is not None:
        folder = out / "searched"
        split(data, folder, plan)
    file = out / "overrides.json"
    content = {
        "solver": {"base_lr": 0.02},
        "stage": stage,
        "selection_set": asdict(selection_set(folder)),
    }
    file.write_text(json.dumps(content))
    return file


JOBS = ("--stage", 1, "--seeds", 1, "--jobs")


def test_a_search_on_the_tuning_images_of_the_same_split_is_recorded_as_honest(
    lmdb: Path, tmp_path: Path
) -> None:
    file = searched(lmdb, tmp_path, Tuning(0.1, 1))
    out = tmp_path / "d"
    done = run("dissect", lmdb, *JOBS, "--split-seed", 1, "--out", out, "--overrides", file)
    assert done.status == 0 and "chosen on" not in done.stderr
    settings = read_settings(ResultsPaths(out / "results"))
    assert settings is not None
    choice = settings.choices["stage1_simple"]
    assert choice["reported"] == 0 and choice["split"]["seed"] == 1 and choice["images"] == 3
    shown = run("dissect", lmdb, "--stage", 1, "--collect", "--out", out)
    assert "base_lr 0.02: chosen on 3 images (tuning images" in shown.stdout
    assert "none of which is reported" in shown.stdout


@pytest.mark.parametrize("options", [("--split-seed", 1), ("--split-seed", 1, "--half-val")])
def test_searched_values_chosen_on_reported_images_are_refused_in_an_honest_split(
    lmdb: Path, tmp_path: Path, options: tuple
) -> None:
    file = searched(lmdb, tmp_path, HalfVal(2))  # halves of val: the other experiment reports it
    out = tmp_path / "d"
    done = run("dissect", lmdb, *JOBS, *options, "--out", out, "--overrides", file)
    assert done.status == 2 and done.stderr.count("\n") == 1
    assert "to choose stage1_simple's values" in done.stderr
    assert not (out / "results").exists() and not (out / "jobs").exists()


def test_without_an_honest_split_such_values_are_reported_and_recorded(
    lmdb: Path, tmp_path: Path
) -> None:
    file = searched(lmdb, tmp_path, HalfVal(2))
    done = run("dissect", lmdb, *JOBS, "--out", tmp_path / "d", "--overrides", file)
    assert done.status == 0 and done.stderr.count("chosen on") == 1
    assert "of which 6 are reported: results are optimistic" in done.stderr  # one half of 12
    shown = run("dissect", lmdb, "--stage", 1, "--collect", "--out", tmp_path / "d")
    assert "of which 6 are reported" in shown.stdout


def test_folds_report_how_many_of_their_images_chose_the_values(lmdb: Path, tmp_path: Path) -> None:
    file = searched(lmdb, tmp_path, Tuning(0.3, 1))
    options = (*JOBS, "--folds", 2, "--out", tmp_path / "d", "--overrides", file)
    done = run("dissect", lmdb, *options)
    counts = [int(n) for n in re.findall(r"of which (\d+) are reported", done.stderr)]
    assert done.status == 0 and sum(counts) == 9  # every tuning image is in one fold


def test_overrides_without_provenance_are_accepted_with_a_message(
    lmdb: Path, tmp_path: Path
) -> None:
    file = tmp_path / "mine.json"
    file.write_text('{"solver": {"base_lr": 0.02}, "stage": "stage1_simple"}')
    options = (*JOBS, "--split-seed", 1, "--out", tmp_path / "d", "--overrides", file)
    done = run("dissect", lmdb, *options)
    assert done.status == 0 and "on which images these were chosen is not known" in done.stderr


def test_damaged_provenance_is_refused_in_one_line(lmdb: Path, tmp_path: Path) -> None:
    file = searched(lmdb, tmp_path, None)
    content = json.loads(file.read_text())
    content["selection_set"]["contents"] = "abc"
    file.write_text(json.dumps(content))
    done = run("dissect", lmdb, *JOBS, "--out", tmp_path / "d", "--overrides", file)
    assert done.status == 1 and done.stderr.count("\n") == 1 and "selection_set" in done.stderr
    assert not (tmp_path / "d").exists()


def test_generate_reports_searched_values_used_beyond_their_search(
    lmdb: Path, tmp_path: Path
) -> None:
    file = searched(lmdb, tmp_path, None)  # all of val chose, and val is what lmdb reports
    arguments = ("generate", "--data", lmdb, "--out", tmp_path / "p", "--overrides", file)
    done = run(*arguments, "--stage", 1, "--stage", 2)
    assert done.status == 0 and done.stderr.count("\n") == 2
    assert "was found for stage1_simple; stage2_dropout1 take it too" in done.stderr
    assert "chosen on 12 of the 12 images" in done.stderr
    folder = tmp_path / "honest"
    split(lmdb, folder, Tuning(0.2, 1))
    file = searched(folder, tmp_path, None, "stage7_dropout2")
    arguments = ("generate", "--data", folder, "--out", tmp_path / "p", "--overrides", file)
    done = run(*arguments, "--stage", 7, "--stage", 8)
    assert (done.status, done.stderr) == (0, "")
