"""Runners on this machine: which jobs they begin, in which order, and the outcome."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from tests.jobs.small_lists import job, state_names
from tinynet import files
from tinynet.errors import StoppedEarly, TinynetError, UsageError
from tinynet.jobs import local, states
from tinynet.jobs.additions import add_jobs
from tinynet.jobs.job_list import Job, JobList, ListPaths
from tinynet.jobs.slots import SingleSlot, shares_of_cores


def test_a_failed_job_is_reported_and_blocks_only_its_dependents(folder: Path) -> None:
    first = Job('it\'s "$(first)"', (("stages",), ("diff", "1", "2")))
    add_jobs(
        folder,
        [
            first,
            job("fails", "stages", "--stage", "99"),
            job("blocked", "stages", after=("fails",)),
            job("unknown", "no such command"),
            job("last", "stages", after=(first.name,)),
        ],
    )
    messages: list[str] = []
    report = local.run(folder, shares_of_cores(2), messages.append)
    assert state_names(folder) == {
        first.name: "done",
        "fails": "failed",
        "blocked": "waiting",
        "unknown": "failed",
        "last": "done",
    }
    assert report.blocked == {"blocked": ["fails"]}
    assert "no command 'no such command'" in report.states["unknown"].message
    with pytest.raises(TinynetError, match="2 jobs .fails, unknown. failed.*could not begin"):
        report.require_complete(folder)
    log = (folder / "logs" / f"{first.name}.log").read_text()
    assert log.index("$ tinynet stages") < log.index("$ tinynet diff 1 2")
    assert log.index("stage1_simple") < log.index("$ tinynet diff 1 2") < log.index("+++")
    again = local.run(folder, shares_of_cores(2), messages.append)
    assert again.begun == [], "something was done twice"
    add_jobs(folder, [job("fails", "stages"), job("unknown", "stages")])
    assert local.run(folder, shares_of_cores(2), messages.append).complete


def test_no_file_of_the_working_directory_is_imported_as_a_module(folder: Path) -> None:
    """A user's random.py, for example, does not disturb the training itself either."""
    for name in ("random", "queue", "tinynet", "click"):
        Path(f"{name}.py").write_text("raise SystemExit('a file of the user')\n")
    add_jobs(folder, [job("a", "stages")])
    assert local.run(folder, shares_of_cores(1), print).complete


def test_a_failed_job_is_retried_once_on_request(folder: Path) -> None:
    add_jobs(folder, [job("fails", "stages", "--stage", "99")])
    for _ in range(2):
        local.run(folder, shares_of_cores(1), print, again=True)
    assert states.states(folder)["fails"].attempt.number == 2  # type: ignore[union-attr]


def test_a_job_that_exits_0_without_its_result_file_has_failed(folder: Path) -> None:
    add_jobs(folder, [Job("a", (("stages",),), leaves=Path("scores.json"))])
    report = local.run(folder, shares_of_cores(1), print, again=True)
    assert report.states["a"].message == "succeeded, but scores.json does not exist"
    assert states.states(folder)["a"].attempt.number == 1  # type: ignore[union-attr]


def test_named_jobs_are_done_without_the_others(folder: Path) -> None:
    add_jobs(folder, [job("a", "stages"), job("b", "stages"), job("c", "stages", after=("a",))])
    report = local.run(folder, SingleSlot(None, True, None), print, only=["c"])
    assert report.blocked == {"c": ["a"]} and state_names(folder)["a"] == "waiting"
    assert local.run(folder, SingleSlot(None, True, None), print, only=["b"]).complete
    assert state_names(folder) == {"a": "waiting", "b": "done", "c": "waiting"}
    with pytest.raises(UsageError, match="no job 'd' in the list; the jobs are a, b, c"):
        local.run(folder, SingleSlot(None, True, None), print, only=["d"])


def test_named_jobs_are_done_in_the_order_in_which_they_are_named(folder: Path) -> None:
    add_jobs(folder, [job("a", "stages"), job("b", "stages"), job("c", "stages")])
    report = local.run(folder, shares_of_cores(1), print, only=["c", "a", "c"])
    assert report.begun == ["c", "a"] and report.complete


def test_an_array_task_reads_only_its_own_jobs_state_and_not_while_it_runs(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a thousand array tasks would each read a thousand files every few seconds."""
    add_jobs(folder, [job(name, "stages") for name in ("a", "b", "c")])
    looked_at: list[str] = []
    state = states.state

    def noted(folder: Path, of: Job, found: JobList) -> states.State:
        looked_at.append(of.name)
        return state(folder, of, found)

    monkeypatch.setattr(states, "state", noted)
    monkeypatch.setattr(local, "_LOOK_SECONDS", 0.0)
    assert local.run(folder, SingleSlot(None, True, None), print, only=["b"]).complete
    assert looked_at == ["b"] * 3  # before it begins, when it has ended, and for the report


def test_a_temporarily_unreadable_list_ends_no_running_job(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_jobs(folder, [job("a", "stages")])
    read = local.read

    def read_between_jobs(path: Path) -> JobList:
        if states.states(path)["a"].name == states.RUNNING:
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        return read(path)

    monkeypatch.setattr(local, "read", read_between_jobs)
    monkeypatch.setattr(local, "_LOOK_SECONDS", 0.0)
    monkeypatch.setattr(local, "_TICK_SECONDS", 0.01)  # it looks while the job runs
    messages: list[str] = []
    assert local.run(folder, shares_of_cores(2), messages.append).complete
    assert [line for line in messages if "Input/output" in line] == [
        f"{folder}: Input/output error; what runs is not ended for that"
    ]


def test_a_state_that_cannot_be_written_ends_no_other_job_and_is_written_later(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_jobs(folder, [job("a", "stages"), job("b", "stages")])
    full, write = [True], files.write_json

    def write_json(path: Path, content: Any) -> None:
        if full[0] and path.name == "a.json" and content.ended:
            full[0] = False
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        write(path, content)

    monkeypatch.setattr(files, "write_json", write_json)
    messages: list[str] = []
    report = local.run(folder, shares_of_cores(1), messages.append)
    assert report.complete and sorted(report.begun) == ["a", "a", "b"]
    assert any("a: how it ended cannot be written" in line for line in messages)


def test_a_job_whose_log_cannot_be_opened_is_given_back(folder: Path) -> None:
    add_jobs(folder, [job("a", "stages")])
    log = ListPaths(folder).log("a")
    log.mkdir(parents=True)
    slots = shares_of_cores(1)
    with pytest.raises(OSError, match=r"a\.log"):
        local.run(folder, slots, print)
    assert not slots.are_taken() and not files.is_locked(ListPaths(folder).lock("a"))
    log.rmdir()
    assert local.run(folder, slots, print).complete


def test_a_job_too_long_for_the_time_left_is_skipped_and_shorter_ones_begin(folder: Path) -> None:
    add_jobs(folder, [job("a", "stages"), job("long", "stages"), job("b", "stages")])
    report = local.run(folder, shares_of_cores(1), print, fits=lambda job: job.name != "long")
    assert report.begun == ["a", "b"] and report.too_long == ["long"]
    assert state_names(folder) == {"a": "done", "long": "waiting", "b": "done"}
    with pytest.raises(StoppedEarly, match="job long would not have ended in the time given"):
        report.require_complete(folder)
    again = local.run(folder, shares_of_cores(1), print, fits=lambda job: True)
    assert again.begun == ["long"] and again.complete


def test_the_threads_of_a_job_follow_from_its_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    three = shares_of_cores(3, cores=8)
    slots = [three.take() for _ in range(4)]
    assert slots[3] is None
    assert [p.environment["OMP_NUM_THREADS"] for p in slots if p] == ["2", "2", "2"]
    two = shares_of_cores(2, leave_free=2, cores=6)
    labels = {p.label: p.environment["OMP_NUM_THREADS"] for p in (two.take(), two.take()) if p}
    assert labels == {"CPU share 1 of 2": "2", "CPU share 2 of 2": "2"}
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    asked_for_less = shares_of_cores(1, cores=8).take()
    assert asked_for_less is not None and asked_for_less.environment["OMP_NUM_THREADS"] == "1"


def test_a_command_is_told_its_device_unless_it_names_one(folder: Path) -> None:
    add_jobs(folder, [job("a", "train", "none.prototxt"), job("b", "train", "none", "--cpu")])
    local.run(folder, shares_of_cores(1), print)
    log = (folder / "logs/a.log").read_text()
    assert "on CPU share 1 of 1\n$ tinynet train none.prototxt --cpu\n" in log
    assert "$ tinynet train none --cpu\n" in (folder / "logs/b.log").read_text()


def test_a_slot_lent_for_several_solvers_is_one_gpu_again_for_the_next_job() -> None:
    slots = SingleSlot(0, cpu=False, threads=None)
    pair = slots.take(2)
    assert pair is not None and pair.label == "GPU 0,1"
    slots.give_back(pair)
    one = slots.take()
    assert one is not None and (one.label, one.arguments) == ("GPU 0", ("--gpu", "0"))


def test_earlier_failures_are_reported_with_the_option_that_retries_them() -> None:
    failed = {"a": states.State(states.FAILED, "no data")}
    with pytest.raises(TinynetError, match="a: no data.*; --retry begins"):
        local.JobsReport(failed, {}, []).require_complete(Path("list"))
    with pytest.raises(TinynetError) as caught:
        local.JobsReport(failed, {}, ["a"]).require_complete(Path("list"))
    assert "--retry" not in str(caught.value)


def test_a_stop_before_any_job_ends_is_not_a_failure() -> None:
    report = local.JobsReport({"a": states.State(states.STOPPED)}, {}, [], None)
    with pytest.raises(StoppedEarly, match="job a stopped"):
        report.require_complete(Path("x"))


def test_a_stop_is_not_a_failure_though_other_jobs_wait_for_the_stopped_one() -> None:
    found = {"a": states.State(states.STOPPED), "average": states.State(states.WAITING)}
    report = local.JobsReport(found, {"average": ["a"]}, ["a"])
    with pytest.raises(StoppedEarly, match="job a stopped; the same command resumes it"):
        report.require_complete(Path("x"))
