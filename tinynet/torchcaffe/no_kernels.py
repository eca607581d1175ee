"""Measuring, without a GPU, the host's time for a program that computes on a GPU.

A tensor on torch's ``meta`` device has a shape and no values: a program runs on it as on a GPU,
launch by launch, and nothing is computed.  But there torch works out most results' shapes in
Python, at up to a millisecond each, where a GPU's own functions take microseconds.  Those functions
are therefore replaced by ones that allocate a result of the shape seen before and return.

What is measured is the program's own code, torch's dispatcher and one allocation per call.  A GPU
adds the launch itself, and page-locked memory for what is copied to it.
"""

from __future__ import annotations

import collections
import itertools
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tinynet.torchcaffe.context import CONTEXT

_DEVICE = torch.device("meta")


def without_kernels() -> None:
    """Make this thread's nets without values from now on, until a mode is set.

    Anything that needs a value, such as ``blob.data`` or a displayed loss, fails on them.
    """
    CONTEXT.gpu = False
    CONTEXT.meta = True


class _Calls(TorchDispatchMode):
    """Records each call of a torch function that reaches a device: function, arguments, result."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[tuple[Any, tuple[Any, ...], dict[str, Any], Any]] = []

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        given = kwargs or {}
        result = function(*args, **given)
        if function.namespace == "aten":  # not the profiler's marks
            self.made.append((function, args, given, result))
        return result


class HostTime:
    """The host's time for ``iterate``, one iteration of a program on the meta device.

    After ``warm_up`` calls it must call the same torch functions in the same order each time.
    ``calls`` is their number, below autograd, as a device sees them.  The functions stay replaced,
    in all threads, until ``close``.
    """

    def __init__(self, iterate: Callable[[], object], warm_up: int = 3) -> None:
        for _ in range(warm_up):
            iterate()
        self._iterate = iterate
        with _Calls() as noted:
            iterate()
        self._library = _replace(noted)
        self._made = [call[:3] for call in noted.made]
        self.calls = len(self._made)
        self.by_name = collections.Counter(str(function) for function, *_ in self._made)

    def seconds(self, count: int) -> float:
        """The median over ``count`` iterations of the calling thread's CPU time.

        A busy machine lengthens wall time, but not CPU time.
        """
        return _median(self._iterate, count)

    def seconds_of_calls(self, count: int) -> float:
        """The same for an iteration's calls of torch functions alone, in their order."""

        def call_again() -> None:
            for function, args, kwargs in self._made:
                function(*args, **kwargs)

        with torch.no_grad():
            return _median(call_again, count)

    def close(self) -> None:
        """Restore torch's own functions."""
        self._library._destroy()


def _median(work: Callable[[], object], count: int) -> float:
    taken = []
    for _ in range(count):
        start = time.thread_time()
        work()
        taken.append(time.thread_time() - start)
    return statistics.median(taken)


def _replace(noted: _Calls) -> torch.library.Library:
    results: dict[Any, list[Any]] = collections.defaultdict(list)
    for function, _, _, result in noted.made:
        results[function].append(result)
    library = torch.library.Library("aten", "IMPL")
    for function, given in results.items():
        if not function.is_view and all(map(_is_on_meta, given)):
            library.impl(function, _instead_of(function, given), "Meta")
    return library


def _is_on_meta(result: Any) -> bool:
    if isinstance(result, (tuple, list)):
        return all(map(_is_on_meta, result))
    return not isinstance(result, torch.Tensor) or result.device == _DEVICE


def _instead_of(function: Any, results: list[Any]) -> Callable[..., Any]:
    """A function that returns new tensors like ``results``, in turn, or its written argument."""
    schema = function._schema
    if any(argument.is_write for argument in schema.arguments):
        if schema.returns:
            return lambda target, *args, **kwargs: target
        return lambda *args, **kwargs: None
    turns = itertools.cycle([_maker(result) for result in results])
    return lambda *args, **kwargs: next(turns)()


def _maker(result: Any) -> Callable[[], Any]:
    if isinstance(result, torch.Tensor):
        shape, stride, dtype = tuple(result.shape), result.stride(), result.dtype
        return lambda: torch.empty_strided(shape, stride, dtype=dtype, device=_DEVICE)
    if isinstance(result, (tuple, list)):
        parts = [_maker(part) for part in result]
        return lambda: tuple([part() for part in parts])
    return lambda: result
