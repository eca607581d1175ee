"""Messages for the user, which are no results."""

from __future__ import annotations

import os
import sys

from tinynet import files


def say(line: str) -> None:
    """Print a line on stderr; where nobody can read it any longer, it is lost, and no more."""
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:  # a terminal that was closed, a pipe whose reader has gone
        files.discard_output(sys.stderr)


def show(line: str) -> None:
    """Put a line in the place of the last one shown, on a terminal's stderr; "" takes it away."""
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":  # an editor's shell
        print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)
