"""Starts ``tinynet`` commands as children of a runner, which stop when the runner is killed."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from tinynet import launcher
from tinynet.engine import autogroup, signals

# run by its path: `-m` would import modules from the working directory, a user's random.py, say
PACKAGE = Path(__file__).resolve().parents[1]
_PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None)  # loaded before the fork: between fork and exec a child should do little


def start(
    arguments: Sequence[str],
    log: IO[bytes] | None,
    *,
    directory: Path | None = None,
    environment: Mapping[str, str] | None = None,
    descriptors: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start ``tinynet ARGUMENTS``; its output goes to ``log`` (None: to our own stdout and stderr).

    ``environment``: variables besides ours.  ``descriptors``: open files that it inherits, with the
    locks on them.  Raises OSError.
    """
    child = subprocess.Popen(
        [sys.executable, os.fspath(PACKAGE), *arguments],
        cwd=directory,
        # under srun or torchrun we may be one of several runners, but a command is a job of its own
        env={**launcher.environment_of_no_rank(), **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=None if log is None else subprocess.STDOUT,
        # a terminal's Ctrl-C then reaches only us, and we pass it on to each command once
        start_new_session=True,
        pass_fds=tuple(descriptors),
        preexec_fn=_in_child(os.getpid()),
    )
    autogroup.follow_nice(child.pid)
    return child


def _in_child(parent: int) -> Callable[[], None]:
    """Return the function that a command's process runs between fork and exec."""

    def prepare() -> None:
        # if the runner is killed, its commands get a SIGTERM; they stop with a snapshot as on any
        # SIGTERM, and hold the locks until then (only on Linux; elsewhere they continue)
        with contextlib.suppress(AttributeError):
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGTERM)
        # bash ignores some for its background processes; SIGHUP stays ignored, by nohup
        for number in (signal.SIGINT, signal.SIGTERM, *signals.WARNINGS):
            signal.signal(number, signal.SIG_DFL)

    return prepare
