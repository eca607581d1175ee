"""The command that was given, as another machine would repeat it."""

from __future__ import annotations

import shlex
import sys

_ONLY_HERE = (
    "--write-jobs",
    "--jobs",
    "--json",
    "--collect",
    "--quiet",
)  # steer the work or what is printed


def command_line() -> str:
    """This command as one line, without what only steers the work here."""
    return shlex.join(["tinynet", *(word for word in sys.argv[1:] if word not in _ONLY_HERE)])
