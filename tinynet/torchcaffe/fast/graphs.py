"""What records a piece of work on a device once, to have it repeated by a single call.

On CUDA that is a CUDA graph.  The work is not done while it is recorded, and its results lie in
memory that every repetition writes anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch

Work = Callable[[], object]


class Graphs(Protocol):
    """Records and repeats work on one device; ``BY_DEVICE`` has the one of a type of device."""

    def __init__(self, device: torch.device) -> None: ...

    def record(self, work: Work) -> Callable[[], object]:
        """Record ``work`` without doing it; what is returned does it, each time it is called."""

    def beside(self, work: Work) -> None:
        """Do ``work`` in a queue of its own, which libraries need once before they are recorded."""

    def random_state(self) -> torch.Tensor:
        """The state of the generator from which the work draws; repetitions draw on from it."""

    def set_random_state(self, state: torch.Tensor) -> None: ...

    def same(self, found: Sequence[torch.Tensor], expected: Sequence[torch.Tensor]) -> bool:
        """Whether all values are equal to the bit."""


def same_bits(found: Sequence[torch.Tensor], expected: Sequence[torch.Tensor]) -> bool:
    """Whether float32 (or byte) tensors hold the same bits, NaN and the sign of zero included."""

    def bits(values: torch.Tensor) -> torch.Tensor:
        return values.view(torch.int32) if values.dtype == torch.float32 else values

    return all(torch.equal(bits(a), bits(b)) for a, b in zip(found, expected, strict=True))


class CudaGraphs:
    """CUDA graphs, each with a private pool of memory.

    torch's own generator of the device takes part by itself: a repetition draws from its state of
    that time and moves it on, as the work itself does.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def record(self, work: Work) -> Callable[[], object]:
        with torch.cuda.device(self._device):
            graph = torch.cuda.CUDAGraph()
            # a reader's thread may meanwhile ask for page-locked memory: only ours is watched
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                work()
        return graph.replay

    def beside(self, work: Work) -> None:
        with torch.cuda.device(self._device):
            main, side = torch.cuda.current_stream(), torch.cuda.Stream()
            side.wait_stream(main)
            with torch.cuda.stream(side):
                work()
            main.wait_stream(side)

    def random_state(self) -> torch.Tensor:
        return torch.cuda.get_rng_state(self._device)

    def set_random_state(self, state: torch.Tensor) -> None:
        torch.cuda.set_rng_state(state, self._device)

    def same(self, found: Sequence[torch.Tensor], expected: Sequence[torch.Tensor]) -> bool:
        return same_bits(found, expected)


class _Nothing:
    """For nets without values (no_kernels.py): a repetition is nothing to the host."""

    def __init__(self, device: torch.device) -> None:
        pass

    def record(self, work: Work) -> Callable[[], object]:
        work()
        return lambda: None

    def beside(self, work: Work) -> None:
        work()

    def random_state(self) -> torch.Tensor:
        return torch.get_rng_state()

    def set_random_state(self, state: torch.Tensor) -> None:
        torch.set_rng_state(state)

    def same(self, found: Sequence[torch.Tensor], expected: Sequence[torch.Tensor]) -> bool:
        return True


#: by the type of a device, what records work there; other devices have nothing of the kind
BY_DEVICE: dict[str, type[Graphs]] = {"cuda": CudaGraphs, "meta": _Nothing}
