"""Logging to stderr in glog's format, which Caffe's own log tools parse.

    I1122 23:11:43.123456 12345 solver.py:239] Iteration 20, loss = 3.1

The messages are Caffe's; file and line are this engine's.  ``GLOG_minloglevel`` sets the lowest
severity that is logged, as it does for glog: 0 INFO, 1 WARNING, 2 ERROR, 3 FATAL.
"""

from __future__ import annotations

import errno
import getpass
import os
import platform
import sys
import threading
import time
from pathlib import Path
from typing import TextIO

from google.protobuf.message import Message

from tinynet import files
from tinynet.caffeformat.glog import glog_line
from tinynet.torchcaffe.context import CONTEXT

_SEVERITIES = "IWEF"
_LEVEL_VARIABLE = "GLOG_minloglevel"
_NAMES = ("INFO", "WARNING", "ERROR")
_level: int | None = None
_files: LogFiles | None = None
_lock = threading.RLock()  # reentrant: a signal handler may log while its own thread writes


def _replace_lock() -> None:
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_replace_lock)  # another thread may have held it


def set_level(level: int | None) -> None:
    """Log severity ``level`` (0 INFO … 3 FATAL) and above; None: as GLOG_minloglevel says."""
    global _level
    _level = level


def write_files(folder: str | Path | None, program: str = "caffe") -> None:
    """Log to files in ``folder`` as well, as glog's ``-log_dir`` does; None stops it.

    Each severity has a file, which holds that severity and above; ``PROGRAM.INFO`` (``WARNING``,
    ``ERROR``) is a link to the newest one.
    """
    global _files
    if _files is not None:
        _files.close()
    _files = None if folder is None else LogFiles(Path(folder), program)


class LogFiles:
    """The log files of one run, each created when its first line is written."""

    def __init__(self, folder: Path, program: str) -> None:
        self._folder, self._program = folder, program
        self._open: dict[str, TextIO] = {}

    def write(self, severity: int, line: str) -> None:
        for name in _NAMES[: severity + 1]:
            if name not in self._open:
                self._open[name] = self._make(name)
            self._open[name].write(line)
            self._open[name].flush()

    def _make(self, name: str) -> TextIO:
        host, now = platform.node(), time.localtime()
        stamp = time.strftime("%Y%m%d-%H%M%S", now)
        file_name = f"{self._program}.{host}.{_user()}.log.{name}.{stamp}.{os.getpid()}"
        made = (self._folder / file_name).open("a", encoding="utf-8")
        made.write(
            f"Log file created at: {time.strftime('%Y/%m/%d %H:%M:%S', now)}\n"
            f"Running on machine: {host}\n"
            "Log line format: [IWEF]mmdd hh:mm:ss.uuuuuu threadid file:line] msg\n"
        )
        link, new = self._folder / f"{self._program}.{name}", self._folder / f".{file_name}"
        new.symlink_to(file_name)
        new.replace(link)  # in one step: other processes may log here too
        return made

    def close(self) -> None:
        for made in self._open.values():
            made.close()


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, in a container
        return "invalid-user"  # as glog writes it


def init_log(level: int = 0, to_stderr: bool = True) -> None:
    """Log severity ``level`` and above, always to stderr (pycaffe's ``init_log``)."""
    set_level(level)


def log(message: str) -> None:
    """Log ``message``, whatever the solver's rank (pycaffe's ``log``)."""
    _write(0, message, 1)


def _threshold() -> int:
    if _level is not None:
        return _level
    try:
        return int(os.environ.get(_LEVEL_VARIABLE, "0"))
    except ValueError:
        return 0


def _write(severity: int, message: str, stacklevel: int) -> None:
    if severity < _threshold():
        return
    with _lock:  # reader threads log too: stderr and the files get the same order
        thread = threading.get_native_id()
        # beyond this function and its caller
        line = glog_line(message, _SEVERITIES[severity], thread, stacklevel + 2) + "\n"
        try:
            sys.stderr.write(line)
            sys.stderr.flush()
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            files.discard_output(sys.stderr)  # the terminal was closed; glog continues too
        if _files is not None:
            _files.write(severity, line)


def info(message: str, stacklevel: int = 1) -> None:
    """Log ``message``; among several solvers, only rank 0 does.

    ``stacklevel`` chooses the file and line in the log: 1 the caller's, 2 the caller's caller's.
    """
    if CONTEXT.root_solver:
        _write(0, message, stacklevel)


def warning(message: str, stacklevel: int = 1) -> None:
    """Log a warning; ``stacklevel`` as in ``info``."""
    _write(1, message, stacklevel)


def error(message: str, stacklevel: int = 1) -> None:
    """Log an error without raising one; ``stacklevel`` as in ``info``."""
    _write(2, message, stacklevel)


def parameters(message: Message) -> str:
    """Format a protobuf message as Caffe logs it: fields by their numbers, one per line.

    Files are written by ``caffeformat.text`` instead, in an order that reads better.
    """
    return str(message).rstrip("\n")  # the log line has its own


def number(value: float) -> str:
    """Format ``value`` as a C++ stream does by default: six significant digits."""
    return f"{float(value):g}"
