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

import torch

from tinynet.caffeformat import schema
from tinynet.errors import TinynetError

_SHORTAGE = re.compile(r"can't allocate memory|Storage size calculation overflowed")
# what torch says of a GPU's shortage, among much else
_OF_A_GPU = re.compile(
    r"Tried to allocate (?P<asked>[\d.]+ \w+)"
    r"(?:.*total capacity of (?P<all>[\d.]+ \w+) of which (?P<free>[\d.]+ \w+) is free)?",
    re.DOTALL,
)


class CaffeError(TinynetError, RuntimeError):
    """A rule of Caffe's was broken; the message states the rule, then what was seen.

    ``layer`` is the layer of the net, as the net has it, that was being made.
    """

    layer: schema.LayerParameter | None = None


class CaffeValueError(CaffeError, ValueError):
    """The same, where pycaffe raises a ValueError."""


class OutOfGpuMemory(CaffeError, torch.cuda.OutOfMemoryError):
    """A GPU has less memory than was asked for; to whoever catches torch's error, it is that."""


@contextlib.contextmanager
def name_layer_in_errors(layer: schema.LayerParameter) -> Iterator[None]:
    """Note in a CaffeError which layer was being made."""
    try:
        yield
    except CaffeError as error:
        error.layer = layer  # around the net in an LSTM: the LSTM, which the prototxt has
        raise


def check(condition: bool, message: str) -> None:
    """Raise ``CaffeError(message)`` unless ``condition`` holds, as Caffe's CHECK aborts."""
    if not condition:
        raise CaffeError(message)


def first_line(error: BaseException) -> str:
    """What an error says first: CUDA's go on for lines about how to debug PyTorch."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(". ")


@contextlib.contextmanager
def as_caffe_errors() -> Iterator[None]:
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


class report_out_of_memory:
    """Let a layer's work end in one CaffeError, which names it, where memory was not there.

    torch says so in several lines, and of a size beyond 64 bits in other words.  Of a GPU's memory
    it is an OutOfGpuMemory.
    """

    __slots__ = ("layer",)

    def __init__(self, layer: str = "") -> None:
        self.layer = layer  # the one that works; it may change while the block runs

    def __enter__(self) -> report_out_of_memory:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if error is None or isinstance(error, CaffeError):
            return
        if isinstance(error, torch.cuda.OutOfMemoryError):
            asked = _asked_of_a_gpu(str(error))
            raise OutOfGpuMemory(
                f"layer '{self.layer}': the GPU is out of memory{asked}; make its batch or shape "
                "smaller, or take a GPU that nobody else uses"
            ) from error
        reason = first_line(error)
        if isinstance(error, MemoryError) or (
            isinstance(error, RuntimeError) and _SHORTAGE.search(reason)
        ):
            size = re.search(r"tried to allocate (\d+) bytes", reason)
            asked = f" ({int(size[1]):,} bytes)" if size else ""
            raise CaffeError(
                f"layer '{self.layer}': can't allocate memory for its blobs{asked}; make its "
                "batch or shape smaller"
            ) from error


def _asked_of_a_gpu(said: str) -> str:
    found = _OF_A_GPU.search(said)
    if found is None:
        return ""
    free = f", {found['free']} of {found['all']} are free" if found["all"] else ""
    return f" (asked for {found['asked']}{free})"


def require_file(path: str | Path) -> None:
    """Raise CaffeError, as pycaffe a RuntimeError, for a file that cannot be opened."""
    try:
        with open(path, "rb"):
            pass
    except OSError as error:
        raise CaffeError(f"could not open file {path}: {error.strerror}") from error
