"""How CUDA graphs are recorded, and what a recording that fails leaves behind, on stand-ins.

The stand-ins do what torch's own do where a recording fails: its end raises before the stream, the
allocator and the generator are what they were.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from tinynet.torchcaffe.fast import graphs

GPU = torch.device("cuda", 1)


class Stream:
    def __init__(self, name: object) -> None:
        self.name = name
        self.waited: list[Stream] = []

    def wait_stream(self, other: Stream) -> None:
        self.waited.append(other)


class Generator:
    def __init__(self, recording: bool = False) -> None:
        self.recording, self.state = recording, "seed and offset"

    def clone_state(self) -> Generator:
        return Generator()

    def graphsafe_set_state(self, other: Generator) -> None:
        self.recording, self.state = other.recording, other.state


class Cuda:
    """torch.cuda, as far as recordings use it."""

    def __init__(self) -> None:
        self.main = Stream("main")
        self.stream_now = self.main
        self.devices: list[object] = []
        self.default_generators = [Generator(), Generator()]
        self.underway: list[object] = []  # pools that the allocator currently records into
        self.released: list[object] = []
        self.modes: list[str] = []
        self.queues: list[Stream] = []
        self.fails_to_end = False

    def CUDAGraph(self) -> Any:
        return type("Graph", (), {"replay": lambda graph: "replayed"})()

    def graph_pool_handle(self) -> tuple[int, int]:
        return (0, 7)

    def Stream(self, device: object) -> Stream:
        self.queues.append(Stream(device))
        return self.queues[-1]

    def current_stream(self) -> Stream:
        return self.stream_now

    def set_stream(self, stream: Stream) -> None:
        self.stream_now = stream

    @contextlib.contextmanager
    def device(self, device: object) -> Iterator[None]:
        self.devices.append(device)
        yield
        self.devices.append("back")

    @contextlib.contextmanager
    def stream(self, stream: Stream) -> Iterator[None]:
        before, self.stream_now = self.stream_now, stream
        yield
        self.stream_now = before

    @contextlib.contextmanager
    def graph(
        self, graph: Any, pool: object, stream: Stream, capture_error_mode: str
    ) -> Iterator[None]:
        self.modes.append(capture_error_mode)
        self.stream_now = stream
        self.underway.append(pool)
        self.default_generators[1].recording = True
        try:
            yield
        finally:
            if self.fails_to_end:
                raise RuntimeError("CUDA error: operation failed due to a previous error\nMore")
            self.underway.remove(pool)
            self.default_generators[1].recording = False
            self.stream_now = self.main

    # torch._C's

    def end(self, device: int, pool: object) -> None:
        if pool not in self.underway:
            raise RuntimeError("not recording to that pool")
        self.underway.remove(pool)

    def release(self, device: int, pool: object) -> None:
        self.released.append((device, pool))


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cuda]:
    fake = Cuda()
    for name in dir(fake):
        if hasattr(torch.cuda, name) and not name.startswith("_"):
            monkeypatch.setattr(torch.cuda, name, getattr(fake, name))
    monkeypatch.setattr(torch._C, "_cuda_endAllocateToPool", fake.end, raising=False)
    monkeypatch.setattr(torch._C, "_cuda_releasePool", fake.release, raising=False)
    monkeypatch.setattr(graphs, "_FAILED", {})
    graphs._recording_stream.cache_clear()
    yield fake
    graphs._recording_stream.cache_clear()


def test_the_stand_ins_use_names_that_torch_has() -> None:
    own = {name for name in dir(Cuda) if not name.startswith("_")} - {"end", "release"}
    assert {name for name in (*own, "default_generators") if not hasattr(torch.cuda, name)} == set()
    for name in ("clone_state", "graphsafe_set_state"):
        assert hasattr(torch.Generator, name)
    for name in ("_cuda_endAllocateToPool", "_cuda_releasePool"):
        assert hasattr(torch._C, name)
    how = inspect.signature(torch.cuda.graph.__init__)
    bound = how.bind(None, None, (0, 7), "a stream", capture_error_mode="thread_local")
    assert bound.arguments["pool"] == (0, 7) and bound.arguments["stream"] == "a stream"


def test_work_is_warmed_up_and_recorded_in_one_stream_of_its_own_gpu(cuda: Cuda) -> None:
    recorder = graphs.CudaGraphs(GPU)
    where: list[Stream] = []
    recorder.warm_up(lambda: where.append(cuda.stream_now))
    repeat = recorder.record(lambda: where.append(cuda.stream_now))
    assert repeat() == "replayed"
    (queue,) = cuda.queues
    assert where == [queue, queue] and queue.name == GPU
    assert cuda.devices == [GPU, "back"] * 2
    # the recording waits for earlier work, and later work waits for the recording
    assert queue.waited == [cuda.main] and cuda.main.waited == [queue]
    # a reader's thread may allocate page-locked memory meanwhile
    assert cuda.modes == ["thread_local"]
    assert recorder.failed() == "" and cuda.released == []


@pytest.mark.parametrize("fails_to_end", [True, False])
def test_a_failed_recording_leaves_torch_unchanged(cuda: Cuda, fails_to_end: bool) -> None:
    cuda.fails_to_end = fails_to_end
    recorder, other = graphs.CudaGraphs(GPU), graphs.CudaGraphs(GPU)

    def work() -> None:
        raise RuntimeError("operation not permitted when stream is capturing")

    with pytest.raises(RuntimeError):
        recorder.record(work)
    assert cuda.stream_now is cuda.main
    assert cuda.underway == []  # otherwise the allocator would free nothing from then on
    # if torch ended the pool itself, it also releases it, with the graph
    assert cuda.released == ([(1, (0, 7))] if fails_to_end else [])
    generator = cuda.default_generators[1]
    assert not generator.recording and generator.state == "seed and offset"
    # earlier recordings draw from the generator state that was left behind
    assert "a recording has failed on this GPU before (" in recorder.failed()
    assert other.failed() == recorder.failed() and "\n" not in other.failed()
    assert graphs.CudaGraphs(torch.device("cuda", 0)).failed() == ""
