"""Records a piece of work on a device once, so that a single call repeats it: a CUDA graph.

The work is not done while it is recorded.  Its results lie in memory that every repetition
overwrites.
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
    """Records and repeats work on one device; ``BY_DEVICE`` has an implementation per type."""

    def __init__(self, device: torch.device) -> None: ...

    def record(self, work: Work) -> Callable[[], object]:
        """Record ``work`` without doing it; return a function that does it at each call."""

    def warm_up(self, work: Work) -> None:
        """Do ``work`` on the recording's own stream, as libraries need once before a recording."""

    def failed(self) -> str:
        """Why nothing is recorded or repeated on the device any more; "" if it can be."""

    def random_state(self) -> torch.Tensor:
        """The state of the generator from which both the work and its repetitions draw."""

    def set_random_state(self, state: torch.Tensor) -> None: ...

    def same(self, found: Sequence[torch.Tensor], expected: Sequence[torch.Tensor]) -> bool:
        """Whether all values are equal to the bit."""


def same_bits(found: Sequence[torch.Tensor], expected: Sequence[torch.Tensor]) -> bool:
    """Whether float32 (or byte) tensors hold the same bits, including NaN and the sign of zero."""

    def bits(values: torch.Tensor) -> torch.Tensor:
        return values.view(torch.int32) if values.dtype == torch.float32 else values

    assert len(found) == len(expected)
    return all(torch.equal(bits(a), bits(b)) for a, b in zip(found, expected))


#: why a recording failed, by device; nothing more is recorded or repeated on such a device
_FAILED: dict[torch.device, str] = {}


#: graphs whose recording failed: torch's allocator of page-locked memory may still refer to them
_LEFT: list[torch.cuda.CUDAGraph] = []


@functools.cache
def _recording_stream(device: torch.device) -> torch.cuda.Stream:
    """The stream on which work on ``device`` is warmed up and recorded.

    It is one stream for both, so that what libraries allocate per stream (cuBLAS's workspace) is
    there before the recording.  torch's default stream for recordings belongs to the GPU on which
    the process recorded first.
    """
    return torch.cuda.Stream(device)


class CudaGraphs:
    """CUDA graphs, each with a private pool of memory.

    torch's generator of the device takes part by itself: a repetition draws from the state that it
    has at that time, and advances it as the work itself does.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def record(self, work: Work) -> Callable[[], object]:
        with torch.cuda.device(self._device):
            graph, pool = torch.cuda.CUDAGraph(), torch.cuda.graph_pool_handle()
            main = torch.cuda.current_stream()
            try:
                # "thread_local": a reader's thread may allocate page-locked memory meanwhile
                stream = _recording_stream(self._device)
                with torch.cuda.graph(graph, pool, stream, capture_error_mode="thread_local"):
                    work()
            except BaseException as error:
                _LEFT.append(graph)
                _FAILED[self._device] = first_line(error)
                torch.cuda.set_stream(main)
                _leave_recording(self._device, pool)
                raise
        return graph.replay

    def warm_up(self, work: Work) -> None:
        with torch.cuda.device(self._device):
            main, side = torch.cuda.current_stream(), _recording_stream(self._device)
            side.wait_stream(main)
            with torch.cuda.stream(side):
                work()
            main.wait_stream(side)

    def failed(self) -> str:
        reason = _FAILED.get(self._device)
        return f"a recording has failed on this GPU before ({reason})" if reason else ""

    def random_state(self) -> torch.Tensor:
        return torch.cuda.get_rng_state(self._device)

    def set_random_state(self, state: torch.Tensor) -> None:
        torch.cuda.set_rng_state(state, self._device)

    def same(self, found: Sequence[torch.Tensor], expected: Sequence[torch.Tensor]) -> bool:
        return same_bits(found, expected)


def _leave_recording(device: torch.device, pool: tuple[int, int]) -> None:
    """Undo what a failed recording leaves behind in torch, so that the plain path can run.

    In most releases the end of a failed recording raises too early.  torch has then not put back
    the current stream (``record`` does that).  Nor has it told the allocator that the recording is
    over, so that it frees no cached memory and ``empty_cache`` raises; nor the generator, which
    then refuses to draw.

    The generator gets a copy of its state, with the same seed and offset.  Earlier recordings keep
    the old state, and so nothing that draws may be repeated any more.
    """
    with contextlib.suppress(RuntimeError, AttributeError):  # raised if the allocator was told
        torch._C._cuda_endAllocateToPool(device.index, pool)
        torch._C._cuda_releasePool(device.index, pool)
    generator = torch.cuda.default_generators[device.index]
    if hasattr(generator, "clone_state"):  # from torch 2.4 on; earlier generators never refuse
        generator.graphsafe_set_state(generator.clone_state())


class _Nothing:
    """For nets without values (no_kernels.py): a repetition costs the host nothing."""

    def __init__(self, device: torch.device) -> None:
        pass

    def record(self, work: Work) -> Callable[[], object]:
        work()
        return lambda: None

    def warm_up(self, work: Work) -> None:
        work()

    def failed(self) -> str:
        return ""

    def random_state(self) -> torch.Tensor:
        return torch.get_rng_state()

    def set_random_state(self, state: torch.Tensor) -> None:
        torch.set_rng_state(state)

    def same(self, found: Sequence[torch.Tensor], expected: Sequence[torch.Tensor]) -> bool:
        return True


#: what records work, by type of device; other devices cannot record
BY_DEVICE: dict[str, type[Graphs]] = {"cuda": CudaGraphs, "meta": _Nothing}
