"""The worker's connection to its parent: events on stdout, control words on stdin.

Events are JSON objects, one per line, with the key ``event``.  Control words are lines.  Everything
else that the engine or its libraries print goes to stderr, which is the log.
"""

import contextlib
import ctypes
import json
import os
import select
import signal
import sys

from tinynet.caffeformat.glog import glog_line

STARTER = "TINYNET_STARTER"  # the environment variable with the id of the process that starts us
_PR_SET_PDEATHSIG = 1

_events = None


def open_events():
    """Reserve stdout for events: whatever else is written to descriptor 1 goes to the log."""
    global _events
    sys.stdout.flush()
    _events = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)


def emit(event, **values):
    """Send one event to the parent; before ``open_events`` (in tests) it goes to sys.stdout."""
    stream = _events or sys.stdout
    stream.write(json.dumps(dict(values, event=event), sort_keys=True) + "\n")
    stream.flush()


def log(text):
    """Write one INFO line to stderr, in order with the engine's own lines."""
    sys.stderr.write(glog_line(text, "I", stacklevel=2) + "\n")
    sys.stderr.flush()


def die_with_parent():
    """Ask the kernel (Linux) to kill this process when its parent dies.

    If our parent is a wrapper script instead, or the system has no such call, the end of stdin
    tells the same a little later.  The process that started us may have died before the call.
    """
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    starter = int(os.environ.get(STARTER, 0))
    if starter and os.getppid() != starter:
        try:
            os.kill(starter, 0)
        except ProcessLookupError:
            os._exit(1)
        except OSError:  # it lives, as another user's: behind a wrapper script
            pass


# The parent starts us with its own stop signals (``engine/signals.py``) blocked, so that none can
# end the interpreter while it starts.
_HELD = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
_sigterm = {"seen": False}


def leave_signals_to_parent():
    """Ignore signals that a terminal or a batch system sends to the whole process group.

    The parent gets them too, and decides.  SIGTERM counts as ``stop``: it may be sent to this
    process alone.
    """

    def on_sigterm(number, frame):
        _sigterm["seen"] = True

    for number in _HELD:
        signal.signal(number, on_sigterm if number == signal.SIGTERM else signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD)


def let_signals_end_us():
    """Give every such signal the system's own action, as in a program that catches none."""
    for number in _HELD:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD)


class Control(object):
    """Reads control words from stdin without waiting for them."""

    def __init__(self, descriptor=0):
        self._descriptor = descriptor
        self._rest = b""
        self._words = set()  # type: set
        self._stop = False

    def poll(self):
        """Return the set of words received since the last call; ``stop`` stays in it for good.

        Ends the process if stdin has ended: the parent is gone, and nobody reads the log.
        """
        stopping = self.stopping()
        words, self._words = self._words, set()
        return words | {"stop"} if stopping else words

    def stopping(self):
        """Whether ``stop`` was received; other words are kept for ``poll``."""
        while select.select([self._descriptor], [], [], 0)[0]:
            self._read()
        self._stop = self._stop or _sigterm["seen"] or "stop" in self._words
        return self._stop

    def wait_for(self, beginning):
        """Wait for a word with this beginning, and return the rest of it."""
        while True:
            for word in self._words:
                if word.startswith(beginning):
                    self._words.discard(word)
                    return word[len(beginning) :]
            self._read()

    def _read(self):
        data = os.read(self._descriptor, 4096)
        if not data:
            os._exit(1)
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        self._words.update(line.decode("ascii", "replace").strip() for line in lines)
