"""The one form of a log line, glog's, as Caffe's own log tools parse it.

A run's log has three writers (the worker, its parent and the torch engine), and each takes its
lines from here.  This module is imported by the worker: Python 3.6 syntax.
"""

import datetime
import os
from typing import Optional


def glog_line(text: str, severity: str, source: str, thread: Optional[int] = None) -> str:
    """``text`` as a line of glog: ``I0210 13:39:22.381027 25210 solver.cpp:204] text``.

    ``severity``: I, W, E or F; ``source``: FILE:LINE; ``thread``: the id of the thread that says
    it, on Linux for the main thread the process's own, which stands in where none is given.
    """
    stamp = datetime.datetime.now().strftime("%m%d %H:%M:%S.%f")
    number = os.getpid() if thread is None else thread
    return "%s%s %5d %s] %s" % (severity, stamp, number, source, text)
