"""Streams of ours that nobody reads any longer: of a terminal that was closed, of a pipe."""

from __future__ import annotations

import os
from typing import TextIO


def swallow(stream: TextIO) -> None:
    """Let what is still written to a stream, and what waits in it, go nowhere instead of failing.

    A stream that is no file is left as it is.
    """
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):  # ValueError: closed
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
