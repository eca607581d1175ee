"""A stand-in for CUDA graphs on machines without a GPU.

It records torch's calls while the work runs, and undoes what they wrote.  A repetition makes the
same calls with the same tensors and writes the results to the same memory.  As with a graph, the
work's Python code does not run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tinynet.torchcaffe.fast import graphs

_READS_A_VALUE = "aten::_local_scalar_dense"


class _Calls(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.made: list[tuple[Any, Any, Any, Any]] = []
        self.own: set[int] = set()  # memory allocated while recording
        self.overwritten: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        given = kwargs or {}
        for target in _written(function, args, given):
            place = target.untyped_storage().data_ptr()
            if place not in self.own and id(target) not in self.overwritten:
                self.overwritten[id(target)] = target, target.clone()
        result = function(*args, **given)
        if not function.is_view and not _written(function, args, given):
            self.own |= {each.untyped_storage().data_ptr() for each in _tensors(result)}
        self.made.append((function, args, given, result))
        return result


def _tensors(values: Any) -> list[torch.Tensor]:
    if isinstance(values, torch.Tensor):
        return [values]
    return [t for v in values for t in _tensors(v)] if isinstance(values, (tuple, list)) else []


def _written(function: Any, args: Any, kwargs: Any) -> list[torch.Tensor]:
    found = []
    for number, argument in enumerate(function._schema.arguments):
        if argument.is_write:
            given = args[number] if number < len(args) else kwargs.get(argument.name)
            found += _tensors(given)
    return found


class Recorder:
    wrong = False  # whether repetitions draw other random numbers than the work

    def __init__(self, device: torch.device) -> None:
        self.recordings = self.repetitions = 0

    def record(self, work: graphs.Work) -> Callable[[], object]:
        self.recordings += 1
        state = torch.get_rng_state()
        with _Calls() as calls:
            work()
        for target, old in calls.overwritten.values():
            target.copy_(old)
        torch.set_rng_state(state)

        def repeat() -> None:
            self.repetitions += 1
            if Recorder.wrong:
                torch.rand(1)
            for function, args, kwargs, result in calls.made:
                if function.is_view or function._schema.name == _READS_A_VALUE:
                    continue
                again = function(*args, **kwargs)
                if not _written(function, args, kwargs):
                    for target, values in zip(_tensors(result), _tensors(again)):
                        target.copy_(values)

        return repeat

    def warm_up(self, work: graphs.Work) -> None:
        work()

    def failed(self) -> str:
        return ""

    def random_state(self) -> torch.Tensor:
        return torch.get_rng_state()

    def set_random_state(self, state: torch.Tensor) -> None:
        torch.set_rng_state(state)

    def same(self, found: Sequence[torch.Tensor], expected: Sequence[torch.Tensor]) -> bool:
        return graphs.same_bits(found, expected)
