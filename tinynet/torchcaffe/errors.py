"""The errors that the engine raises where real Caffe aborts the process on a failed CHECK.

pycaffe itself raises RuntimeError (from C++) and ValueError; a script that catches those catches
these too.
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
# the part of torch's message that says how much GPU memory was asked for
_OF_A_GPU = re.compile(
    r"Tried to allocate (?P<asked>[\d.]+ \w+)"
    r"(?:.*total capacity of (?P<all>[\d.]+ \w+) of which (?P<free>[\d.]+ \w+) is free)?",
    re.DOTALL,
)


class CaffeError(TinynetError, RuntimeError):
    """A rule of Caffe's was broken; the message states the rule, then what was found.

    ``layer`` is the layer that was being made, if any.
    """

    layer: schema.LayerParameter | None = None


class CaffeValueError(CaffeError, ValueError):
    """A CaffeError where pycaffe raises a ValueError."""


class OutOfGpuMemory(CaffeError, torch.cuda.OutOfMemoryError):
    """A GPU has less memory than was asked for; also an instance of torch's own error."""


@contextlib.contextmanager
def name_layer_in_errors(layer: schema.LayerParameter) -> Iterator[None]:
    """Set the ``layer`` of a CaffeError raised in the block.

    In the unrolled net of an LSTM the outer block wins: the prototxt has the LSTM.
    """
    try:
        yield
    except CaffeError as error:
        error.layer = layer
        raise


def check(condition: bool, message: str) -> None:
    """Raise ``CaffeError(message)`` unless ``condition`` holds, as Caffe's CHECK aborts."""
    if not condition:
        raise CaffeError(message)


def first_line(error: BaseException) -> str:
    """The first line of an error's message; CUDA's errors have many on debugging PyTorch."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(". ")


@contextlib.contextmanager
def as_caffe_errors() -> Iterator[None]:
    """Raise a TinynetError or an OSError of the block as a CaffeError.

    A script then need not know which part of the package found the fault.
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
    """Raise one CaffeError that names the layer if memory runs out in the block.

    torch's own message has several lines, and another wording for sizes beyond 64 bits.  If it was
    a GPU's memory, the error is an OutOfGpuMemory.
    """

    __slots__ = ("layer",)

    def __init__(self, layer: str = "") -> None:
        self.layer = layer  # the layer now at work; the block may change it

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


def read_file(path: str | Path) -> bytes:
    """The content of a file.  Raises CaffeError if it cannot be read."""
    with as_caffe_errors():
        return Path(path).read_bytes()


def require_file(path: str | Path) -> None:
    """Raise CaffeError for a file that cannot be opened, where pycaffe raises RuntimeError."""
    try:
        with open(path, "rb"):
            pass
    except OSError as error:
        raise CaffeError(f"could not open file {path}: {error.strerror}") from error
