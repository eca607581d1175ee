"""Keeps our nice value effective for a child process in a session of its own.

Linux's autogroup (sched(7)) divides the processor between sessions first, and by nice values only
within each.  A child in a new session would therefore compete as nice 0, however nice we are.
"""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

# the kernel lets ordinary users change these values ten times a second in all
_TRIES, _PAUSE = 10, 0.1


def follow_nice(pid: int) -> None:
    """Give the session that the process ``pid`` leads our own nice value, if that is above 0.

    Does nothing if the system has no autogroups.
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
