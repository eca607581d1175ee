"""Log lines on stderr in glog's format, which Caffe's own log tools parse.

    I1122 23:11:43.123456 12345 solver.cpp:239] Iteration 20, loss = 3.1

The file names are those of the Caffe source that prints the same message; the line number is ours
(0), since no tool reads it.  ``GLOG_minloglevel`` silences as it does for glog: 0 INFO, 1 WARNING,
2 ERROR, 3 FATAL.
"""

from __future__ import annotations

import os
import sys
import threading
import time

_SEVERITIES = "IWEF"
_LEVEL_VARIABLE = "GLOG_minloglevel"  # spelt as glog spells it
_level: int | None = None


def set_level(level: int | None) -> None:
    """Print messages of severity ``level`` (0 INFO … 3 FATAL) and above; None: the variable's."""
    global _level
    _level = level


def init_log(level: int = 0, to_stderr: bool = True) -> None:
    """pycaffe's ``init_log``: print messages of severity ``level`` and above (always to stderr)."""
    set_level(level)


def log(message: str) -> None:
    """pycaffe's ``log``: write ``message`` to the log."""
    info("_caffe.cpp", message)


def _threshold() -> int:
    if _level is not None:
        return _level
    try:
        return int(os.environ.get(_LEVEL_VARIABLE, "0"))
    except ValueError:
        return 0


def _write(severity: int, source: str, message: str) -> None:
    if severity < _threshold():
        return
    now = time.time()
    stamp = time.strftime("%m%d %H:%M:%S", time.localtime(now))
    micros = int(now % 1 * 1e6)
    head = f"{_SEVERITIES[severity]}{stamp}.{micros:06d} {threading.get_native_id():5d} {source}:0]"
    sys.stderr.write(f"{head} {message}\n")
    sys.stderr.flush()


def info(source: str, message: str) -> None:
    """Log ``message`` as printed by Caffe's file ``source``."""
    _write(0, source, message)


def warning(source: str, message: str) -> None:
    _write(1, source, message)


def error(source: str, message: str) -> None:
    _write(2, source, message)


def number(value: float) -> str:
    """``value`` as a C++ stream prints it by default: six significant digits."""
    return f"{float(value):g}"
