"""Asking real Caffe and the torch engine the same question."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest
import torch

import tinynet.torchcaffe as torchcaffe
from tests.run import small_stages
from tests.torchcaffe import both_engines
from tests.torchcaffe.small_nets import one

Answer = dict[str, np.ndarray]
Ask = Callable[..., tuple[Answer, Answer]]


needs_gpu = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="this machine has no CUDA device"
)


@pytest.fixture(params=["cpu", pytest.param("gpu", marks=needs_gpu)])
def device(request: pytest.FixtureRequest) -> Iterator[str]:
    """The test runs once in CPU mode and, where there is a GPU, once on the first."""
    with on_gpu() if request.param == "gpu" else contextlib.nullcontext():
        yield request.param


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the data of ``small_stages``, for ``small_stages.write_stage``."""
    path = tmp_path_factory.mktemp("stages")
    small_stages.write_data(path)
    return path


@contextlib.contextmanager
def on_gpu() -> Iterator[None]:
    """Make nets on the first GPU within the block."""
    torchcaffe.set_device(0)
    torchcaffe.set_mode_gpu()
    try:
        yield
    finally:
        torchcaffe.set_mode_cpu()


class RealCaffe:
    """A process of real Caffe that answers requests; it is restarted after it aborts."""

    def __init__(self, python: str) -> None:
        self.python = python
        self._process: subprocess.Popen[str] | None = None

    def answer(self, request: dict[str, Any], inputs: Answer, folder: Path) -> Answer:
        if self._ask(request, inputs, folder) != "done":
            self.close()
            raise AssertionError("real Caffe aborted or failed on this request; see its stderr")
        with np.load(folder / "out.npz") as stored:
            return {name: stored[name] for name in stored.files}

    def attempt(self, request: dict[str, Any], inputs: Answer, folder: Path) -> tuple[str, str]:
        """How the request ends, 'done', 'raised' or 'aborted', and what it wrote to stderr."""
        (folder / "stderr").unlink(missing_ok=True)
        end = self._ask({**request, "attempt": True}, inputs, folder)
        return end, (folder / "stderr").read_text()

    def normalizes_by_batch(self, folder: Path) -> bool:
        """Whether BatchNorm uses the batch's statistics in TRAIN: kendryte-caffe's never does."""
        x = np.arange(6, dtype=np.float32).reshape(3, 2)
        request = {"net": one("BatchNorm", "", (3, 2)), "backward": False}
        return bool(self.answer(request, {"x": x}, folder)["0/data/y"].max() < 2)

    def has_clip(self, folder: Path) -> bool:
        """Whether there is a layer type Clip: kendryte-caffe has none, and aborts."""
        text = one("Clip", "clip_param { min: 0 max: 1 }", (1,))
        return self.attempt({"net": text, "backward": False}, {}, folder)[0] == "done"

    def _ask(self, request: dict[str, Any], inputs: Answer, folder: Path) -> str:
        (folder / "request.json").write_text(json.dumps(request))
        np.savez(folder / "inputs.npz", **inputs)
        process = self._start()
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(f"{folder}\n")
        process.stdin.flush()
        return process.stdout.readline().strip()

    def _start(self) -> subprocess.Popen[str]:
        if self._process is None:
            environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
            environment.update(GLOG_minloglevel="2", OMP_NUM_THREADS="1")
            self._process = subprocess.Popen(
                [self.python, both_engines.__file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=environment,
            )
        return self._process

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


@pytest.fixture(scope="session")
def real_caffe(caffe_python: str) -> Iterator[RealCaffe]:
    caffe = RealCaffe(caffe_python)
    yield caffe
    caffe.close()


@pytest.fixture(scope="session")
def caffe_that_normalizes_by_batch(
    real_caffe: RealCaffe, tmp_path_factory: pytest.TempPathFactory
) -> RealCaffe:
    if not real_caffe.normalizes_by_batch(tmp_path_factory.mktemp("batch_norm")):
        pytest.skip("this Caffe's BatchNorm (kendryte-caffe's) has stored statistics even in TRAIN")
    return real_caffe


@pytest.fixture(scope="session")
def caffe_that_has_clip(
    real_caffe: RealCaffe, tmp_path_factory: pytest.TempPathFactory
) -> RealCaffe:
    if not real_caffe.has_clip(tmp_path_factory.mktemp("clip")):
        pytest.skip("this Caffe (kendryte-caffe) has no Clip")
    return real_caffe


@pytest.fixture
def logged() -> None:
    """For tests that look at what the engine logs."""


@pytest.fixture(autouse=True)
def _quiet(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the engine log only errors, unless the test reads its log or its output."""
    looks = {"logged", "capfd", "capsys"} & set(request.fixturenames)
    monkeypatch.setenv("GLOG_minloglevel", "0" if looks else "2")


@pytest.fixture
def ask_both(real_caffe: RealCaffe, tmp_path: Path) -> Ask:
    """``ask_both(request, inputs)`` → (real Caffe's answer, the torch engine's)."""

    def ask(request: dict[str, Any], inputs: Answer | None = None) -> tuple[Answer, Answer]:
        real = real_caffe.answer(request, inputs or {}, tmp_path)
        return real, both_engines.answer(torchcaffe, request, inputs or {})

    return ask


@pytest.fixture
def both_refuse(real_caffe: RealCaffe, tmp_path: Path) -> Callable[..., str]:
    """``both_refuse(request, inputs)`` → the CaffeError's message, where real Caffe aborts too."""

    def ask(request: dict[str, Any], inputs: Answer | None = None) -> str:
        end, stderr = real_caffe.attempt(request, inputs or {}, tmp_path)
        assert end != "done", "real Caffe accepts this"
        assert end == "raised" or "Check failure stack trace" in stderr, stderr
        with pytest.raises(torchcaffe.CaffeError) as refused:
            both_engines.answer(torchcaffe, request, inputs or {})
        return str(refused.value)

    return ask


def assert_same(real: Answer, ours: Answer, tolerance: float = 1e-5) -> None:
    """Every array of real Caffe's answer is there, of the same shape, and equal up to rounding.

    The tolerance is relative to the largest value of each array.
    """
    assert set(real) <= set(ours)
    for name, expected in real.items():
        found = ours[name]
        assert found.shape == expected.shape, name
        if expected.dtype.kind in "US":
            assert found.tolist() == expected.tolist(), name
            continue
        scale = max(1e-6, float(np.abs(expected).max(initial=0.0)))
        worst = float(np.abs(found - expected).max(initial=0.0))
        assert worst <= tolerance * scale, f"{name}: differs by {worst} of {scale}"
