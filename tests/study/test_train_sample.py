"""The training accuracy of a large set is that of a sample, and every table says so."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.report.run_directories import probabilities, write_run
from tests.study.results_by_hand import add_run, begin
from tests.study.small_dissection import request
from tinynet.cli import dissect_report
from tinynet.errors import TinynetError
from tinynet.predict.probabilities import write_probabilities
from tinynet.report import stage_tables
from tinynet.report.report_data import collect as read_runs
from tinynet.report.summary import stage_rows
from tinynet.run.paths import RunPaths
from tinynet.run.record import FINISHED, Run
from tinynet.study import collect
from tinynet.study.dissection import evaluations_left, planned, prepare
from tinynet.study.dissection_table import build
from tinynet.study.results import ResultsPaths, write_dissection
from tinynet.study.settings import read_settings
from tinynet.study.trainings import DissectionPaths

NAME = "stage1_simple/seed1"


def evaluate_commands(commands: tuple[tuple[str, ...], ...]) -> list[str]:
    return [" ".join(words[2:]) for words in commands if words[0] == "evaluate"]


def test_a_dissection_samples_training_images_when_there_are_more(
    lmdb: Path, tmp_path: Path
) -> None:
    asked = replace(request(lmdb, tmp_path / "all"), stages=[1])
    settings, jobs = prepare(asked)  # of a hundred images
    assert settings.train_sample == 0
    assert not any("--sample" in words for words in evaluate_commands(jobs[0].commands))
    few = replace(request(lmdb, tmp_path / "few"), stages=[1], train_sample=20)
    settings, jobs = prepare(few)
    assert settings.train_sample == 20
    sampled = [words for words in evaluate_commands(jobs[0].commands) if "--sample 20" in words]
    assert len(sampled) == 1 and sampled[0].startswith("--split train")
    cost_of_all, cost_of_few = planned(asked)[0].cost, planned(few)[0].cost
    assert cost_of_few.tested < cost_of_all.tested


def test_results_on_all_images_stay_on_all_images(lmdb: Path, tmp_path: Path) -> None:
    asked = replace(request(lmdb, tmp_path), stages=[1], train_sample=20)
    prepare(asked)
    content = json.loads(asked.folders.results.experiment.read_text())
    del content["train_sample"]  # as earlier releases wrote it
    asked.folders.results.experiment.write_text(json.dumps(content))
    settings, jobs = prepare(replace(asked, seeds=[1, 2, 3]))
    assert settings.train_sample == 0
    assert not any("--sample" in words for words in evaluate_commands(jobs[0].commands))


def test_only_the_sample_is_collected_and_the_scores_give_its_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collect, "_require_recipe", lambda *arguments: None)
    data = {"source": "drawn", "counts": {"train": 900, "val": 9, "test": 9}}
    results = begin(tmp_path / "results", data=data, train_sample=9)
    settings = read_settings(results)
    assert settings is not None
    run = RunPaths(tmp_path / "runs" / NAME)
    add_run(ResultsPaths(tmp_path / "runs"), NAME, 1, [0, 1])  # train.npz: it may be all of them
    Run(state=FINISHED, iteration=40, seed=1).save(run.run_json)
    assert not collect.collect(run, NAME, results, settings)
    run.probabilities("train").rename(run.probabilities("train", sample=9))
    assert collect.collect(run, NAME, results, settings)
    assert results.row(NAME, 1).scores["train_center"].images == 9
    table = build(results)
    assert table.stages[0].training_images == 9
    assert "training (%), 9 images" in dissect_report.text(table)
    write_dissection(results.root, table)
    with results.csv.open(encoding="utf-8") as file:
        assert next(csv.DictReader(file))["training_images"] == "9"
    wrong = replace(settings, train_sample=8)
    (results.root / NAME / "scores.json").unlink()
    run.probabilities("train", sample=9).rename(run.probabilities("train", sample=8))
    for path in sorted((results.root / NAME).iterdir()):
        path.unlink()
    (results.root / NAME).rmdir()
    with pytest.raises(TinynetError, match="9 labelled images, not of the 8 .*--sample 8"):
        collect.collect(run, NAME, results, wrong)


def test_a_run_that_was_only_trained_is_evaluated_on_the_missing_images(tmp_path: Path) -> None:
    data = {"source": "drawn", "counts": {"train": 900, "val": 9, "test": 9}}
    results = begin(tmp_path / "results", data=data, train_sample=9)
    settings = read_settings(results)
    assert settings is not None
    folders = DissectionPaths(tmp_path, results)
    lmdb = tmp_path / "lmdb"

    def missing() -> list[tuple[str, str, bool, int]]:
        found = list(evaluations_left(folders, settings, lmdb))
        assert all(each.data == lmdb for each in found)
        return [(each.run.name, each.split, each.oversample, each.sample) for each in found]

    add_run(ResultsPaths(tmp_path / "runs"), NAME, 1, [0, 1])  # with train.npz, of all of them
    run = RunPaths(tmp_path / "runs" / NAME)
    run.probabilities("test", oversample=True).unlink()
    assert missing() == [("seed1", "train", False, 9), ("seed1", "test", True, 0)]
    Run(state="running", iteration=20).save(run.run_json)
    assert missing() == []  # not finished
    Run(state=FINISHED, iteration=40).save(run.run_json)
    add_run(results, NAME, 1, [0, 1])
    assert missing() == []  # taken over already


def test_a_mean_never_mixes_all_images_and_a_sample(tmp_path: Path) -> None:
    results = begin(tmp_path)
    add_run(results, NAME, 1, one_crop=[0])
    add_run(results, "stage1_simple/seed2", 2, one_crop=[0])
    path = results.scores("stage1_simple/seed2")
    content = json.loads(path.read_text())
    content["scores"]["train_center"]["images"] = 4
    path.write_text(json.dumps(content))
    with pytest.raises(TinynetError, match="seed2 on 4 images and of .*seed1 on 9 images, which"):
        build(results)


def test_each_cell_says_whether_it_is_of_a_sample_when_stages_differ(tmp_path: Path) -> None:
    results = begin(tmp_path)
    add_run(results, NAME, 1, one_crop=[0])
    add_run(results, "stage2_dropout1/seed1", 1, one_crop=[0])
    path = results.scores("stage2_dropout1/seed1")
    content = json.loads(path.read_text())
    content["scores"]["train_center"]["images"] = 4
    path.write_text(json.dumps(content))
    text = dissect_report.text(build(results))
    assert "training (%)  " in text and "100.00 of 9" in text and "100.00 of 4" in text


def test_a_report_of_run_directories_never_mixes_the_two_within_a_stage(tmp_path: Path) -> None:
    for seed in (1, 2, 3):
        run = write_run(tmp_path / f"runs/stage1_simple/seed{seed}", seed=seed)
        found = replace(probabilities(5, 60, 0.9, seed, "center"), split="train")
        keep = np.arange(60 if seed == 3 else 20)
        part = replace(
            found,
            probabilities=found.probabilities[keep],
            labels=found.labels[keep],
            names=found.names[keep],
        )
        write_probabilities(run.probabilities("train", sample=0 if seed == 3 else 20), part)
    report_data = read_runs([tmp_path / "runs"])
    row = stage_rows(report_data)[0]
    assert row.training is not None and row.training.seeds == [1, 2]
    assert row.training_images == 20
    columns = [column.name for column in stage_tables.stages(report_data).columns]
    assert "training (%), 20 images" in columns
