"""``tinynet dissect``: refusals before it begins, its plan, and a small complete dissection."""

from __future__ import annotations

import errno
import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.command import run
from tests.jobs.test_job_list import end
from tests.study.results_by_hand import add_run
from tinynet.cli.dissect_work import Devices, _fits
from tinynet.dataset import split as splitting
from tinynet.errors import TinynetError, UsageError
from tinynet.jobs import states
from tinynet.jobs.job_list import Job, read
from tinynet.run.paths import RunPaths
from tinynet.study import dissection
from tinynet.study.cost import Cost, Pace
from tinynet.study.results import ResultsPaths, read_dissection


def test_only_jobs_missing_from_these_results_are_left_to_do(
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
    assert "1 job; begin with tinynet jobs local" in elsewhere.stderr
    assert states.states(folder)[job.name].name == "waiting"


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
def test_options_without_effect_are_refused(
    lmdb: Path, tmp_path: Path, options: tuple, says: str
) -> None:
    done = run("dissect", lmdb, "--out", tmp_path / "d", *options)
    assert done.status == 2 and says in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path / "d").exists()


def test_trainings_share_a_gpu_only_if_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinynet.cli.dissect_work.gpus.are_here", lambda: False)
    with pytest.raises(UsageError, match="no GPU is here; --processes N shares the cores"):
        Devices("auto", None, False, "float32", None, 2).slots()


def test_gpus_that_are_not_here_are_refused_before_any_work(
    lmdb: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tinynet.cli.dissect_work.gpus.are_here", lambda: False)
    out = tmp_path / "d"
    done = run("dissect", lmdb, "--out", out, "--per-gpu", 2, "--split-seed", 1, "--stage", 1)
    assert done.status == 2 and "--per-gpu: no GPU is here" in done.stderr
    assert not out.exists()


def test_a_training_begins_only_if_it_can_end_in_the_time_given(
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


def test_options_that_need_a_split_are_refused_without_one(lmdb: Path, tmp_path: Path) -> None:
    done = run("dissect", lmdb, "--half-val", "--out", tmp_path / "d")
    assert done.status == 2 and "--split-seed" in done.stderr


def test_without_data_no_folder_is_created(tmp_path: Path) -> None:
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


def test_collect_without_a_dissection_names_the_command_that_begins_one(tmp_path: Path) -> None:
    done = run("dissect", "--collect", "--out", tmp_path)
    assert done.status == 2 and "tinynet dissect DATA" in done.stderr


def test_a_plan_shows_what_is_left_and_how_long_it_takes_and_writes_nothing(
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


def test_a_precision_that_the_device_lacks_is_refused_before_anything_is_written(
    lmdb: Path, tmp_path: Path
) -> None:
    out = tmp_path / "d"
    for more in ((), ("--plan",)):
        done = run("dissect", lmdb, "--cpu", "--precision", "tf32", "--out", out, *more)
        assert done.status == 2 and "--precision tf32: is the arithmetic of a GPU" in done.stderr
    assert not out.exists()


def test_a_plan_is_not_a_job_list(lmdb: Path, tmp_path: Path) -> None:
    done = run("dissect", lmdb, "--plan", "--jobs", "--out", tmp_path / "d")
    assert done.status == 2 and "--plan, --write-jobs and --collect: choose one" in done.stderr


def test_an_engine_is_required_only_if_something_is_left_to_train(
    lmdb: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_engine(*_: object) -> None:
        raise TinynetError("no engine found")

    monkeypatch.setattr("tinynet.engine.discovery.find", no_engine)
    out = tmp_path / "d"
    command = ("dissect", lmdb, "--stage", 1, "--batch-size", 8, "--out", out)
    refused = run(*command, "--seeds", 1, "--split-seed", 1)
    assert refused.status == 1 and "no engine found" in refused.stderr
    assert not out.exists()  # nothing was split in vain
    assert run(*command, "--seeds", 1, "--write-jobs").status == 0
    add_run(ResultsPaths(out / "results"), "stage1_simple/seed1", 1, one_crop=[0])
    done = run(*command, "--seeds", 1)
    assert done.status == 0 and "reported on 12 images" in done.stdout, done.stderr
    plan = run(*command, "--seeds", 1, "--plan")
    assert plan.status == 0 and "nothing is left to train" in plan.stdout, plan.stderr
    more = run(*command, "--seeds", "1-2")
    assert more.status == 1 and "no engine found" in more.stderr


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
