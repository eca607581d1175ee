"""Every image is held out once, and the summary of the folds equals a count by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from tests.cli.command import run
from tests.study.results_by_hand import begin, probabilities
from tests.study.small_dissection import request
from tinynet.dataset.manifest import read_manifest
from tinynet.predict.probabilities import CENTER, write_probabilities
from tinynet.report.folds import describe
from tinynet.report.search_and_folds import folds_table
from tinynet.study.cross_validation import read_folds, requests, summarize
from tinynet.study.dissection import prepare
from tinynet.study.results import FINISHED, ResultsPaths, RunRow, Score
from tinynet.study.settings import Split, read_settings
from tinynet.study.trainings import DissectionPaths

STAGE = "stage1_simple"


def add_fold(root: Path, number: int, right: list[int]) -> ResultsPaths:
    """A fold of nine held-out images, the last three from val."""
    results = begin(
        root / f"fold{number}",
        reported=Split("val", f"fold {number}", 9),
        tuning=None,
        seeds=[1],
        stages=[1],
        epochs={STAGE: 8},
    )
    made = probabilities(right, "val", CENTER)
    names = [f"n0_{n}.JPEG" for n in range(6)] + [f"val_{n}.JPEG" for n in range(3)]
    run_name = f"{STAGE}/seed1"
    path = results.run(run_name).probabilities("val")
    write_probabilities(path, replace(made, names=np.array(names)))
    row = RunRow(run_name, 1, FINISHED, 40, {"val_center": Score(9, 1.0, 0.5, 1.0, 1)})
    content = {**vars(row), "scores": {key: vars(s) for key, s in row.scores.items()}}
    results.scores(run_name).write_text(json.dumps(content))
    return results


def test_the_summary_equals_a_direct_count(tmp_path: Path) -> None:
    add_fold(tmp_path, 1, [0, 1, 2, 3, 6])
    add_fold(tmp_path, 2, [0, 1, 2, 3, 4, 7, 8])
    (found,) = summarize(DissectionPaths(tmp_path, ResultsPaths(tmp_path)), 2)
    assert found.folds == pytest.approx([5 / 9, 7 / 9])
    theirs = stats.ttest_1samp([5 / 9, 7 / 9], 0).confidence_interval()
    assert found.by_fold == pytest.approx(tuple(theirs))
    assert found.from_train is not None and found.from_val is not None
    assert (found.from_train.images, found.from_val.images) == (12, 6)
    assert found.from_train.accuracy == pytest.approx(9 / 12)
    assert found.from_val.accuracy == pytest.approx(3 / 6)
    assert found.train_less_val == pytest.approx(9 / 12 - 3 / 6)
    assert json.loads((tmp_path / "folds.json").read_text())["folds"] == 2


def test_a_missing_fold_leaves_the_mean_undefined(tmp_path: Path) -> None:
    add_fold(tmp_path, 1, [0, 1, 2])
    (found,) = summarize(DissectionPaths(tmp_path, ResultsPaths(tmp_path)), 2)
    assert found.folds == [pytest.approx(3 / 9), None] and found.mean is None


def test_a_diverged_fold_is_not_reported_as_not_run(tmp_path: Path) -> None:
    add_fold(tmp_path, 1, [0, 1, 2])
    results = add_fold(tmp_path, 2, [0])
    path = results.scores(f"{STAGE}/seed1")
    path.write_text(json.dumps({**json.loads(path.read_text()), "state": "diverged"}))
    made = summarize(DissectionPaths(tmp_path, ResultsPaths(tmp_path)), 3)
    assert read_folds(tmp_path)[0] == made
    assert "folds 33.33 %, diverged, not run" in describe(made)
    (row,) = folds_table(made).rows
    assert [cell.text for cell in row[1:4]] == ["33.33", "diverged", "not run"]


def test_each_fold_reports_what_it_holds_out(lmdb: Path, tmp_path: Path) -> None:
    asked = replace(request(lmdb, tmp_path), stages=[1], seeds=[1])
    held: list[str] = []
    for fold in requests(asked, 3, split_seed=1):
        settings, jobs = prepare(fold)
        assert settings.reported.name == "val" and settings.tuning is None
        assert [job.name for job in jobs] == [f"{STAGE}-seed1"]
        held += read_manifest(fold.folders.data).names["val"]
    manifest = read_manifest(lmdb)
    assert sorted(held) == sorted(manifest.names["train"] + manifest.names["val"])


def test_the_folds_are_one_job_list(lmdb: Path, tmp_path: Path) -> None:
    out = tmp_path / "d"
    options = ("--stage", 1, "--epochs-factor", 0.05, "--batch-size", 8, "--cpu")
    done = run("dissect", lmdb, "--folds", 2, "--out", out, *options, "--jobs")
    assert done.status == 0, done.stderr
    jobs = json.loads((out / "jobs" / "jobs.json").read_text())["jobs"]
    assert [job["name"] for job in jobs] == [
        "fold1-stage1_simple-seed1",
        "fold2-stage1_simple-seed1",
    ]
    # the end of any training updates the summary of all folds
    collect = ["dissect", "--collect", "--folds", "2", "--out", f"{out}"]
    assert jobs[0]["commands"][-1][:-2] == jobs[1]["commands"][-1][:-2] == collect
    summary = run(*collect)
    assert summary.status == 0 and "not run" in summary.stdout
    settings = read_settings(ResultsPaths(out / "results" / "fold1"))
    assert settings is not None and read_folds(out / "results")[1] == settings.command


@pytest.mark.long
def test_two_folds_from_images_to_summary(lmdb: Path, tmp_path: Path) -> None:
    out = tmp_path / "d"
    options = ("--stage", 1, "--epochs-factor", 0.05, "--batch-size", 8, "--cpu")
    done = run("dissect", lmdb, "--folds", 2, "--out", out, *options, "--json")
    assert done.status == 0, done.stderr
    (stage,) = json.loads(done.stdout)
    assert stage["mean"] is not None and stage["from_train"]["images"] == 30
