"""Messages to the user on stderr, beside the results on stdout."""

from __future__ import annotations

import os
import sys

from tinynet import files


def say(line: str) -> None:
    """Print a line on stderr; if its reader has gone, drop the line and carry on."""
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:  # a terminal that was closed, a pipe whose reader has gone
        files.discard_output(sys.stderr)


def show(line: str) -> None:
    """Show a line on a terminal's stderr in place of the last one shown; "" removes it."""
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":  # an editor's shell
        print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)
