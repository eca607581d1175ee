"""Errors that a user can act on, each carrying the exit status of its kind.

The command line prints the message of a ``TinynetError`` as its one line on stderr, and nothing
else: the message says what is wrong, where, and what to do.  Anything else that reaches the top is
a defect and keeps its traceback.  This module is imported by the worker: Python 3.6 syntax.
"""

_CONTROL = {code: "\\x%02x" % code for code in [*range(32), 127]}
_CONTROL.update({ord("\n"): "\\n", ord("\t"): "\\t", ord("\r"): "\\r"})


class TinynetError(Exception):
    """The work failed (exit status 1)."""

    exit_status = 1

    def __init__(self, message: str = "", *rest: object) -> None:
        """``message`` stays one line whatever names it quotes from a file: \\n for a line's end."""
        super().__init__(str(message).translate(_CONTROL), *rest)


class UsageError(TinynetError):
    """The command was used wrongly (exit status 2)."""

    exit_status = 2


class StoppedEarly(TinynetError):
    """The run was stopped before its end, left a snapshot, and can be resumed (exit status 75)."""

    exit_status = 75
