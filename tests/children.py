"""Start processes that end with the tests, however the tests end."""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import subprocess
import sys
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_ROOT = Path(__file__).parents[1]
_libc = ctypes.CDLL(None)


def python(
    *words: object, folder: Path = _ROOT, stdin: str = "", **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run this Python with this package and wait for it; ``variables`` extend its environment."""
    return subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(_ROOT), **variables},
        input=stdin,
        capture_output=True,
        text=True,
    )


def start(
    words: Sequence[str | os.PathLike[str]],
    folder: Path | None = None,
    *,
    environment: Mapping[str, str],
    stdout: int | None = subprocess.DEVNULL,
    terminal: int | None = None,
) -> subprocess.Popen[str]:
    """Start a command in ``folder`` in a session of its own, with no signals ignored.

    Its stderr is a pipe, or all three streams are the ``terminal`` that it is started from.  Many
    would run for ever: where the tests are killed (Linux), so is it.
    """
    parent = os.getpid()

    def prepare() -> None:
        if hasattr(_libc, "prctl"):
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)
        # a shell that starts pytest in the background has it ignore SIGINT
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        if terminal is not None:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    return subprocess.Popen(
        words,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL if terminal is None else terminal,
        stdout=stdout if terminal is None else terminal,
        stderr=subprocess.PIPE if terminal is None else terminal,
        text=True,
        start_new_session=True,
        preexec_fn=prepare,
    )
