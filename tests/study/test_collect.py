"""What a results folder collects from the runs, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import run
from tests.study.results_by_hand import add_run, begin
from tinynet.errors import TinynetError
from tinynet.experiment.paths import StagePaths
from tinynet.run.paths import RunPaths
from tinynet.run.record import FINISHED, Run
from tinynet.study import collect
from tinynet.study.dissection import prepare
from tinynet.study.results import ResultsPaths
from tinynet.study.settings import read_settings
from tinynet.study.trainings import DissectionRequest


def test_a_run_without_the_variants_max_norm_is_not_collected(asked: DissectionRequest) -> None:
    name = "variant_dropout_everywhere"
    asked = replace(asked, stages=[], variants=[name], seeds=[1])
    settings, _ = prepare(asked)
    files = StagePaths(asked.folders.prototxt, name)
    trained = Run(state=FINISHED, max_norm=None)
    with pytest.raises(TinynetError, match="max-norm unset, not 4"):
        collect._require_recipe(RunPaths(files.solver.parent), f"{name}/seed1", trained, settings)


def test_a_run_of_another_precision_is_not_collected(asked: DissectionRequest) -> None:
    settings, _ = prepare(replace(asked, stages=[1], precision="bf16"))
    solver = StagePaths(asked.folders.prototxt, "stage1_simple").solver
    trained = Run(state=FINISHED, precision="float32")
    with pytest.raises(TinynetError, match="precision float32, not bf16"):
        collect._require_recipe(RunPaths(solver.parent), "stage1_simple/seed1", trained, settings)


def test_damage_in_a_run_is_reported_with_the_command_that_repairs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collect, "_require_recipe", lambda *arguments: None)
    name = "stage1_simple/seed1"
    results = begin(tmp_path / "results")
    settings = read_settings(results)
    assert settings is not None
    paths = RunPaths(tmp_path / "runs" / name)
    add_run(ResultsPaths(tmp_path / "runs"), name, 1, [0, 1])
    paths.root.joinpath("scores.json").unlink()
    Run(state=FINISHED, iteration=40).save(paths.run_json)
    paths.log.write_text("")
    paths.history.write_text("torn\n")
    with pytest.raises(TinynetError, match=f"{paths.history}:1: .*'tinynet train {paths.root}'"):
        collect.collect(paths, name, results, settings)
    damaged = paths.probabilities("test", oversample=True)
    damaged.write_bytes(b"PK")
    command = f"tinynet evaluate {paths.root} --split test --oversample"
    with pytest.raises(TinynetError, match=f"{damaged}: .*; delete it and run '{command}'"):
        collect.collect(paths, name, results, settings)
    assert not results.run(name).root.exists()


def test_probabilities_of_other_images_are_not_collected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collect, "_require_recipe", lambda *arguments: None)
    name = "stage1_simple/seed1"
    data = {"source": "drawn", "counts": {"train": 9, "val": 9, "test": 40}}
    results = begin(tmp_path / "results", data=data)
    settings = read_settings(results)
    assert settings is not None
    paths = RunPaths(tmp_path / "runs" / name)
    add_run(ResultsPaths(tmp_path / "runs"), name, 1, [0, 1])
    says = f"test.npz: is of 9 labelled images, not of the 40 .*; delete it and run '.*{name}"
    with pytest.raises(TinynetError, match=says):
        collect.collect(paths, name, results, settings)
    assert not results.run(name).root.exists()
    sound = replace(settings, data={**data, "counts": {"train": 9, "val": 9, "test": 9}})
    half = results.root / "stage1_simple" / ".seed1.killed"
    half.mkdir(parents=True)
    assert collect.collect(paths, name, results, sound)
    assert not half.exists()


@pytest.mark.parametrize("lost", ["test_10crop.npz", "history.jsonl", "run.json", "scores.json"])
def test_a_file_lost_from_the_results_is_restored_from_the_run_or_named(
    asked: DissectionRequest, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    for check in ("_require_recipe", "_require_images"):
        monkeypatch.setattr(collect, check, lambda *arguments: None)
    asked = replace(asked, stages=[1], seeds=[1])
    name, results = "stage1_simple/seed1", asked.folders.results
    prepare(asked)
    add_run(results, name, 1, one_crop=[0])
    (results.run(name).root / lost).unlink()
    with pytest.raises(TinynetError, match=f"{lost}: is missing; remove its folder"):
        prepare(asked)  # the run is gone: nothing is trained that was not asked for
    # a run that is trained, but not evaluated as it should be, is left to do
    paths = RunPaths(asked.folders.runs / name)
    add_run(ResultsPaths(asked.folders.runs), name, 1, one_crop=[0, 1])
    (paths.root / "val.npz").unlink()
    with pytest.raises(TinynetError, match="is missing"):
        prepare(asked)  # without its snapshot it cannot be evaluated
    monkeypatch.setattr(collect, "newest_weights", lambda run, iteration: (iteration == 40, []))
    _, jobs = prepare(asked)
    assert [job.name for job in jobs] == ["stage1_simple-seed1"]
    assert not results.run(name).root.exists()
    # one that is evaluated is taken over at once, with or without its snapshot
    monkeypatch.setattr(collect, "newest_weights", lambda run, iteration: (None, []))
    add_run(ResultsPaths(asked.folders.runs), name, 1, one_crop=[0, 1])
    add_run(results, name, 1, one_crop=[0])
    (results.run(name).root / lost).unlink()
    _, jobs = prepare(asked)
    settings = read_settings(results)
    assert settings is not None
    assert jobs == [] and collect.missing(results, name, settings) == []


@pytest.mark.parametrize(
    "change",
    [
        None,
        [],
        {"seeds": "x"},
        {"stages": ["1"]},
        {"members": None},
        {"data": 3},
        {"members": ["../../x/y"]},
        {"epochs": {}},
    ],
)
def test_a_damaged_experiment_is_refused_in_one_line(tmp_path: Path, change: Any) -> None:
    results = begin(tmp_path / "results")
    content = json.loads(results.experiment.read_text())
    results.experiment.write_text(json.dumps({**content, **change} if change else change))
    done = run("dissect", "--collect", "--out", tmp_path)
    assert done.status == 1 and done.stderr.count("\n") == 1
    assert "experiment.json: is not a valid experiment" in done.stderr
