"""Runs the commands of one job, one after the other, each in a process of its own."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
from pathlib import Path
from typing import IO

from tinynet import control_groups
from tinynet.engine import signals
from tinynet.engine.failures import who_killed
from tinynet.errors import os_error_message
from tinynet.jobs import children
from tinynet.jobs.claims import Claim
from tinynet.jobs.job_list import Job
from tinynet.jobs.slots import Slot
from tinynet.jobs.states import STOPPED_STATUS
from tinynet.run.record import now

# commands that take --gpu N and --cpu
_ON_A_DEVICE = ("train", "evaluate", "ensemble", "predict")
_LONGEST_MESSAGE = 400


class Commands:
    """Runs a claimed job from its first command to its last."""

    def __init__(
        self,
        job: Job,
        claim: Claim,
        slot: Slot,
        directory: Path,
        log: Path,
    ) -> None:
        self.job = job
        self.claim = claim
        self.slot = slot
        self._directory = directory
        log.parent.mkdir(parents=True, exist_ok=True)
        # unbuffered: what a full disk refuses is lost then, and not tried again at every write
        self._log: IO[bytes] = log.open("ab", buffering=0)
        self._from = 0  # where the current command's output starts in the log
        self._number = 0
        self._stopped_by: str | None = None  # the signal that we sent
        self._ended_by: str | None = None  # the signal that ended the command
        self._kills_before = control_groups.killed_for_memory()
        self._process: subprocess.Popen[bytes] | None = None

    def start_next(self) -> int | None:
        """Start the first or next command; if that fails, return the job's exit status."""
        arguments = with_device(self.job.commands[self._number], self._device())
        self._write(f"{now()} on {self.slot.label}\n$ tinynet {shlex.join(arguments)}\n")
        self._from = self._log.tell()
        try:
            self._process = children.start(
                arguments,
                self._log,
                directory=self._directory,
                environment=self.slot.environment,
                descriptors=(self.claim.descriptor, *self.slot.descriptors),
            )
        except OSError as error:
            self._write(f"tinynet: cannot start: {os_error_message(error)}\n")
            return 1
        return None

    def _device(self) -> tuple[str, ...]:
        """The options that give the current command its device."""
        is_together = self.job.solvers > 1 and self.job.commands[self._number][0] == "train"
        return (self.slot.together if is_together else ()) or self.slot.arguments

    def poll(self) -> int | None:
        """Start the next command if one has ended; return the job's exit status once it is over."""
        assert self._process is not None
        status = self._process.poll()
        if status is None:
            return None
        # A signal may have ended it while it started, before it could set a status of its own.  If
        # a batch system signals all processes, that is before we pass a signal on.
        number = -status if status < 0 else status - 128
        if number in signals.STOP or (self._stopped_by is not None and number > 0):
            self._ended_by = signal.Signals(number).name if number in signals.STOP else None
            status = STOPPED_STATUS
        self._number += 1
        if status == 0 and self._number < len(self.job.commands):
            if self._stopped_by is not None:
                return STOPPED_STATUS
            return self.start_next()
        return status

    def send(self, number: int) -> None:
        """Send a signal to the running command, after which the job ends."""
        self._stopped_by = signal.Signals(number).name
        if self._process is not None:
            self._process.send_signal(number)

    @property
    def told_to_stop(self) -> bool:
        return self._stopped_by is not None

    def stop(self) -> None:
        """Stop the running command, and wait until it is gone."""
        self.send(signal.SIGTERM)
        if self._process is not None:
            self._process.wait()

    def message(self, status: int) -> str:
        """Why a job ended with ``status``: its last line of output, if there is one."""
        if status == 0:
            return ""
        last = last_line(Path(self._log.name), self._from)
        if status == -signal.SIGKILL:  # the command had no time for a last line
            return f"ended by SIGKILL{who_killed(self._kills_before)}"
        if status < 0:
            name = signal.Signals(-status).name if -status in set(signal.Signals) else str(-status)
            last = f"ended by {name}" + (f": {last}" if last else "")
        if self._ended_by is not None:
            last = f"ended by {self._ended_by}"
        elif not last and self._stopped_by is not None:
            last = f"stopped by {self._stopped_by}"
        return last or f"exit status {status}"

    def close(self) -> None:
        self._log.close()

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError):  # a full disk: the command itself will report it
            self._log.write(text.encode("utf-8", "replace"))


def last_line(log: Path, start: int) -> str:
    """The last line that is not blank after byte ``start`` of a log; "" if there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(start, os.fstat(file.fileno()).st_size - 4096))
            lines = file.read().decode("utf-8", "replace").split("\n")
    except OSError:
        return ""
    lines = [line.strip() for line in lines if line.strip()]
    return lines[-1].removeprefix("tinynet: ")[:_LONGEST_MESSAGE] if lines else ""


def with_device(command: tuple[str, ...], device: tuple[str, ...]) -> tuple[str, ...]:
    """Add the runner's ``--gpu N`` or ``--cpu`` to a command that takes one and names none."""
    named = any(word.partition("=")[0] in ("--gpu", "--gpus", "--cpu") for word in command)
    return command if named or command[0] not in _ON_A_DEVICE else (*command, *device)
