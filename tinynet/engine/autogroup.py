"""Keeps a nice value's meaning for a process that has a session of its own.

Linux's autogroup (sched(7)) divides the processor between sessions first, and by nice values only
within each.  What we start in a new session would so compete as nice 0, however nice we are.
"""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

# an ordinary user may change a session's value ten times a second, over all sessions
_TRIES, _PAUSE = 10, 0.1


def follow_nice(pid: int) -> None:
    """Give the session of the process ``pid``, which leads it, our own nice value where above 0.

    Does nothing where the system has no autogroups.
    """
    value = os.nice(0)
    if value <= 0:
        return
    for _ in range(_TRIES):
        try:
            Path(f"/proc/{pid}/autogroup").write_text(str(value), encoding="ascii")
        except OSError as error:
            if error.errno != errno.EAGAIN:
                return
            time.sleep(_PAUSE)
        else:
            return
