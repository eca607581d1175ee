"""A dissection plans each training once, reuses what is done, and refuses to mix experiments."""

from __future__ import annotations

import errno
import json
import re
import threading
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import run
from tests.experiments.made_results import add_run, begin
from tinynet.data import split as splitting
from tinynet.data.chosen_on import chosen_on
from tinynet.data.manifest import read_manifest
from tinynet.data.split import HalfVal, Plan, Tuning, split
from tinynet.errors import TinynetError, UsageError
from tinynet.experiments import collect, dissection
from tinynet.experiments.dissection import Folders, Request, planned_runs, prepare
from tinynet.experiments.recipes import differences, read_recipe
from tinynet.experiments.results import ResultsPaths, read_dissection
from tinynet.experiments.settings import load, save
from tinynet.paths import RunPaths, StagePaths
from tinynet.prototxt import schema, text
from tinynet.prototxt.solvers import Overrides
from tinynet.training.run import FINISHED, Run


def request(lmdb: Path, folder: Path) -> Request:
    return Request(
        data=lmdb,
        folders=Folders(folder / "out", ResultsPaths(folder / "results")),
        stages=[1, 7, 8],
        seeds=2,
        plan=Tuning(0.2, 1),
        epochs_factor=0.1,
        overrides=Overrides(batch_size=8),
        engine=("--cpu",),
        command="tinynet dissect",
    )


def test_every_training_is_one_job_that_trains_evaluates_and_collects(
    lmdb: Path, tmp_path: Path
) -> None:
    settings, jobs = prepare(request(lmdb, tmp_path))
    names = [job.name for job in jobs]
    assert names[:4] == [
        *("stage1_simple-seed1", "stage1_simple-seed2"),
        *("stage7_dropout2-seed1", "stage7_dropout2-seed2"),
    ]
    # the last single stage's two seeds are members 1 and 2; stage 8's own are 3 to 11
    assert names[4:] == [f"stage8_ensemble-member{n:02d}" for n in range(3, 12)]
    assert len(settings.members) == 11 and settings.members[1] == "stage7_dropout2/seed2"
    assert settings.members[2] == "stage8_ensemble/member03"
    kinds = [command[0] for command in jobs[0].commands]
    assert kinds == ["train", *5 * ["evaluate"], "dissect"]
    assert settings.epochs["stage1_simple"] == 2 and settings.epochs["stage7_dropout2"] == 6
    assert settings.reported.name == "test" and settings.tuning is not None


def test_what_is_in_the_results_is_not_done_again(lmdb: Path, tmp_path: Path) -> None:
    asked = request(lmdb, tmp_path)
    _, jobs = prepare(asked)
    add_run(asked.folders.results, "stage1_simple/seed2", 2, one_crop=[0])
    _, left = prepare(asked)
    gone = {job.name for job in jobs} - {job.name for job in left}
    assert gone == {"stage1_simple-seed2"}


def test_more_seeds_and_stages_add_to_what_is_there(lmdb: Path, tmp_path: Path) -> None:
    first = replace(request(lmdb, tmp_path), stages=[1])
    prepare(first)
    settings, jobs = prepare(replace(first, stages=[2], seeds=3))
    assert settings.stages == [1, 2] and settings.seeds == [1, 2, 3]
    assert "stage1_simple/seed1" in planned_runs(settings)
    assert [job.name for job in jobs] == [f"stage2_dropout1-seed{n}" for n in (1, 2, 3)]


def test_an_ensemble_keeps_its_members_when_seeds_are_added(lmdb: Path, tmp_path: Path) -> None:
    asked = replace(request(lmdb, tmp_path), stages=[7, 8])
    before, _ = prepare(asked)
    more, jobs = prepare(replace(asked, seeds=4))
    assert more.members == before.members and more.seeds == [1, 2, 3, 4]
    names = [job.name for job in jobs]
    assert names[:4] == [f"stage7_dropout2-seed{n}" for n in (1, 2, 3, 4)]
    assert names[4:] == [f"stage8_ensemble-member{n:02d}" for n in range(3, 12)]
    # fewer seeds still train every member
    _, jobs = prepare(replace(asked, seeds=1, stages=[8]))
    names = [job.name for job in jobs]
    assert sorted(names) == sorted(run.replace("/", "-") for run in before.members)


def test_the_commands_that_were_given_are_kept_until_one_asks_for_all(
    lmdb: Path, tmp_path: Path
) -> None:
    asked = replace(request(lmdb, tmp_path), stages=[1], seeds=2, command="first")
    assert prepare(asked)[0].command == "first"
    settings, _ = prepare(replace(asked, stages=[2], seeds=3, command="second"))
    assert settings.command == "first\nsecond"
    assert prepare(replace(asked, command="less"))[0].command == "first\nsecond"
    settings, _ = prepare(replace(asked, stages=[2, 1], seeds=3, command="all"))
    assert settings.command == "all"


def test_two_commands_at_once_lose_nothing_of_each_other(
    lmdb: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = replace(request(lmdb, tmp_path), stages=[1], seeds=1)
    second = threading.Thread(target=prepare, args=[replace(asked, stages=[2])])

    def slow(results: ResultsPaths) -> Any:
        found = load(results)
        if second.ident is None:
            second.start()
            second.join(timeout=1)  # it has this long to come in between, if it can
        return found

    monkeypatch.setattr("tinynet.experiments.dissection.experiment.load", slow)
    prepare(asked)
    second.join()
    settings = load(asked.folders.results)
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
        ({"plan": Tuning(0.2, 2)}, "split otherwise"),
        ({"plan": HalfVal(1)}, "split otherwise"),
        ({"plan": None}, "another reported split"),
    ],
)
def test_another_experiment_is_refused(lmdb: Path, tmp_path: Path, change: dict, says: str) -> None:
    asked = replace(request(lmdb, tmp_path), stages=[1])
    prepare(asked)
    with pytest.raises(UsageError, match=says):
        prepare(replace(asked, **change))


def solver_of(asked: Request, name: str, member: int | None = None) -> Any:
    return text.read(
        StagePaths(asked.folders.prototxt, name, member).solver, schema.SolverParameter
    )


def test_what_a_search_found_is_trained_with_and_recorded(lmdb: Path, tmp_path: Path) -> None:
    found = {"stage7_dropout2": {"base_lr": 0.02, "momentum": 0.8}}
    asked = replace(request(lmdb, tmp_path), found=found)
    settings, _ = prepare(asked)
    assert settings.overrides == found
    last = solver_of(asked, "stage7_dropout2")
    assert (last.base_lr, last.momentum) == pytest.approx((0.02, 0.8))
    assert solver_of(asked, "stage1_simple").base_lr == pytest.approx(0.01)
    # members 4 to 6 learn at 0.8 of what stage 7 does
    fourth = solver_of(asked, "stage8_ensemble", 4)
    assert (fourth.base_lr, fourth.momentum) == pytest.approx((0.016, 0.8))
    with pytest.raises(UsageError, match="stage7_dropout2: base_lr 0.01, not 0.02"):
        prepare(replace(asked, found={}, stages=[7]))
    assert load(asked.folders.results) == settings


def test_what_a_search_found_later_is_refused(lmdb: Path, tmp_path: Path) -> None:
    asked = replace(request(lmdb, tmp_path), stages=[7])
    prepare(asked)
    with pytest.raises(UsageError, match="base_lr 0.02, not 0.01"):
        prepare(replace(asked, found={"stage7_dropout2": {"base_lr": 0.02}}))
    # what is refused has not changed the files of trainings that may be under way
    assert solver_of(asked, "stage7_dropout2").base_lr == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("contents", "says"),
    [
        (['{"solver": {"base_lr": 0.02}}'], "names no stage"),
        (['{"solver": {"base_lr": 0.02}, "stage": "stage7_dropout2"}'], "none of what is trained"),
        (2 * ['{"solver": {"base_lr": 0.02}, "stage": "stage1_simple"}'], "second file"),
    ],
)
def test_a_file_of_overrides_for_no_stage_of_it_is_refused(
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
    content = {"solver": {"base_lr": 0.02}, "stage": stage, "chosen_on": asdict(chosen_on(folder))}
    file.write_text(json.dumps(content))
    return file


JOBS = ("--stage", 1, "--seeds", 1, "--jobs")


def test_a_search_on_the_tuning_pictures_of_the_same_split_is_recorded_as_honest(
    lmdb: Path, tmp_path: Path
) -> None:
    file = searched(lmdb, tmp_path, Tuning(0.1, 1))
    out = tmp_path / "d"
    done = run("dissect", lmdb, *JOBS, "--split-seed", 1, "--out", out, "--overrides", file)
    assert (done.status, done.stderr) == (0, "")
    settings = load(ResultsPaths(out / "results"))
    assert settings is not None
    choice = settings.choices["stage1_simple"]
    assert choice["reported"] == 0 and choice["split"]["seed"] == 1 and choice["images"] == 3
    shown = run("dissect", lmdb, "--stage", 1, "--collect", "--out", out)
    assert "base_lr 0.02: chosen on 3 pictures (tuning pictures" in shown.stdout
    assert "none of which is reported" in shown.stdout


@pytest.mark.parametrize("options", [("--split-seed", 1), ("--split-seed", 1, "--half-val")])
def test_reported_pictures_that_chose_are_refused_in_an_honest_split(
    lmdb: Path, tmp_path: Path, options: tuple
) -> None:
    file = searched(lmdb, tmp_path, HalfVal(2))  # halves of val: the other experiment reports it
    out = tmp_path / "d"
    done = run("dissect", lmdb, *JOBS, *options, "--out", out, "--overrides", file)
    assert done.status == 2 and done.stderr.count("\n") == 1
    assert "chose stage1_simple's values" in done.stderr
    assert not (out / "results").exists() and not (out / "jobs").exists()


def test_without_an_honest_split_they_are_said_and_recorded(lmdb: Path, tmp_path: Path) -> None:
    file = searched(lmdb, tmp_path, HalfVal(2))
    done = run("dissect", lmdb, *JOBS, "--out", tmp_path / "d", "--overrides", file)
    assert done.status == 0 and done.stderr.count("\n") == 1
    assert "of which 6 are reported: they flatter" in done.stderr  # one half of 12
    shown = run("dissect", lmdb, "--stage", 1, "--collect", "--out", tmp_path / "d")
    assert "of which 6 are reported" in shown.stdout


def test_folds_say_how_many_of_each_folds_pictures_chose(lmdb: Path, tmp_path: Path) -> None:
    file = searched(lmdb, tmp_path, Tuning(0.3, 1))
    options = (*JOBS, "--folds", 2, "--out", tmp_path / "d", "--overrides", file)
    done = run("dissect", lmdb, *options)
    counts = [int(n) for n in re.findall(r"of which (\d+) are reported", done.stderr)]
    assert done.status == 0 and sum(counts) == 9  # every tuning picture is in one fold


def test_overrides_that_do_not_say_who_chose_are_taken_and_said(lmdb: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text('{"solver": {"base_lr": 0.02}, "stage": "stage1_simple"}')
    options = (*JOBS, "--split-seed", 1, "--out", tmp_path / "d", "--overrides", file)
    done = run("dissect", lmdb, *options)
    assert done.status == 0 and "on which pictures these were chosen is not known" in done.stderr


def test_damaged_provenance_is_refused_in_one_line(lmdb: Path, tmp_path: Path) -> None:
    file = searched(lmdb, tmp_path, None)
    content = json.loads(file.read_text())
    content["chosen_on"]["contents"] = "abc"
    file.write_text(json.dumps(content))
    done = run("dissect", lmdb, *JOBS, "--out", tmp_path / "d", "--overrides", file)
    assert done.status == 1 and done.stderr.count("\n") == 1 and "chosen_on" in done.stderr
    assert not (tmp_path / "d").exists()


def test_generate_says_where_searched_values_go_further_than_the_search(
    lmdb: Path, tmp_path: Path
) -> None:
    file = searched(lmdb, tmp_path, None)  # all of val chose, and val is what lmdb reports
    arguments = ("generate", "--data", lmdb, "--out", tmp_path / "p", "--overrides", file)
    done = run(*arguments, "--stage", 1, "--stage", 2)
    assert done.status == 0 and done.stderr.count("\n") == 2
    assert "was found for stage1_simple; stage2_dropout1 take it too" in done.stderr
    assert "chosen on 12 of the 12 pictures" in done.stderr
    folder = tmp_path / "honest"
    split(lmdb, folder, Tuning(0.2, 1))
    file = searched(folder, tmp_path, None, "stage7_dropout2")
    arguments = ("generate", "--data", folder, "--out", tmp_path / "p", "--overrides", file)
    done = run(*arguments, "--stage", 7, "--stage", 8)
    assert (done.status, done.stderr) == (0, "")


def test_the_variant_with_max_norm_is_trained_with_it(lmdb: Path, tmp_path: Path) -> None:
    name = "variant_dropout_everywhere"
    asked = replace(request(lmdb, tmp_path), stages=[1], variants=[name], seeds=1)
    settings, jobs = prepare(asked)
    train = {job.name: " ".join(job.commands[0]) for job in jobs}
    assert "--max-norm 4" in train[f"{name}-seed1"] and "--max" not in train["stage1_simple-seed1"]
    assert settings.recipes[name]["solver"]["max-norm"] == "4"


def test_the_warm_up_of_a_variant_is_part_of_its_recipe(lmdb: Path, tmp_path: Path) -> None:
    asked = replace(request(lmdb, tmp_path), stages=[], variants=["modern"])
    settings, (first, _) = prepare(asked)
    solver = settings.recipes["variant_modern"]["solver"]
    assert solver["warm-up lr_policy"] == '"inv"' and solver["lr_policy"] == '"poly"'
    assert int(solver["warm-up max_iter"]) == pytest.approx(int(solver["max_iter"]) / 12, abs=1)
    # the file beside the solver is all that training is told of it
    files = StagePaths(asked.folders.prototxt, "variant_modern")
    assert first.commands[0][:2] == ("train", str(files.solver))
    assert not differences(
        read_recipe(files.train_val, files.solver), settings.recipes["variant_modern"]
    )
    files.warm_up.unlink()
    without = read_recipe(files.train_val, files.solver)
    found = differences(without, settings.recipes["variant_modern"])
    assert 'warm-up lr_policy unset, not "inv"' in found


def test_a_run_without_the_variants_max_norm_is_not_taken_over(lmdb: Path, tmp_path: Path) -> None:
    name = "variant_dropout_everywhere"
    asked = replace(request(lmdb, tmp_path), stages=[], variants=[name], seeds=1)
    settings, _ = prepare(asked)
    files = StagePaths(asked.folders.prototxt, name)
    trained = Run(state=FINISHED, max_norm=None)
    with pytest.raises(TinynetError, match="max-norm unset, not 4"):
        collect._require_recipe(RunPaths(files.solver.parent), f"{name}/seed1", trained, settings)


def test_options_that_need_a_split_say_so(lmdb: Path, tmp_path: Path) -> None:
    done = run("dissect", lmdb, "--half-val", "--out", tmp_path / "d")
    assert done.status == 2 and "--split-seed" in done.stderr


def test_collect_adds_the_names_of_the_classes_to_older_results(lmdb: Path, tmp_path: Path) -> None:
    settings, _ = prepare(replace(request(lmdb, tmp_path), stages=[1]))
    results = ResultsPaths(tmp_path / "results")
    names = settings.data["class_names"]
    assert list(names) == read_manifest(lmdb).wnids
    older = {key: value for key, value in settings.data.items() if key != "class_names"}
    save(replace(settings, data=older), results)
    arguments = ("dissect", "--collect", "--results", results.root)
    done = run(*arguments, "--out", tmp_path / "elsewhere")  # without the data
    assert done.status == 0 and "has no class names; 'tinynet dissect DATA" in done.stderr
    for where in ((tmp_path / "out", ()), (tmp_path / "elsewhere", (lmdb,))):
        save(replace(settings, data=older), results)
        done = run(*arguments, "--out", where[0], *where[1])
        assert (done.status, done.stderr) == (0, "")
        assert load(results) == settings


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
    ],
)
def test_a_damaged_experiment_is_refused_in_one_line(tmp_path: Path, change: Any) -> None:
    results = begin(tmp_path / "results")
    content = json.loads(results.experiment.read_text())
    results.experiment.write_text(json.dumps({**content, **change} if change else change))
    done = run("dissect", "--collect", "--out", tmp_path)
    assert done.status == 1 and done.stderr.count("\n") == 1
    assert "experiment.json: is no experiment of ours" in done.stderr


def test_without_data_no_folder_is_begun(tmp_path: Path) -> None:
    done = run("dissect", tmp_path / "nothing", "--jobs", "--out", tmp_path / "d")
    assert done.status == 1 and "run 'tinynet data convert'" in done.stderr
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize("out", ["d", "new/deep/d"])
def test_a_split_that_fails_leaves_nothing(
    lmdb: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / out / "data"))

    monkeypatch.setattr(dissection, "split", fail)
    monkeypatch.setattr(splitting, "split", fail)
    options = ("--split-seed", 1, "--out", tmp_path / out)
    for command in (("dissect", lmdb, "--jobs"), ("search", lmdb, "--stage", 1)):
        done = run(*command, *options)
        assert done.status == 1 and "no space left on the device" in done.stderr
        assert list(tmp_path.iterdir()) == []
    (tmp_path / out).mkdir(parents=True)  # a folder that was there stays, and what is in it
    (tmp_path / out / "mine").write_text("")
    assert run("dissect", lmdb, "--jobs", *options).status == 1
    assert (tmp_path / out / "mine").exists()


def test_damage_in_a_run_is_named_with_the_command_that_mends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collect, "_require_recipe", lambda *arguments: None)
    name = "stage1_simple/seed1"
    results = begin(tmp_path / "results")
    settings = load(results)
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


def test_collect_without_a_dissection_says_what_begins_one(tmp_path: Path) -> None:
    done = run("dissect", "--collect", "--out", tmp_path)
    assert done.status == 2 and "tinynet dissect DATA" in done.stderr


@pytest.mark.long
def test_a_small_dissection_from_pictures_to_table(lmdb: Path, tmp_path: Path) -> None:
    command = (
        *("dissect", lmdb, "--out", tmp_path / "d", "--split-seed", 1, "--hold-out", 0.2),
        *("--stage", 1, "--stage", 2, "--seeds", 2, "--epochs-factor", 0.05),
        *("--batch-size", 8, "--cpu"),
    )
    done = run(*command)
    assert done.status == 0, done.stderr
    table = read_dissection(tmp_path / "d" / "results")
    assert [len(row.finished) for row in table.stages] == [2, 2]
    again = run(*command)
    assert again.status == 0 and "begins" not in again.stderr
    assert read_dissection(tmp_path / "d" / "results") == table
