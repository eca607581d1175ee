"""The one form of a log line, glog's, as Caffe's own log tools parse it.

A run's log has three writers (the worker, its parent and the torch engine), and each takes its
lines from here.  This module is imported by the worker: Python 3.6 syntax.
"""

import datetime
import os
import sys
from typing import Optional

# Begins what tinynet says in a run's log on its own account: no line of Caffe's, so that a parser
# of Caffe's lines leaves it out.
OWN = "tinynet: "


def glog_line(text: str, severity: str, thread: Optional[int] = None, stacklevel: int = 1) -> str:
    """``text`` as a line of glog: ``I0210 13:39:22.381027 25210 solver.py:204] text``.

    ``severity``: I, W, E or F; ``thread``: the id of the thread that says it, on Linux for the
    main thread the process's own, which stands in where none is given.  The source, FILE:LINE, is
    that of the call: 1 is the caller of this function, 2 the caller's caller, and so on.
    """
    caller = sys._getframe(stacklevel)
    source = "%s:%d" % (os.path.basename(caller.f_code.co_filename), caller.f_lineno)
    stamp = datetime.datetime.now().strftime("%m%d %H:%M:%S.%f")
    number = os.getpid() if thread is None else thread
    return "%s%s %5d %s] %s" % (severity, stamp, number, source, text)
