"""Log lines in glog's format, as Caffe's log tools parse them.

A run's log has two writers, the worker and its parent: both take their lines from here.
"""

import datetime
import os
import sys


def line(text, severity="I", source="worker.py:1", now=None):
    """Return ``text`` as a glog line: ``I0210 13:39:22.381027 25210 solver.cpp:204] text``."""
    now = now or datetime.datetime.now()
    stamp = now.strftime("%m%d %H:%M:%S.%f")
    return "%s%s %5d %s] %s" % (severity, stamp, os.getpid(), source, text)


def info(text, source="train.py:1"):
    """Write one INFO line to stderr, in order with what the engine itself writes there."""
    sys.stderr.write(line(text, "I", source) + "\n")
    sys.stderr.flush()
