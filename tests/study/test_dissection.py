"""A dissection plans each training once, reuses what is done, and refuses to mix experiments."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.study.results_by_hand import add_run
from tinynet.dataset.split import HalfVal, Tuning
from tinynet.errors import UsageError
from tinynet.experiment.paths import StagePaths
from tinynet.experiment.solvers import Overrides
from tinynet.study.dissection import planned, prepare
from tinynet.study.dissection_table import build
from tinynet.study.recipes import differences, read_recipe
from tinynet.study.results import ResultsPaths, write_dissection
from tinynet.study.settings import read_settings
from tinynet.study.trainings import DissectionPaths, DissectionRequest, planned_runs


def test_every_training_is_one_job_that_trains_evaluates_and_collects(
    asked: DissectionRequest,
) -> None:
    settings, jobs = prepare(asked)
    names = [job.name for job in jobs]
    # one seed of each stage, then the ensemble's models, then other seeds
    assert names[:3] == ["stage1_simple-seed1", "stage7_dropout2-seed1", "stage7_dropout2-seed2"]
    # the last single stage's two seeds are members 1 and 2; stage 8's own are 3 to 11
    assert names[3:12] == [f"stage8_ensemble-member{n:02d}" for n in range(3, 12)]
    assert names[12:] == ["stage1_simple-seed2"]
    assert len(settings.members) == 11 and settings.members[1] == "stage7_dropout2/seed2"
    assert settings.members[2] == "stage8_ensemble/member03"
    kinds = [command[0] for command in jobs[0].commands]
    assert kinds == ["train", *5 * ["evaluate"], "dissect"]
    assert settings.epochs["stage1_simple"] == 2 and settings.epochs["stage7_dropout2"] == 6
    assert settings.reported.name == "test" and settings.tuning is not None


def test_finished_results_are_not_computed_again(asked: DissectionRequest) -> None:
    _, jobs = prepare(asked)
    add_run(asked.folders.results, "stage1_simple/seed2", 2, one_crop=[0])
    _, left = prepare(asked)
    gone = {job.name for job in jobs} - {job.name for job in left}
    assert gone == {"stage1_simple-seed2"}


def test_more_seeds_and_stages_add_to_existing_results(asked: DissectionRequest) -> None:
    first = replace(asked, stages=[1])
    prepare(first)
    settings, jobs = prepare(replace(first, stages=[2], seeds=[1, 2, 3]))
    assert settings.stages == [1, 2] and settings.seeds == [1, 2, 3]
    assert "stage1_simple/seed1" in planned_runs(settings)
    assert [job.name for job in jobs] == [f"stage2_dropout1-seed{n}" for n in (1, 2, 3)]


def test_an_ensemble_keeps_its_members_when_seeds_are_added(asked: DissectionRequest) -> None:
    asked = replace(asked, stages=[7, 8])
    before, _ = prepare(asked)
    more, jobs = prepare(replace(asked, seeds=[1, 2, 3, 4]))
    assert more.members == before.members and more.seeds == [1, 2, 3, 4]
    names = [job.name for job in jobs]
    assert names[:2] == [f"stage7_dropout2-seed{n}" for n in (1, 2)]
    assert names[2:11] == [f"stage8_ensemble-member{n:02d}" for n in range(3, 12)]
    assert names[11:] == [f"stage7_dropout2-seed{n}" for n in (3, 4)]  # which are no members
    # fewer seeds still train every member
    _, jobs = prepare(replace(asked, seeds=[1], stages=[8]))
    names = [job.name for job in jobs]
    assert sorted(names) == sorted(run.replace("/", "-") for run in before.members)


def test_earlier_commands_are_kept_until_one_covers_all(asked: DissectionRequest) -> None:
    asked = replace(asked, stages=[1], seeds=[1, 2], command="first")
    assert prepare(asked)[0].command == "first"
    settings, _ = prepare(replace(asked, stages=[2], seeds=[1, 2, 3], command="second"))
    assert settings.command == "first\nsecond"
    assert prepare(replace(asked, command="less"))[0].command == "first\nsecond"
    settings, _ = prepare(replace(asked, stages=[2, 1], seeds=[1, 2, 3], command="all"))
    assert settings.command == "all"


def test_two_simultaneous_commands_lose_nothing_of_each_other(
    asked: DissectionRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = replace(asked, stages=[1], seeds=[1])
    second = threading.Thread(target=prepare, args=[replace(asked, stages=[2])])

    def slow(results: ResultsPaths) -> Any:
        found = read_settings(results)
        if second.ident is None:
            second.start()
            second.join(timeout=1)  # time for it to interfere, if it can
        return found

    monkeypatch.setattr("tinynet.study.dissection.read_settings", slow)
    prepare(asked)
    second.join()
    settings = read_settings(asked.folders.results)
    assert settings is not None and settings.stages == [1, 2]
    assert sorted(settings.epochs) == ["stage1_simple", "stage2_dropout1"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"epochs_factor": 0.2}, "max_iter"),
        ({"overrides": Overrides(batch_size=4)}, "--batch-size 4, not 8"),
        # the table says one factor and one batch size of all stages
        ({"stages": [2], "epochs_factor": 0.2}, "--epochs-factor 0.2, not 0.1"),
        ({"stages": [2], "overrides": Overrides(batch_size=4)}, "--batch-size 4, not 8"),
        ({"precision": "bf16"}, "--precision bf16, not float32"),
        ({"split": Tuning(0.2, 2)}, "another split"),
        ({"split": HalfVal(1)}, "another split"),
        ({"split": None}, "another reported split"),
    ],
)
def test_results_of_another_experiment_are_refused(
    asked: DissectionRequest, change: dict, says: str
) -> None:
    asked = replace(asked, stages=[1])
    prepare(asked)
    with pytest.raises(UsageError, match=says):
        prepare(replace(asked, **change))


def test_a_plan_refuses_what_the_dissection_would_refuse(asked: DissectionRequest) -> None:
    asked = replace(asked, stages=[1])
    prepare(asked)
    with pytest.raises(UsageError, match="--batch-size 4, not 8"):
        planned(replace(asked, overrides=Overrides(batch_size=4)))
    assert [each.cost.run for each in planned(replace(asked, seeds=[3]))] == ["stage1_simple/seed3"]


def test_the_ensemble_alone_has_a_row_of_the_stage_whose_runs_it_averages(
    asked: DissectionRequest,
) -> None:
    settings, jobs = prepare(replace(asked, stages=[8], seeds=[1, 2]))
    assert settings.stages == [7, 8]
    # a seed that is no member is trained for that row
    settings, jobs = prepare(replace(asked, stages=[8], seeds=[1, 2, 12]))
    assert "stage7_dropout2/seed12" in planned_runs(settings)
    assert {job.name.replace("-", "/") for job in jobs} == set(planned_runs(settings))
    rows = build(asked.folders.results)
    write_dissection(asked.folders.results.root, rows)
    lines = asked.folders.results.csv.read_text().splitlines()[1:]
    assert {line.split(",")[5] for line in lines} == {"6"}  # epochs, of members too


def test_a_precision_is_that_of_every_training_and_of_no_evaluation(
    asked: DissectionRequest,
) -> None:
    settings, jobs = prepare(replace(asked, precision="bf16"))
    assert settings.precision == "bf16"
    for job in jobs:
        words = [" ".join(command) for command in job.commands]
        assert "--precision bf16" in words[0]
        assert not any("--precision" in command for command in words[1:])


def test_the_variant_with_max_norm_is_trained_with_it(asked: DissectionRequest) -> None:
    name = "variant_dropout_everywhere"
    asked = replace(asked, stages=[1], variants=[name], seeds=[1])
    settings, jobs = prepare(asked)
    train = {job.name: " ".join(job.commands[0]) for job in jobs}
    assert "--max-norm 4" in train[f"{name}-seed1"] and "--max" not in train["stage1_simple-seed1"]
    assert settings.recipes[name]["solver"]["max-norm"] == "4"


def test_the_warm_up_of_a_variant_is_part_of_its_recipe(asked: DissectionRequest) -> None:
    asked = replace(asked, stages=[], variants=["modern"])
    settings, (first, _) = prepare(asked)
    solver = settings.recipes["variant_modern"]["solver"]
    assert solver["warm-up lr_policy"] == '"inv"' and solver["lr_policy"] == '"poly"'
    assert int(solver["warm-up max_iter"]) == pytest.approx(int(solver["max_iter"]) / 12, abs=1)
    # training learns of it only from the file beside the solver
    files = StagePaths(asked.folders.prototxt, "variant_modern")
    assert first.commands[0][:2] == ("train", str(files.solver))
    assert not differences(
        read_recipe(files.train_val, files.solver), settings.recipes["variant_modern"]
    )
    files.warm_up.unlink()
    without = read_recipe(files.train_val, files.solver)
    found = differences(without, settings.recipes["variant_modern"])
    assert 'warm-up lr_policy unset, not "inv"' in found


def test_jobs_are_ordered_by_what_a_reader_wants_first(asked: DissectionRequest) -> None:
    asked = replace(asked, stages=[1, 7, 3, 8], variants=["variant_modern"], seeds=[1, 2, 3])
    names = [job.run.parent.name + "/" + job.run.name for job in prepare(asked)[1] if job.run]
    assert names == [
        *("variant_modern/seed1", "stage1_simple/seed1", "stage7_dropout2/seed1"),
        *("stage3_augmentation/seed1", "stage7_dropout2/seed2", "stage7_dropout2/seed3"),
        *(f"stage8_ensemble/member{n:02d}" for n in range(4, 12)),
        *("stage1_simple/seed2", "stage1_simple/seed3"),
        *("stage3_augmentation/seed2", "stage3_augmentation/seed3"),
        *("variant_modern/seed2", "variant_modern/seed3"),
    ]


def test_two_dissections_of_the_same_results_change_them_one_after_the_other(
    tmp_path: Path,
) -> None:
    results = ResultsPaths(tmp_path / "results")
    first, second = (DissectionPaths(tmp_path / name, results) for name in ("one", "two"))
    entered = threading.Event()

    def enter() -> None:
        with second.changing_results():
            entered.set()

    other = threading.Thread(target=enter)
    with first.changing_results():
        other.start()
        assert not entered.wait(0.5)
    other.join(30)
    assert entered.is_set()


def test_any_seeds_may_be_requested(asked: DissectionRequest) -> None:
    settings, jobs = prepare(replace(asked, seeds=[4, 2]))
    assert settings.seeds == [2, 4]
    assert settings.members[:2] == ["stage7_dropout2/seed2", "stage7_dropout2/seed4"]
    others = [1, 3, *range(5, 12)]
    assert settings.members[2:] == [f"stage8_ensemble/member{n:02d}" for n in others]
    names = [job.name for job in jobs]
    assert names[:2] == ["stage1_simple-seed2", "stage7_dropout2-seed2"]
    assert names[-1] == "stage1_simple-seed4"
