"""The status of a list, from its states and its run directories."""

from __future__ import annotations

import contextlib
import json
import socket
from pathlib import Path

import pytest

from tests.cli import command
from tests.jobs.small_lists import create
from tests.jobs.test_job_list import end
from tests.run import small_runs
from tinynet.jobs import status as job_status
from tinynet.jobs.job_list import read
from tinynet.run import lock
from tinynet.run.paths import RunPaths


def test_the_state_of_every_run_is_shown_from_its_directory(small: Path) -> None:
    pytest.importorskip("torch")
    assert create("--seeds", "1", "--no-evaluate") == ["small-seed1"]
    done = command.run("jobs", "local", small, "--processes", 1, "--json")
    assert done.status == 0 and json.loads(done.stdout)["begun"] == ["small-seed1"]
    small_runs.train(Path(), "--seed", "2", "--max-iter", "24", "--cpu")  # by hand
    create("--seeds", "2,3", "--no-evaluate")
    found = json.loads(command.run("jobs", "status", small, "--json").stdout)
    assert [entry["state"] for entry in found] == ["done", "done", "waiting"]
    last = small_runs.history(Path(), Path("runs/small/seed1"))[-1]
    assert found[0]["iteration"] == found[0]["max_iter"] == 24
    assert found[0]["val_accuracy"] == last["val_accuracy"]
    assert found[2]["iteration"] is None and found[2]["run"] == "runs/small/seed3"
    text = command.run("jobs", "status", small).stdout
    assert text.splitlines()[-1] == "2 done, 1 waiting"
    (Path("runs/small/seed1/run.json")).write_text("{")
    broken = json.loads(command.run("jobs", "status", small, "--json").stdout)
    assert "run.json" in broken[0]["message"] and broken[1]["state"] == "done"


def test_time_left_follows_from_the_last_records(small: Path) -> None:
    create("--seeds", "1", "--no-evaluate")
    run = Path("runs/small/seed1")
    run.mkdir(parents=True)
    records = [{"iteration": n, "seconds": 0.5 * n} for n in range(0, 101, 10)]
    (run / "history.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    state = {"state": "stopped", "iteration": 100, "max_iter": 300, "message": "stopped by SIGHUP"}
    (run / "run.json").write_text(json.dumps(state))
    (found,) = json.loads(command.run("jobs", "status", small, "--json").stdout)
    assert found["state"] == "stopped" and found["message"] == "stopped by SIGHUP"
    assert found["seconds_left"] == pytest.approx(200 * 0.5)


@pytest.mark.parametrize("with_list", [True, False])
def test_a_diverged_run_is_shown_as_diverged(small: Path, with_list: bool) -> None:
    create("--seeds", "1", "--no-evaluate")
    run = Path("runs/small/seed1")
    if with_list:
        end(small, read(small).jobs[0], 1)
    run.mkdir(parents=True)
    state = {"state": "diverged", "max_iter": 300, "message": "the training loss is not finite"}
    (run / "run.json").write_text(json.dumps(state))
    (found,) = json.loads(command.run("jobs", "status", small, "--json").stdout)
    assert (found["state"], found["message"]) == ("diverged", "the training loss is not finite")
    assert command.run("jobs", "status", small).stdout.splitlines()[-1] == "1 diverged"


def test_a_run_begun_without_the_list_runs_while_its_lock_is_held(small: Path) -> None:
    create("--seeds", "1", "--no-evaluate")
    run = RunPaths(Path("runs/small/seed1"))
    Path(run.root).mkdir(parents=True)
    for host, held, state in (
        (socket.gethostname(), True, "running"),
        (socket.gethostname(), False, "stopped"),
        ("far", False, "running"),  # its lock may not be visible here
    ):
        run.run_json.write_text(json.dumps({"state": "running", "host": host, "pid": 7}))
        with lock.hold(run) if held else contextlib.nullcontext():
            (found,) = job_status.statuses(small)
        assert found.state == state and f"process 7 on {host}" in found.message
