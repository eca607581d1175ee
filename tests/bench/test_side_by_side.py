"""Trainings side by side, measured as one contestant, and lists of jobs."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from tests.cli.command import run
from tests.run import small_runs
from tinynet.bench import side_by_side
from tinynet.bench.bench import Bench
from tinynet.bench.workers import Workers
from tinynet.cli import bench as cli
from tinynet.dataset.paths import DataPaths
from tinynet.engine import discovery
from tinynet.jobs import slots


def test_a_round_of_two_trainings_counts_both_ones_images_and_the_slower_ones_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_runs.write_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    work = ["bench", "train", "--solver=small/solver.prototxt"]
    both = Workers(discovery.find_torch(), [work] * 2, threads=1)
    try:
        assert both.wait_for("ready") is not None, both.fault()
        assert both.send(b"3\n")
        found = both.wait_for("round")
        assert found is not None and found["items"] == 2 * 3 * 10
        assert found["seconds"] > 0
    finally:
        both.close()
    missing = Workers(
        discovery.find_torch(), [["bench", "train", "--solver=none.prototxt"]] * 2, threads=1
    )
    assert missing.wait_for("ready") is None
    assert "none.prototxt" in missing.fault()


def test_the_slowest_decides_how_long_a_round_took() -> None:
    class Worker:
        def __init__(self, seconds: float) -> None:
            self.seconds = seconds

        def wait_for(self, kind: str) -> dict[str, Any]:
            return {"event": kind, "items": 10, "seconds": self.seconds}

    both = Workers.__new__(Workers)
    both._workers = [Worker(2.0), Worker(5.0)]  # type: ignore[list-item]
    assert both.wait_for("round") == {"event": "round", "items": 20, "seconds": 5.0}


@pytest.mark.parametrize(("at_once", "each"), [(1, 4), (2, 2), (3, 1), (4, 1), (6, 1)])
def test_each_training_has_the_threads_that_jobs_local_would_give_it(
    at_once: int, each: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots, "usable_cores", lambda: 4)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert side_by_side.threads(at_once) == each


def _bench(scratch: Path) -> Bench:
    made = Bench(scratch, scratch, 2, True, None, None, lambda _: None)
    made.__dict__["data"] = DataPaths(scratch)  # already there
    return made


def test_job_lists_are_timed_to_their_end_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []
    clock = [0.0]

    def jobs(*arguments: str | Path) -> None:
        asked.append([str(word) for word in arguments])
        if arguments[0] == "local":
            clock[0] += 40.0 if "--processes=1" in arguments else 30.0

    monkeypatch.setattr(side_by_side, "_tinynet_jobs", jobs)
    monkeypatch.setattr(side_by_side, "stage_files", lambda *_, **__: None)
    monkeypatch.setattr(side_by_side.time, "perf_counter", lambda: clock[0])
    one, several = side_by_side.jobs(_bench(tmp_path), 3)
    assert one.rates == [4 / 40] * 2 and several.rates == pytest.approx([4 / 30] * 2)
    assert cli._ratio(several, [one, several]) == pytest.approx(4 / 3)
    created = [words for words in asked if words[0] == "create"]
    assert len({words[1] for words in created}) == 4  # a new list each time
    assert all("--seeds=1-4" in w and "--train=--max-iter 3" in w for w in created)
    here = {"processor": "P", "cores": 2, "instructions": [], "gpu": ""}
    table = " ".join(cli._table([one, several], here).split())
    assert "10.00 s/job 10.00 to 10.00" in table and "1.33 x one after another" in table


def test_a_failing_job_list_is_skipped_with_its_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def jobs(*arguments: str | Path) -> None:
        if "--processes=2" in arguments:
            errors = b"first\nError: the disk is full\n"
            raise subprocess.CalledProcessError(1, "jobs", stderr=errors)

    monkeypatch.setattr(side_by_side, "_tinynet_jobs", jobs)
    monkeypatch.setattr(side_by_side, "stage_files", lambda *_, **__: None)
    one, several = side_by_side.jobs(_bench(tmp_path), 3)
    assert len(one.rates) == 2
    assert several.rates == [] and several.skipped == "Error: the disk is full"


def test_fewer_than_two_at_once_is_wrong_use() -> None:
    done = run("bench", "--only", "jobs", "--processes", "1")
    assert done.status == 2 and "--processes" in done.stderr


@pytest.mark.long  # six trainings of stage 7
def test_the_command_measures_real_trainings_and_real_lists() -> None:
    done = run("bench", "--only", "jobs", "--quick", "--json")
    assert done.status == 0, done.stderr
    rows = json.loads(done.stdout)["rows"]
    assert [row["unit"] for row in rows] == ["img/s"] * 2 + ["job/s"] * 2
    assert all(row["median"] > 0 for row in rows)
    assert rows[1]["ratio"] > 0 and rows[3]["ratio"] > 0
