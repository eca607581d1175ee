"""What the engine raises where real Caffe would abort the process on a failed CHECK.

pycaffe's own exceptions are RuntimeError (from its C++ part) and ValueError: a script that catches
those catches ours.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tinynet.errors import TinynetError

_SHORTAGE = re.compile(r"can't allocate memory|Storage size calculation overflowed")


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


class saying_what_takes_memory:
    """Let a layer's work end in one CaffeError, which names it, where memory was not there.

    torch says so in several lines, and of a size beyond 64 bits in other words.  A GPU's shortage
    has an error class of torch's own, which stays.
    """

    __slots__ = ("layer",)

    def __init__(self, layer: str = "") -> None:
        self.layer = layer  # the one that works; it may change while the block runs

    def __enter__(self) -> saying_what_takes_memory:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if error is None or isinstance(error, CaffeError):
            return
        reason = str(error).split("\n")[0]
        if isinstance(error, MemoryError) or (
            isinstance(error, RuntimeError) and _SHORTAGE.search(reason)
        ):
            size = re.search(r"tried to allocate (\d+) bytes", reason)
            asked = f" ({int(size[1]):,} bytes)" if size else ""
            raise CaffeError(
                f"layer '{self.layer}': can't allocate memory for its blobs{asked}; make its "
                "batch or shape smaller"
            ) from error


def require_file(path: str | Path) -> None:
    """Raise CaffeError, as pycaffe a RuntimeError, for a file that cannot be opened."""
    try:
        with open(path, "rb"):
            pass
    except OSError as error:
        raise CaffeError(f"could not open file {path}: {error.strerror}") from error
