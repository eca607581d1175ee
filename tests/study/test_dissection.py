"""A dissection plans each training once, reuses what is done, and refuses to mix experiments."""

from __future__ import annotations

import errno
import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command import run
from tests.jobs.test_job_list import end
from tests.study.made_results import add_run, begin
from tests.study.small_dissection import request
from tinynet.cli.dissect_work import Devices, _fits
from tinynet.dataset import split as splitting
from tinynet.dataset.manifest import read_manifest
from tinynet.dataset.split import HalfVal, Tuning
from tinynet.errors import TinynetError, UsageError
from tinynet.experiment.paths import StagePaths
from tinynet.experiment.solvers import Overrides
from tinynet.jobs import states
from tinynet.jobs.job_list import Job, read
from tinynet.run.paths import RunPaths
from tinynet.run.record import FINISHED, Run
from tinynet.study import collect, dissection
from tinynet.study.cost import Cost, Pace
from tinynet.study.dissection import Folders, planned_runs, prepare
from tinynet.study.recipes import differences, read_recipe
from tinynet.study.results import ResultsPaths, read_dissection
from tinynet.study.settings import load, save


def test_every_training_is_one_job_that_trains_evaluates_and_collects(
    lmdb: Path, tmp_path: Path
) -> None:
    settings, jobs = prepare(request(lmdb, tmp_path))
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


def test_what_is_in_the_results_is_not_done_again(lmdb: Path, tmp_path: Path) -> None:
    asked = request(lmdb, tmp_path)
    _, jobs = prepare(asked)
    add_run(asked.folders.results, "stage1_simple/seed2", 2, one_crop=[0])
    _, left = prepare(asked)
    gone = {job.name for job in jobs} - {job.name for job in left}
    assert gone == {"stage1_simple-seed2"}


def test_what_is_done_for_other_results_or_was_lost_from_them_is_left(
    lmdb: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ("dissect", lmdb, "--stage", 1, "--seeds", 1, "--batch-size", 8, "--jobs")
    assert run(*command).status == 0
    folder = Path("runs/dissection/jobs")
    job = read(folder).jobs[0]
    assert job.leaves is not None and job.run is not None
    job.run.mkdir(parents=True)
    job.leaves.parent.mkdir(parents=True)
    job.leaves.write_text("{}")
    end(folder, job, 0)
    assert states.states(folder)[job.name].name == "done"
    job.leaves.unlink()
    assert states.states(folder)[job.name].name == "waiting"
    job.leaves.write_text("{}")
    elsewhere = run(*command, "--results", "elsewhere", "--cpu", "--json")
    assert elsewhere.status == 0, elsewhere.stderr
    assert json.loads(elsewhere.stdout)["stages"][0]["runs"][0]["state"] == "not run"
    assert "1 job; begin with 'tinynet jobs local" in elsewhere.stderr
    assert states.states(folder)[job.name].name == "waiting"


def test_more_seeds_and_stages_add_to_what_is_there(lmdb: Path, tmp_path: Path) -> None:
    first = replace(request(lmdb, tmp_path), stages=[1])
    prepare(first)
    settings, jobs = prepare(replace(first, stages=[2], seeds=[1, 2, 3]))
    assert settings.stages == [1, 2] and settings.seeds == [1, 2, 3]
    assert "stage1_simple/seed1" in planned_runs(settings)
    assert [job.name for job in jobs] == [f"stage2_dropout1-seed{n}" for n in (1, 2, 3)]


def test_an_ensemble_keeps_its_members_when_seeds_are_added(lmdb: Path, tmp_path: Path) -> None:
    asked = replace(request(lmdb, tmp_path), stages=[7, 8])
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


def test_the_commands_that_were_given_are_kept_until_one_asks_for_all(
    lmdb: Path, tmp_path: Path
) -> None:
    asked = replace(request(lmdb, tmp_path), stages=[1], seeds=[1, 2], command="first")
    assert prepare(asked)[0].command == "first"
    settings, _ = prepare(replace(asked, stages=[2], seeds=[1, 2, 3], command="second"))
    assert settings.command == "first\nsecond"
    assert prepare(replace(asked, command="less"))[0].command == "first\nsecond"
    settings, _ = prepare(replace(asked, stages=[2, 1], seeds=[1, 2, 3], command="all"))
    assert settings.command == "all"


def test_two_commands_at_once_lose_nothing_of_each_other(
    lmdb: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = replace(request(lmdb, tmp_path), stages=[1], seeds=[1])
    second = threading.Thread(target=prepare, args=[replace(asked, stages=[2])])

    def slow(results: ResultsPaths) -> Any:
        found = load(results)
        if second.ident is None:
            second.start()
            second.join(timeout=1)  # it has this long to come in between, if it can
        return found

    monkeypatch.setattr("tinynet.study.dissection.experiment.load", slow)
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


def test_the_variant_with_max_norm_is_trained_with_it(lmdb: Path, tmp_path: Path) -> None:
    name = "variant_dropout_everywhere"
    asked = replace(request(lmdb, tmp_path), stages=[1], variants=[name], seeds=[1])
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
    asked = replace(request(lmdb, tmp_path), stages=[], variants=[name], seeds=[1])
    settings, _ = prepare(asked)
    files = StagePaths(asked.folders.prototxt, name)
    trained = Run(state=FINISHED, max_norm=None)
    with pytest.raises(TinynetError, match="max-norm unset, not 4"):
        collect._require_recipe(RunPaths(files.solver.parent), f"{name}/seed1", trained, settings)


def test_the_order_of_work_is_what_a_reader_wants_first(lmdb: Path, tmp_path: Path) -> None:
    asked = replace(
        request(lmdb, tmp_path), stages=[1, 7, 3, 8], variants=["variant_modern"], seeds=[1, 2, 3]
    )
    names = [job.run.parent.name + "/" + job.run.name for job in prepare(asked)[1] if job.run]
    assert names == [
        *("variant_modern/seed1", "stage1_simple/seed1", "stage7_dropout2/seed1"),
        *("stage3_augmentation/seed1", "stage7_dropout2/seed2", "stage7_dropout2/seed3"),
        *(f"stage8_ensemble/member{n:02d}" for n in range(4, 12)),
        *("stage1_simple/seed2", "stage1_simple/seed3"),
        *("stage3_augmentation/seed2", "stage3_augmentation/seed3"),
        *("variant_modern/seed2", "variant_modern/seed3"),
    ]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--within", 60, "--plan"), "--within is for trainings"),
        (("--within", 60, "--collect"), "--within is for trainings"),
        (("--within", 0), "--within"),
        (("--pack", "x", "--folds", 3), "leave out --folds"),
        (("--per-gpu", 2, "--cpu"), "--per-gpu is for GPUs"),
        (("--per-gpu", 2, "--processes", 2), "--per-gpu is for GPUs"),
        (("--evaluate",), "--evaluate goes with --collect"),
    ],
)
def test_options_that_do_nothing_there_are_refused(
    lmdb: Path, tmp_path: Path, options: tuple, says: str
) -> None:
    done = run("dissect", lmdb, "--out", tmp_path / "d", *options)
    assert done.status == 2 and says in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path / "d").exists()


def test_trainings_share_a_gpu_only_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tinynet.cli.dissect_work.gpus.are_here", lambda: False)
    with pytest.raises(UsageError, match="no GPU is here; --processes N shares the cores"):
        Devices("auto", None, False, None, 2).slots()


def test_a_training_is_begun_while_it_can_end_in_the_time_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr("tinynet.cli.dissect_work.time.monotonic", lambda: clock[0])
    one = Cost("a/seed1", iterations=100, batch=10, tested=0, multiply_adds=5)
    two = replace(one, run="a/seed2")
    fits = _fits(Pace({one.run: one, two.run: two}, tmp_path), 60)
    job = Job("a-seed2", (("train",),), tmp_path / "a" / "seed2")
    assert fits(job)  # nothing is known of any rate
    history = RunPaths(tmp_path / "a" / "seed1").history
    history.parent.mkdir(parents=True)
    history.write_text('{"iteration": 20, "images_per_second": 50}\n')
    clock[0] += 19.9  # 1,000 images take 20 s, and their processes 20 s to begin
    assert fits(job)
    clock[0] += 0.2
    assert not fits(job)


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
    assert not (tmp_path / "elsewhere").exists()  # nothing of it was needed
    for where in ((tmp_path / "out", ()), (tmp_path / "elsewhere", (lmdb,))):
        save(replace(settings, data=older), results)
        done = run(*arguments, "--out", where[0], *where[1])
        assert (done.status, done.stderr) == (0, "")
        assert load(results) == settings


def test_two_dissections_of_the_same_results_change_them_one_after_the_other(
    tmp_path: Path,
) -> None:
    results = ResultsPaths(tmp_path / "results")
    first, second = (Folders(tmp_path / name, results) for name in ("one", "two"))
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


def test_probabilities_of_other_images_are_not_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collect, "_require_recipe", lambda *arguments: None)
    name = "stage1_simple/seed1"
    data = {"source": "drawn", "counts": {"train": 9, "val": 9, "test": 40}}
    results = begin(tmp_path / "results", data=data)
    settings = load(results)
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
def test_a_file_lost_from_the_results_is_made_again_from_the_run_or_named(
    lmdb: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    for check in ("_require_recipe", "_require_images"):
        monkeypatch.setattr(collect, check, lambda *arguments: None)
    asked = replace(request(lmdb, tmp_path), stages=[1], seeds=[1])
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
    settings = load(results)
    assert settings is not None
    assert jobs == [] and collect.missing(results, name, settings) == []


def test_collect_without_a_dissection_says_what_begins_one(tmp_path: Path) -> None:
    done = run("dissect", "--collect", "--out", tmp_path)
    assert done.status == 2 and "tinynet dissect DATA" in done.stderr


@pytest.mark.long
def test_a_small_dissection_from_images_to_table(lmdb: Path, tmp_path: Path) -> None:
    command = (
        *("dissect", lmdb, "--out", tmp_path / "d", "--split-seed", 1, "--hold-out", 0.2),
        *("--stage", 1, "--stage", 2, "--seeds", "1-2", "--epochs-factor", 0.05),
        *("--batch-size", 8, "--cpu"),
    )
    done = run(*command)
    assert done.status == 0, done.stderr
    table = read_dissection(tmp_path / "d" / "results")
    assert [len(row.finished) for row in table.stages] == [2, 2]
    again = run(*command)
    assert again.status == 0 and "begins" not in again.stderr
    assert read_dissection(tmp_path / "d" / "results") == table


def test_a_plan_says_what_is_left_and_how_long_it_takes_and_writes_nothing(
    lmdb: Path, tmp_path: Path
) -> None:
    out = tmp_path / "d"
    options = ("--stage", 1, "--seeds", "1-2", "--batch-size", 8, "--cpu", "--out", out)
    done = run("dissect", lmdb, *options, "--plan")
    assert done.status == 0, done.stderr
    header, _, row, total = done.stdout.splitlines()
    assert header.split()[:2] == ["stage", "trainings"]
    assert row.split()[:2] == ["stage1_simple", "2"]
    assert total.startswith("2 trainings, with their evaluations about ")
    assert not out.exists()


def test_a_plan_is_no_list_of_jobs(lmdb: Path, tmp_path: Path) -> None:
    done = run("dissect", lmdb, "--plan", "--jobs", "--out", tmp_path / "d")
    assert done.status == 2 and "--plan, --write-jobs and --collect: choose one" in done.stderr


def test_any_seeds_may_be_asked_for(lmdb: Path, tmp_path: Path) -> None:
    asked = replace(request(lmdb, tmp_path), stages=[1, 7, 8], seeds=[4, 2])
    settings, jobs = prepare(asked)
    assert settings.seeds == [2, 4]
    assert settings.members[:2] == ["stage7_dropout2/seed2", "stage7_dropout2/seed4"]
    others = [1, 3, *range(5, 12)]
    assert settings.members[2:] == [f"stage8_ensemble/member{n:02d}" for n in others]
    names = [job.name for job in jobs]
    assert names[:2] == ["stage1_simple-seed2", "stage7_dropout2-seed2"]
    assert names[-1] == "stage1_simple-seed4"
