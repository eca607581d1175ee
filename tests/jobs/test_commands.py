"""The message of a job follows from how its commands ended."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

from tinynet.jobs.commands import Commands
from tinynet.jobs.job_list import Job
from tinynet.jobs.slots import Slot
from tinynet.jobs.states import STOPPED_STATUS


def begun(folder: Path, output: str) -> Commands:
    """A job without a started process, whose log holds ``output``."""
    claim: Any = None
    job = Job("one", (("train",),))
    commands = Commands(job, claim, Slot("core 0", (), {}), folder, folder / "log", print)
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
