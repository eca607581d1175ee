"""The message of a job follows from how its commands ended."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tinynet.jobs import children
from tinynet.jobs.commands import Commands
from tinynet.jobs.job_list import Job
from tinynet.jobs.slots import Slot
from tinynet.jobs.states import STOPPED_STATUS


def begun(folder: Path, output: str) -> Commands:
    """A job without a started process, whose log holds ``output``."""
    claim: Any = None
    job = Job("one", (("train",),))
    commands = Commands(job, claim, Slot("core 0", (), {}), folder, folder / "log")
    (folder / "log").write_text(output)
    return commands


def test_the_last_line_of_a_command_is_the_message_of_the_job(tmp_path: Path) -> None:
    assert begun(tmp_path, "first\ntinynet: the disk is full\n").message(1) == "the disk is full"
    assert begun(tmp_path, "").message(3) == "exit status 3"
    assert begun(tmp_path, "").message(0) == ""


def test_a_stopped_command_without_output_counts_as_stopped(tmp_path: Path) -> None:
    commands = begun(tmp_path, "")
    commands.send(signal.SIGTERM)
    assert commands.message(STOPPED_STATUS) == "stopped by SIGTERM"
    assert commands.message(-signal.SIGTERM) == "ended by SIGTERM"


@pytest.mark.parametrize(
    ("number", "sent", "status"),
    [
        (signal.SIGTERM, False, STOPPED_STATUS),
        (signal.SIGUSR2, False, STOPPED_STATUS),
        (signal.SIGKILL, False, -signal.SIGKILL),
        (signal.SIGKILL, True, STOPPED_STATUS),
    ],
)
def test_a_command_that_a_stop_signal_ends_is_stopped_whoever_sent_it(
    tmp_path: Path, number: int, sent: bool, status: int
) -> None:
    """A batch system signals all processes at once: the command may end before we pass it on."""
    commands = begun(tmp_path, "")
    commands._process = process = subprocess.Popen(["sleep", "60"])
    if sent:
        commands._stopped_by = "SIGTERM"
    process.send_signal(number)
    process.wait()
    assert commands.poll() == status
    assert commands.told_to_stop == sent
    if number in (signal.SIGTERM, signal.SIGUSR2):
        assert commands.message(status) == f"ended by {signal.Signals(number).name}"


def test_a_job_of_a_runner_that_srun_has_started_is_no_rank(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SLURM_PROCID", "RANK"):
        monkeypatch.setenv(name, "1")
    for name in ("SLURM_STEP_NUM_TASKS", "WORLD_SIZE"):
        monkeypatch.setenv(name, "2")
    with open(tmp_path / "log", "wb") as log:
        child = children.start(["train", "none.prototxt", "--cpu"], log, directory=tmp_path)
        status = child.wait(60)
    # as without srun; a rank would wait for its rank 0
    assert status == 2 and "none.prototxt: no such solver" in (tmp_path / "log").read_text()


def test_a_full_disk_takes_no_log_and_ends_nothing(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w") as lock:
        claim: Any = SimpleNamespace(descriptor=lock.fileno())
        job, slot = Job("one", (("stages",),)), Slot("core 0", (), {})
        commands = Commands(job, claim, slot, tmp_path, Path("/dev/full"))
        assert commands.start_next() is None
        commands.stop()
        commands.close()
