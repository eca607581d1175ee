"""Log lines in glog's format, which Caffe's own log tools parse.

A run's log has three writers: the worker, its parent and the torch engine.  All of them format
their lines here.  The worker imports this module: Python 3.6 syntax.
"""

import datetime
import os
import sys
from typing import Optional

# The start of tinynet's own messages in a run's log.  No line of Caffe's begins so, and parsers of
# Caffe's lines ignore it.
OWN = "tinynet: "


def glog_line(text: str, severity: str, thread: Optional[int] = None, stacklevel: int = 1) -> str:
    """Format ``text`` as a glog line: ``I0210 13:39:22.381027 25210 solver.py:204] text``.

    ``severity``: I, W, E or F.  ``thread``: the id of the logging thread; by default the process
    id, which on Linux is that of the main thread.  ``stacklevel``: whose FILE:LINE to show; 1 is
    the caller of this function, 2 the caller's caller, and so on.
    """
    caller = sys._getframe(stacklevel)
    source = "%s:%d" % (os.path.basename(caller.f_code.co_filename), caller.f_lineno)
    stamp = datetime.datetime.now().strftime("%m%d %H:%M:%S.%f")
    number = os.getpid() if thread is None else thread
    return "%s%s %5d %s] %s" % (severity, stamp, number, source, text)
