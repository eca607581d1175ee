"""The command that was given, as another machine would repeat it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Sequence

# options that steer the work on this machine, or what is printed
_ONLY_HERE = ("--write-jobs", "--jobs", "--json", "--collect")
_ONLY_HERE_WITH_VALUE = (
    "--pack",
    "--within",
    "--gpu",
    "--per-gpu",
    "--processes",
    "--caffe-python",
)


def command_line() -> str:
    """This command as one line, without what only steers the work here."""
    return shlex.join(["tinynet", *_repeated(sys.argv[1:])])


def _repeated(words: Sequence[str]) -> Iterator[str]:
    is_value = False
    for word in words:
        if is_value:
            is_value = False
        elif word in _ONLY_HERE_WITH_VALUE:
            is_value = True
        elif word not in _ONLY_HERE and word.partition("=")[0] not in _ONLY_HERE_WITH_VALUE:
            yield word
