"""Memory of a run: too much is refused beforehand, a shortage while running gives advice."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.run import small_runs
from tinynet.engine import discovery
from tinynet.errors import TinynetError
from tinynet.run import driver, memory
from tinynet.run.paths import RunPaths
from tinynet.run.request import TrainingRequest
from tinynet.run.training_prototxt import TrainingPrototxt, load

SOLVER = Path("small/solver.prototxt")
NET = Path("small/train_val.prototxt")


@pytest.fixture(autouse=True)
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(folder)
    return folder


def edited(old: str, new: str) -> TrainingPrototxt:
    assert old in small_runs.NET
    NET.write_text(small_runs.NET.replace(old, new))
    return load(SOLVER)


def test_the_estimate_equals_the_sizes_added_by_hand() -> None:
    prototxt = load(SOLVER)
    assert memory.image_of(prototxt) == (1, 6, 6)
    data, fc1 = 10 * 36, 10 * 4
    train = 2 * (data + 10 + fc1 + 1) + 3 * (36 * 4 + 4)
    test = data + 10 + fc1 + 1 + 1
    assert memory.estimate(prototxt) == 4 * (train + test)


@pytest.mark.parametrize(
    ("old", "new", "layer"),
    [
        ("num_output: 4", "num_output: 2000000000", "fc1"),
        ("batch_size: 10 backend: LMDB } }\nlayer { name: \"fc1\"",
         "batch_size: 1000000000 backend: LMDB } }\nlayer { name: \"fc1\"", "test"),
        ("batch_size: 10", "batch_size: 1000000000", "data"),
    ],
)  # fmt: skip
def test_sizes_beyond_any_machines_memory_are_refused_with_the_estimate(
    old: str, new: str, layer: str
) -> None:
    prototxt = edited(old, new)
    needed = memory.estimate(prototxt)
    assert needed is not None and needed > 10**11
    with pytest.raises(TinynetError, match=r"training would take about [\d.]+ [TGP]B, more") as e:
        memory.require(prototxt)
    assert layer == "test" or f"layer '{layer}'" in str(e.value)


def test_an_image_of_100000_by_100000_is_refused() -> None:
    prototxt = edited(
        'type: "Data" top: "data" top: "label" include { phase: TRAIN }',
        'type: "DummyData" top: "data" top: "label" include { phase: TRAIN } '
        "dummy_data_param { shape { dim: 1 dim: 3 dim: 100000 dim: 100000 } shape { dim: 1 } }",
    )
    with pytest.raises(TinynetError, match="TB, more than the"):
        memory.require(prototxt)


def test_a_run_that_needs_too_much_memory_is_refused_before_anything_is_written(
    folder: Path,
) -> None:
    edited("num_output: 4", "num_output: 2000000000")
    child = small_runs.train(folder)
    assert child.returncode == 1, child.stderr
    line = small_runs.last_line(child)
    assert "TB" in line and "fc1" in line and "Traceback" not in child.stderr
    assert not (folder / "runs").exists()


@pytest.mark.parametrize(
    "message",
    [
        "OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB (GPU 0; 10.76 GiB total)",
        "[enforce fail at alloc_cpu.cpp:114] . DefaultCPUAllocator: can't allocate memory: you "
        "tried to allocate 8000000000 bytes. Error code 12 (Cannot allocate memory)",
        "_ArrayMemoryError: Unable to allocate 7.45 GiB for an array with shape (1000000000,)",
        "MemoryError: ",
        "the GPU is out of memory (Check failed: error == cudaSuccess (2 vs. 0)  out of memory)",
        "the worker (caffe) is out of memory (std::bad_alloc)",
    ],
)
def test_out_of_memory_messages_of_every_engine_are_recognised(message: str) -> None:
    assert memory.is_shortage(message)


def test_other_failures_are_not_taken_for_a_memory_shortage() -> None:
    assert not memory.is_shortage("caffe gave up: Check failed: a == b (1 vs. 2) bad")


def test_the_advice_keeps_the_effective_batch() -> None:
    prototxt = load(SOLVER, {"iter_size": "3"})
    half = memory.estimate(prototxt.with_batch_size(5))
    advice = memory.advice(prototxt)
    assert f"batch_size 5 ({half:,} bytes) with iter_size 6" in advice
    assert "effective batch of 30" in advice and half < memory.estimate(prototxt)  # type: ignore


def test_a_net_without_a_batch_size_to_lower_is_not_advised_to_lower_it() -> None:
    one_image = load(SOLVER, {"iter_size": "3"}).with_batch_size(1)
    shaped = edited(
        'type: "Data" top: "data" top: "label" include { phase: TRAIN }',
        'type: "DummyData" top: "data" top: "label" include { phase: TRAIN } '
        "dummy_data_param { shape { dim: 64 dim: 3 dim: 9 dim: 8 } shape { dim: 64 } }",
    )
    for prototxt in (one_image, shaped):
        advice = memory.advice(prototxt)
        assert advice.endswith("use a smaller net or smaller images, or pass fewer images at once")


def test_an_odd_batch_keeps_its_product_with_iter_size() -> None:
    advice = memory.advice(load(SOLVER, {"iter_size": "3"}).with_batch_size(5))
    assert advice.endswith("make batch_size 5 smaller, and iter_size larger so that their product "
                           "stays 15")  # fmt: skip


def test_a_worker_that_runs_out_of_memory_gets_advice(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker's address space is limited, so that the engine itself fails."""
    pytest.importorskip("torch")
    edited("num_output: 4", "num_output: 50000000")  # weights of 7.2 GB
    monkeypatch.setattr(memory, "_memory_here", lambda: None)
    limited = folder / "limited-python"
    limited.write_text(f'#!/bin/sh\nulimit -v 6000000\nexec {sys.executable} "$@"\n')
    limited.chmod(0o755)
    engine = discovery.Engine("torch", "tinynet.torchcaffe", str(limited), "limited")
    monkeypatch.setattr(discovery, "find", lambda *_: engine)
    request = TrainingRequest(
        SOLVER, RunPaths(folder / "run"), engine="torch", cpu=True, quiet=True
    )
    with pytest.raises(TinynetError, match="iter_size 2 keeps the effective batch of 10"):
        driver.train(request, lambda _: None)


# what a GPU's allocator raises, in the pass after the second snapshot
SHORTAGE = """
import caffe
import torch

class Layer(caffe.Layer):
    passes = 0

    def setup(self, bottom, top):
        pass

    def reshape(self, bottom, top):
        top[0].reshape(*bottom[0].data.shape)

    def forward(self, bottom, top):
        self.passes += 1
        if self.passes == 18:
            raise torch.cuda.OutOfMemoryError(
                "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of "
                "10.76 GiB of which 1.50 GiB is free. Including non-PyTorch memory, this"
            )
        top[0].data[...] = bottom[0].data

    def backward(self, top, propagate_down, bottom):
        bottom[0].diff[...] = top[0].diff
"""


def test_a_gpu_that_runs_out_of_memory_in_training_gives_one_line_and_keeps_snapshots(
    folder: Path,
) -> None:
    pytest.importorskip("torch")
    (folder / "shortage.py").write_text(SHORTAGE)
    before, loss, after = small_runs.NET.partition('layer { name: "loss"')
    python = (
        'layer { name: "python" type: "Python" bottom: "fc1" top: "same" '
        'python_param { module: "shortage" layer: "Layer" } }\n'
    )
    loss += after.replace('bottom: "fc1"', 'bottom: "same"')
    NET.write_text(before + python + loss)
    path = f"{folder}:{small_runs.environment()['PYTHONPATH']}"
    child = small_runs.train(folder, "--cpu", "--engine", "torch", PYTHONPATH=path)
    assert child.returncode == 1
    line = small_runs.last_line(child)
    assert line.startswith(
        "tinynet: layer 'python': the GPU is out of memory (asked for 2.00 GiB, 1.50 GiB of "
        "10.76 GiB are free); make its batch"
    )
    assert "batch_size 5 with iter_size 2 keeps the effective batch of 10" in line
    assert "Traceback" not in child.stderr
    states = [path.name for path in (folder / small_runs.RUN).glob("snapshots/*.solverstate")]
    assert "snapshot_iter_16.solverstate" in states
