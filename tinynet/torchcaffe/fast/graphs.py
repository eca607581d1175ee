"""What records a piece of work on a device once, to have it repeated by a single call.

On CUDA that is a CUDA graph.  The work is not done while it is recorded, and its results lie in
memory that every repetition writes anew.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Sequence
from typing import Protocol

import torch

from tinynet.torchcaffe.errors import first_line

Work = Callable[[], object]


class Graphs(Protocol):
    """Records and repeats work on one device; ``BY_DEVICE`` has the one of a type of device."""

    def __init__(self, device: torch.device) -> None: ...

    def record(self, work: Work) -> Callable[[], object]:
        """Record ``work`` without doing it; what is returned does it, each time it is called."""

    def beside(self, work: Work) -> None:
        """Do ``work`` in a queue of its own, which libraries need once before they are recorded."""

    def failed(self) -> str:
        """Why nothing is recorded or repeated on the device any more; "" where it can be."""

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


#: why a recording failed, by its device: after that nothing more is recorded or repeated there
_FAILED: dict[torch.device, str] = {}


@functools.cache
def _queue(device: torch.device) -> torch.cuda.Stream:
    """The stream in which work on ``device`` is made ready and recorded.

    One for both, so that what libraries make for a stream (cuBLAS its workspace) is there before
    the recording.  torch's own is of the GPU on which the process has recorded first.
    """
    return torch.cuda.Stream(device)


class CudaGraphs:
    """CUDA graphs, each with a private pool of memory.

    torch's own generator of the device takes part by itself: a repetition draws from its state of
    that time and moves it on, as the work itself does.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def record(self, work: Work) -> Callable[[], object]:
        with torch.cuda.device(self._device):
            graph, pool = torch.cuda.CUDAGraph(), torch.cuda.graph_pool_handle()
            main = torch.cuda.current_stream()
            try:
                # a reader's thread may meanwhile ask for page-locked memory: only ours is watched
                with torch.cuda.graph(
                    graph, pool, _queue(self._device), capture_error_mode="thread_local"
                ):
                    work()
            except BaseException as error:
                _FAILED[self._device] = first_line(error)
                torch.cuda.set_stream(main)
                _leave_recording(self._device, pool)
                raise
        return graph.replay

    def beside(self, work: Work) -> None:
        with torch.cuda.device(self._device):
            main, side = torch.cuda.current_stream(), _queue(self._device)
            side.wait_stream(main)
            with torch.cuda.stream(side):
                work()
            main.wait_stream(side)

    def failed(self) -> str:
        said = _FAILED.get(self._device)
        return f"a recording has failed on this GPU before ({said})" if said else ""

    def random_state(self) -> torch.Tensor:
        return torch.cuda.get_rng_state(self._device)

    def set_random_state(self, state: torch.Tensor) -> None:
        torch.cuda.set_rng_state(state, self._device)

    def same(self, found: Sequence[torch.Tensor], expected: Sequence[torch.Tensor]) -> bool:
        return same_bits(found, expected)


def _leave_recording(device: torch.device, pool: tuple[int, int]) -> None:
    """Undo what a recording that failed leaves behind in torch, so that the plain path can run.

    In most releases the end of a failed recording raises before torch has put back the current
    stream, told the allocator that the recording is over (it would free no cached memory any more,
    and ``empty_cache`` would raise), and told the generator, which would then refuse to draw.
    The generator takes a copy of its state, with seed and offset as they are; recordings that were
    made before stay with the old one, and so nothing that draws may be repeated any more.
    """
    with contextlib.suppress(RuntimeError, AttributeError):  # it was told
        torch._C._cuda_endAllocateToPool(device.index, pool)
        torch._C._cuda_releasePool(device.index, pool)
    generator = torch.cuda.default_generators[device.index]
    if hasattr(generator, "clone_state"):  # a state that can be refused, from torch 2.4 on
        generator.graphsafe_set_state(generator.clone_state())


class _Nothing:
    """For nets without values (no_kernels.py): a repetition is nothing to the host."""

    def __init__(self, device: torch.device) -> None:
        pass

    def record(self, work: Work) -> Callable[[], object]:
        work()
        return lambda: None

    def beside(self, work: Work) -> None:
        work()

    def failed(self) -> str:
        return ""

    def random_state(self) -> torch.Tensor:
        return torch.get_rng_state()

    def set_random_state(self, state: torch.Tensor) -> None:
        torch.set_rng_state(state)

    def same(self, found: Sequence[torch.Tensor], expected: Sequence[torch.Tensor]) -> bool:
        return True


#: by the type of a device, what records work there; other devices have nothing of the kind
BY_DEVICE: dict[str, type[Graphs]] = {"cuda": CudaGraphs, "meta": _Nothing}
