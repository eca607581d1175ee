"""One runner per job, whatever the others do and however one ends."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.jobs.test_job_list import end, job
from tinynet.jobs import attempts, claims, states
from tinynet.jobs.additions import add_jobs
from tinynet.jobs.claims import claim
from tinynet.jobs.job_list import read

ROOT = Path(__file__).parents[2]


def state(folder: Path) -> str:
    return states.states(folder)["a"].name


def test_a_job_is_done_once(folder: Path) -> None:
    add_jobs(folder, [job("a")])
    first = claim(folder, job("a"), read(folder))
    assert first is not None and state(folder) == "running"
    assert claim(folder, job("a"), read(folder)) is None
    first.finish(0)
    assert state(folder) == "done"
    assert claim(folder, job("a"), read(folder), again=True) is None


def test_a_failed_job_is_taken_again_only_when_asked(folder: Path) -> None:
    add_jobs(folder, [job("a")])
    end(folder, job("a"), 3, "no luck")
    found = states.states(folder)["a"]
    assert (found.name, found.message) == ("failed", "no luck")
    assert found.attempt is not None and found.attempt.status == 3
    assert claim(folder, job("a"), read(folder)) is None
    second = claim(folder, job("a"), read(folder), again=True)
    assert second is not None and second.number == 2
    second.finish(0)


def test_a_job_whose_run_was_removed_waits_again(folder: Path) -> None:
    with_run = job("a")
    with_run = type(with_run)("a", with_run.commands, Path("runs/x"))
    add_jobs(folder, [with_run])
    Path("runs/x").mkdir(parents=True)
    end(folder, with_run, 0)
    assert state(folder) == "done"
    Path("runs/x").rmdir()
    assert state(folder) == "waiting"


def test_a_job_that_leaves_a_file_is_done_while_that_is_there_with_or_without_its_run(
    folder: Path,
) -> None:
    leaving = replace(job("a"), run=Path("runs/x"), leaves=Path("results/x/scores.json"))
    add_jobs(folder, [leaving])
    Path("results/x").mkdir(parents=True)
    Path("results/x/scores.json").write_text("{}")
    end(folder, leaving, 0)
    assert state(folder) == "done"
    Path("results/x/scores.json").unlink()
    found = states.states(folder)["a"]
    assert found.name == "waiting" and found.message == f"{leaving.leaves} has been removed"


CLAIMER = """
import sys, os, time
from pathlib import Path
from tinynet.jobs.claims import claim
from tinynet.jobs.job_list import read
folder = Path(sys.argv[1])
found = read(folder)
while not Path(sys.argv[2]).exists():
    pass
taken = []
for job in found.jobs:
    held = claim(folder, job, found)
    if held is not None:
        taken.append(job.name)
        held.finish(0)
print(*taken)
"""


def test_of_many_starters_exactly_one_gets_each_job(folder: Path) -> None:
    names = [f"job{n}" for n in range(40)]
    add_jobs(folder, [job(name) for name in names])
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CLAIMER, str(folder), "go"],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(5)
    ]
    time.sleep(0.5)
    Path("go").touch()
    taken = [child.communicate()[0].split() for child in children]
    assert sorted(name for some in taken for name in some) == sorted(names)
    attempts_made = [len(list((folder / "attempts" / name).glob("*.json"))) for name in names]
    assert attempts_made == [1] * len(names)


HOLDER = """
import sys, subprocess, time
from pathlib import Path
from tinynet.jobs.claims import claim
from tinynet.jobs.job_list import read
folder = Path(sys.argv[1])
found = read(folder)
held = claim(folder, found["a"], found)
child = subprocess.Popen(["sleep", "60"], pass_fds=(held.descriptor,))
print(child.pid, flush=True)
time.sleep(60)
"""


def test_a_killed_starter_lets_go_when_its_command_is_gone_too(folder: Path) -> None:
    add_jobs(folder, [job("a")])
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    command = int(holder.stdout.readline())
    holder.kill()
    holder.wait()
    assert state(folder) == "running", "its command still runs"
    assert claim(folder, job("a"), read(folder)) is None
    os.kill(command, signal.SIGKILL)
    while state(folder) == "running":
        time.sleep(0.02)
    found = states.states(folder)["a"]
    assert found.name == "stopped" and f"process {holder.pid}" in found.message
    second = claim(folder, job("a"), read(folder))
    assert second is not None and second.number == 2
    second.finish(0)


def from_elsewhere(folder: Path, seconds_ago: float) -> Path:
    """An attempt that another machine, whose lock is not seen here, has begun."""
    taken = claim(folder, job("a"), read(folder))
    assert taken is not None
    os.close(taken.descriptor)
    path = folder / "attempts/a/0001.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "host": "far", "boot": "other"}))
    then = time.time() - seconds_ago
    os.utime(path, (then, then))
    return path


@pytest.mark.parametrize(("seconds", "alive"), [(10, True), (attempts.STALE_SECONDS + 10, False)])
def test_another_machines_starter_lives_as_long_as_its_heart_beats(
    folder: Path,
    seconds: float,
    alive: bool,
) -> None:
    add_jobs(folder, [job("a")])
    from_elsewhere(folder, seconds)
    assert (state(folder) == "running") is alive
    taken = claim(folder, job("a"), read(folder))
    assert (taken is None) is alive
    if taken is not None:
        taken.finish(0)


def test_who_was_taken_for_dead_finds_out_and_does_not_overwrite(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(claims, "HEARTBEAT_SECONDS", 0.0)
    add_jobs(folder, [job("a")])
    first = claim(folder, job("a"), read(folder))
    assert first is not None and first.beat()
    (folder / "attempts/a/0002.json").write_text("{}")  # by a machine that sees no lock of ours
    assert not first.beat()
    before = (folder / "attempts/a/0001.json").read_bytes()
    first.finish(0)
    assert (folder / "attempts/a/0001.json").read_bytes() == before
    assert state(folder) != "done"


def test_a_heartbeat_shows_in_the_attempts_time(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(claims, "HEARTBEAT_SECONDS", 0.0)
    add_jobs(folder, [job("a")])
    taken = claim(folder, job("a"), read(folder))
    assert taken is not None
    path = folder / "attempts/a/0001.json"
    os.utime(path, (1, 1))
    assert taken.beat() and path.stat().st_mtime > 1
    taken.finish(75)


def test_without_any_locks_the_attempt_files_alone_decide(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(attempts, "try_lock", lambda descriptor, kind: None)
    monkeypatch.setattr(claims, "try_lock", lambda descriptor, kind: None)
    add_jobs(folder, [job("a")])
    first = claim(folder, job("a"), read(folder))
    assert first is not None
    assert state(folder) == "running" and claim(folder, job("a"), read(folder)) is None
    path = folder / "attempts/a/0001.json"
    then = time.time() - attempts.STALE_SECONDS - 1
    os.utime(path, (then, then))
    assert state(folder) == "stopped"
    first.finish(75)


def test_a_claim_that_a_full_disk_cuts_short_leaves_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    add_jobs(folder, [job("a")])
    with monkeypatch.context() as patch:
        patch.setattr(claims.os, "fsync", full)
        with pytest.raises(OSError, match="No space left.*0001.json"):
            claim(folder, job("a"), read(folder))
    assert state(folder) == "waiting"
    taken = claim(folder, job("a"), read(folder))
    assert taken is not None and taken.number == 1
    taken.finish(0)


def test_an_attempt_file_that_was_cut_off_counts_as_begun(folder: Path) -> None:
    add_jobs(folder, [job("a")])
    path = from_elsewhere(folder, attempts.STALE_SECONDS + 10)
    path.write_bytes(b"{")
    assert state(folder) == "running"  # just written: its maker may live
    then = time.time() - attempts.STALE_SECONDS - 1
    os.utime(path, (then, then))
    assert state(folder) == "stopped"
    taken = claim(folder, job("a"), read(folder))
    assert taken is not None and taken.number == 2
    taken.finish(0)
