"""Making a list, and finding out before anything begins that no job could run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli import command
from tests.jobs.small_lists import create, job, state_names
from tinynet.cli.job_commands import common_fault
from tinynet.jobs.additions import add_jobs
from tinynet.jobs.job_list import read


def test_an_option_that_train_does_not_take_is_refused_when_the_list_is_made(small: Path) -> None:
    Path("small/deploy.prototxt").write_text("")  # for the evaluation
    done = command.run("jobs", "create", small, "small/solver.prototxt", "--train", "--max-it 5")
    assert done.status == 2 and "--max-it" in done.stderr and not small.exists()
    done = command.run(
        "jobs", "create", small, "small/solver.prototxt", "--train", "--set base_lr=nan"
    )
    assert done.status == 2 and "base_lr is nan" in done.stderr and not small.exists()
    done = command.run("jobs", "create", small, "small/solver.prototxt", "--train", "'")
    assert done.status == 2 and "--train '" in done.stderr
    done = command.run("jobs", "create", small, "none/solver.prototxt", "--seeds", "1")
    assert done.status == 2 and "none/solver.prototxt: no such solver" in done.stderr
    done = command.run("jobs", "create", small)
    assert done.status == 2 and not small.exists()
    for seeds in ("x", "3-1", "1,,2", "-1", "1-99999999"):
        done = command.run("jobs", "create", small, "small/solver.prototxt", "--seeds", seeds)
        assert done.status == 2 and "Traceback" not in done.stderr


def test_the_whole_dissection_is_one_list_that_ends_with_the_ensemble(folder: Path) -> None:
    prototxt = Path(__file__).parents[2] / "prototxt"
    done = command.run(
        "jobs", "create", folder, "--stage", "1-8", "--seeds", "1,2", "--prototxt", prototxt
    )
    assert done.status == 0, done.stderr
    jobs = read(folder).jobs
    assert len(jobs) == 7 * 2 + 11 + 1
    assert jobs[0].name == "stage1_simple-seed1" and jobs[0].run == Path("runs/stage1_simple/seed1")
    assert jobs[14].name == "stage8_ensemble-member01"
    assert jobs[-1].name == "ensemble" and jobs[-1].after == tuple(j.name for j in jobs[14:25])
    assert [c[0] for j in jobs for c in j.commands] == ["train", "evaluate"] * 25 + ["ensemble"]
    done = command.run("jobs", "create", folder, "--member", "12", "--prototxt", prototxt)
    assert done.status == 2 and "members 1 to 11" in done.stderr


def test_the_printed_command_can_be_pasted_whatever_the_folders_name(small: Path) -> None:
    done = command.run("jobs", "create", "a list", "small/solver.prototxt", "--no-evaluate")
    assert done.stdout == "a list: 1 job; begin it here with tinynet jobs local 'a list'\n"


def test_without_data_a_list_fails_once_and_begins_no_job(small: Path) -> None:
    create("--seeds", "1-3", "--no-evaluate")
    Path("data").rename("elsewhere")
    done = command.run("jobs", "local", small)
    assert (done.status, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "none of its 3 jobs can begin: small-seed1: data/train_lmdb: no such data" in done.stderr
    assert set(state_names(small).values()) == {"waiting"} and not Path("runs").exists()
    # a node of the cluster may have the data: there is a warning, and the scripts are written
    batch = command.run("jobs", "slurm", small, "--time", "1:00:00")
    assert batch.status == 0 and "as seen from here, lists/first: none of its 3" in batch.stderr
    Path("elsewhere").rename("data")
    assert common_fault(small, again=False) is None


def test_data_is_looked_for_where_the_paths_of_the_list_start(
    small: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    create("--seeds", "1", "--no-evaluate")
    here = small.resolve()
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    assert common_fault(here, again=False) is None and Path.cwd() == tmp_path / "other"
    (tmp_path / "small/train_val.prototxt").unlink()
    assert "its net small/train_val.prototxt is not there" in str(common_fault(here, again=False))
    assert Path.cwd() == tmp_path / "other"


def test_a_list_whose_working_directory_is_gone_fails_once_and_begins_no_job(
    small: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("lists") / "mine"
    command.run("jobs", "create", elsewhere, "small/solver.prototxt", "--no-evaluate")
    where = Path.cwd()
    monkeypatch.chdir(elsewhere)
    where.rename(where.with_name(f"{where.name} moved"))
    done = command.run("jobs", "local", elsewhere)
    assert done.status == 1
    assert f"its jobs run in {where}, which does not exist; move that folder back" in done.stderr
    assert set(state_names(elsewhere).values()) == {"waiting"}


def test_a_job_that_can_begin_is_not_blocked_by_the_others(small: Path) -> None:
    create("--seeds", "1", "--no-evaluate", "--engine", "caffe", "--caffe-python", "/bin/ls")
    assert "is not a Python that imports caffe" in str(common_fault(small, again=False))
    add_jobs(small, [job("other", "stages")])
    assert common_fault(small, again=False) is None
