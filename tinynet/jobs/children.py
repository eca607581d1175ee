"""``tinynet`` commands as processes of a runner: they stop when it is told to, or is gone."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO

from tinynet.engine import autogroup, signals

# run by its path, not as a module: `-m` would take what lies in the working directory for modules,
# a user's random.py, say
PACKAGE = Path(__file__).resolve().parents[1]
_PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None)  # found before the fork: a child between fork and exec should do little


def start(
    arguments: Sequence[str],
    log: IO[bytes] | None,
    *,
    directory: Path | None = None,
    environment: Mapping[str, str] | None = None,
    descriptors: Sequence[int] = (),
    cores: Collection[int] = (),
) -> subprocess.Popen[bytes]:
    """Start ``tinynet ARGUMENTS``, whose output goes to ``log`` (None: to where ours does).

    Raises OSError.

    ``environment``: variables besides ours.  ``descriptors``: files that it keeps open, and the
    locks on them.  ``cores``: the only ones that it may use; () leaves it ours.
    """
    child = subprocess.Popen(
        [sys.executable, os.fspath(PACKAGE), *arguments],
        cwd=directory,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=None if log is None else subprocess.STDOUT,
        # a terminal's Ctrl-C comes to us alone, and once to each command from us
        start_new_session=True,
        pass_fds=tuple(descriptors),
        preexec_fn=_in_child(cores, os.getpid()),
    )
    autogroup.follow_nice(child.pid)
    return child


def _in_child(cores: Collection[int], parent: int) -> Callable[[], None]:
    """What a command's process does before it becomes the command."""

    def prepare() -> None:
        # a runner that is killed by force takes its commands along; they stop as they do on any
        # SIGTERM, with a snapshot, and hold the locks until then (Linux; elsewhere they continue)
        with contextlib.suppress(AttributeError):
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGTERM)
        if cores and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, cores)
        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
            signal.signal(name, signal.SIG_DFL)  # what bash's background has ignored

    return prepare


def stop_signals_noted(noted: list[int]) -> AbstractContextManager[None]:
    """Within the block a stop signal is appended to ``noted`` and does nothing else."""
    return signals.caught(signals.STOP, noted.append)
