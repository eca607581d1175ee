"""Each job has one runner at a time, whatever others do and however a runner ends."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.jobs.test_job_list import end, job
from tinynet import files
from tinynet.jobs import states
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


def test_a_job_with_a_result_file_is_done_while_the_file_exists(folder: Path) -> None:
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


def test_each_job_is_claimed_by_exactly_one_of_many_runners(folder: Path) -> None:
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
    claimed = [child.communicate()[0].split() for child in children]
    assert sorted(name for some in claimed for name in some) == sorted(names)
    made = states.states(folder).values()
    assert [s.attempt and s.attempt.number for s in made] == [1] * len(names)


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


def test_the_job_of_a_killed_runner_is_free_once_its_command_has_ended(folder: Path) -> None:
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
    deadline = time.monotonic() + 60
    while state(folder) == "running":
        assert time.monotonic() < deadline, "the killed command still holds the job's lock"
        time.sleep(0.02)
    found = states.states(folder)["a"]
    assert found.name == "stopped" and f"process {holder.pid}" in found.message
    second = claim(folder, job("a"), read(folder))
    assert second is not None and second.number == 2
    second.finish(0)


def test_a_file_system_without_locks_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int, kind: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    add_jobs(folder, [job("a")])
    monkeypatch.setattr(files.fcntl, "flock", refuse)
    with pytest.raises(OSError, match="No locks available.*a.lock"):
        claim(folder, job("a"), read(folder))


def test_a_claim_that_fails_on_a_full_disk_leaves_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    add_jobs(folder, [job("a")])
    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fsync", full)
        with pytest.raises(OSError, match="No space left.*states/a.json"):
            claim(folder, job("a"), read(folder))
    assert state(folder) == "waiting"
    claimed = claim(folder, job("a"), read(folder))
    assert claimed is not None and claimed.number == 1
    claimed.finish(0)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"number": "x"}', b'{"ended": 3}'])
def test_a_job_with_a_damaged_state_file_counts_as_begun(folder: Path, data: bytes) -> None:
    add_jobs(folder, [job("a")])
    (folder / "states").mkdir()
    (folder / "states/a.json").write_bytes(data)
    assert state(folder) == "stopped"
    claimed = claim(folder, job("a"), read(folder))
    assert claimed is not None and claimed.number == 2
    claimed.finish(0)
