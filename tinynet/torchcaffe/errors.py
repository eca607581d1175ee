"""What the engine raises where real Caffe would abort the process on a failed CHECK.

pycaffe's own exceptions are RuntimeError (from its C++ part) and ValueError: a script that catches
those catches ours.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tinynet.errors import TinynetError


class CaffeError(TinynetError, RuntimeError):
    """A rule of Caffe's was broken; the message states the rule, then what was seen."""


class CaffeValueError(CaffeError, ValueError):
    """The same, where pycaffe raises a ValueError."""


def check(condition: bool, message: str) -> None:
    """Raise ``CaffeError(message)`` unless ``condition`` holds, as Caffe's CHECK aborts."""
    if not condition:
        raise CaffeError(message)


@contextlib.contextmanager
def refusing() -> Iterator[None]:
    """Let what a file's reader refuses, or a file that cannot be read, leave as a CaffeError.

    So that a script need not know which part of the package found the fault.
    """
    try:
        yield
    except CaffeError:
        raise
    except TinynetError as error:
        raise CaffeError(str(error)) from error
    except OSError as error:
        where = "" if error.filename is None else f" {error.filename}"
        raise CaffeError(f"could not open file{where}: {error.strerror or error}") from error


def require_file(path: str | Path) -> None:
    """Raise CaffeError, as pycaffe a RuntimeError, for a file that cannot be opened."""
    try:
        with open(path, "rb"):
            pass
    except OSError as error:
        raise CaffeError(f"could not open file {path}: {error.strerror}") from error
