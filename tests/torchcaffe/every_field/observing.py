"""What an engine does with a message, so that the message without one field can be compared."""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import tinynet.torchcaffe as caffe
from tests.torchcaffe import both_engines
from tinynet.caffeformat import text
from tinynet.torchcaffe.context import CONTEXT
from tinynet.torchcaffe.pycaffe import tool

Seen = dict[str, Any]
Where = tuple[tuple[str, int | None], ...]

_HEAD = re.compile(r"^[IWEF]\d{4} \S+ +\d+ (\S+:)\d+\] ")
_CLOCK = re.compile(r"\(\S+ iter/s, \S+s/")


class Example(NamedTuple):
    """A message, and how to observe what the engine does with it."""

    name: str
    message: Any
    see: Callable[[Any], Seen]
    #: the messages whose fields it is an example of; none: all
    only: tuple[str, ...] = ()

    def observe(self, message: Any) -> Seen:
        """Return what is observed of ``message``; if it is refused, the words of the error."""
        log = io.StringIO()
        try:
            with contextlib.redirect_stderr(log):
                seen = self.see(message)
        except Exception as error:  # whether this is a refusal or a traceback, another test checks
            return {"refused": f"{type(error).__name__}: {error}"}
        seen["log"] = _lines(log.getvalue())
        return seen

    def fields(self) -> Iterator[tuple[tuple[str, str], Where]]:
        """Yield ((message's name, field's name), path) of every field that is set."""
        for field, where in _fields(self.message, ()):
            if not self.only or field[0] in self.only:
                yield field, where

    def without(self, path: Where) -> Any:
        """A copy of the message without the field at ``path``."""
        copy, owner = self._copy(path)
        owner.ClearField(path[-1][0])
        return copy

    def with_value(self, path: Where, value: Any) -> Any:
        """A copy of the message with another value of the field at ``path``."""
        copy, owner = self._copy(path)
        name = path[-1][0]
        if hasattr(getattr(owner, name), "append"):
            getattr(owner, name)[0] = value  # the first of a repeated field
        else:
            setattr(owner, name, value)
        return copy

    def _copy(self, path: Where) -> tuple[Any, Any]:
        """A copy of the message, and in it the message that has the field at ``path``."""
        copy = type(self.message)()
        copy.CopyFrom(self.message)
        owner = copy
        for name, index in path[:-1]:
            owner = getattr(owner, name) if index is None else getattr(owner, name)[index]
        return copy, owner


def _fields(message: Any, path: Where) -> Iterator[tuple[tuple[str, str], Where]]:
    for field, value in message.ListFields():
        here = (*path, (field.name, None))
        yield (message.DESCRIPTOR.name, field.name), here
        if field.message_type is None:
            continue
        repeated = not hasattr(value, "ListFields")
        for index, inner in enumerate(value if repeated else [value]):
            yield from _fields(inner, (*path, (field.name, index if repeated else None)))


def _lines(log: str) -> list[str]:
    """Return the log's lines without times.  Printed parameters have no prefix and are left out."""
    return [
        _CLOCK.sub("", _HEAD.sub(r"\1", line)) for line in log.splitlines() if _HEAD.match(line)
    ]


def same(one: Seen, other: Seen) -> bool:
    """Whether two observations are equal to the bit."""
    if set(one) != set(other):
        return False
    return all(_equal(one[key], other[key]) for key in one)


def _equal(one: Any, other: Any) -> bool:
    if not isinstance(one, np.ndarray):
        return bool(one == other)
    numbers = one.dtype.kind == "f" and other.dtype.kind == "f"
    return one.shape == other.shape and bool(np.array_equal(one, other, equal_nan=numbers))


def net(name: str, written: str, message_class: Any, **more: Any) -> Example:
    """A net that runs: ``more`` is ``inputs`` by blob, and what ``both_engines.run_net`` takes."""
    inputs = more.pop("inputs", {})

    def see(message: Any) -> Seen:
        request = {"backward": False, **more, "net": text.format(message)}
        return both_engines.answer(caffe, request, inputs)

    return Example(name, text.parse(written, message_class, name), see)


def solver(name: str, written: str, message_class: Any, folder: Path) -> Example:
    """A solver that solves in an empty folder, where its net's file lies in the folder above."""

    def see(message: Any) -> Seen:
        work = folder / "solving"
        work.mkdir(exist_ok=True)
        for left in work.iterdir():
            left.unlink()
        before = Path.cwd()
        os.chdir(work)
        try:
            (work / "solver.prototxt").write_text(text.format(message))
            CONTEXT.seed(77)  # without a random_seed, too, every run draws the same numbers
            made = caffe.get_solver(work / "solver.prototxt")
            made.solve()
            seen: Seen = {f"file {path.name}": path.read_bytes() for path in work.glob("*_iter_*")}
            seen["rates"] = (made.iter, made.lr)
            for layer, blobs in made.net.params.items():
                for index, blob in enumerate(blobs):
                    seen[f"{layer}/{index}"] = blob.data.copy()
        finally:
            os.chdir(before)
            caffe.set_mode_cpu()
        return seen

    return Example(name, text.parse(written, message_class, name), see)


def trained(name: str, written: str, message_class: Any, folder: Path) -> Example:
    """A solver as ``caffe train`` runs it."""

    def see(message: Any) -> Seen:
        (folder / "trained").mkdir(exist_ok=True)
        before = Path.cwd()
        os.chdir(folder / "trained")
        try:
            Path("solver.prototxt").write_text(text.format(message))
            return {"status": tool.run("train", {"solver": "solver.prototxt"})}
        finally:
            os.chdir(before)
            caffe.set_mode_cpu()

    return Example(name, text.parse(written, message_class, name), see)
