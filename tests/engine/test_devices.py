"""The choice of device and the messages about unusable GPUs; no test needs a GPU."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tinynet.engine import devices
from tinynet.engine.discovery import Engine
from tinynet.engine.failures import explain_failure

ENGINE = Engine("torch", "tinynet.torchcaffe", sys.executable, "2")


def python_that_sees(folder: Path, answer: str) -> str:
    """An interpreter whose torch gives ``answer``, and which records how it should count GPUs."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\necho $CUDA_DEVICE_ORDER > {folder}/order\necho '{answer}'\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture(autouse=True)
def nvidia_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "has_driver", lambda: True)
    for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"):
        monkeypatch.delenv(name, raising=False)


def test_gpus_are_counted_as_nvidia_smi_counts_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = python_that_sees(tmp_path, '["2.13", ["A", "B"], ""]')
    assert devices.cuda_devices(python) == ["A", "B"]
    assert devices.why_unused(python) == ""
    assert (tmp_path / "order").read_text() == "PCI_BUS_ID\n"
    devices._seen.cache_clear()
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "FASTEST_FIRST")  # a user's own setting is kept
    devices.cuda_devices(python)
    assert (tmp_path / "order").read_text() == "FASTEST_FIRST\n"


def test_a_gpu_that_torch_cannot_use_never_falls_back_to_the_cpu_silently(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = "The NVIDIA driver on your system is too old (found version 11040)"
    python = python_that_sees(tmp_path, f'["2.13.0+cu128", [], "{old}"]')
    assert devices.choose(Engine("torch", "m", python, "2"), None, False) is None
    message = devices.why_unused(python)
    assert f"PyTorch 2.13.0+cu128 finds no GPU ({old}): computing on the CPU" in message
    for hidden in ("", "-1"):  # hidden on purpose
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
        assert devices.why_unused(python) == ""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr(devices, "has_driver", lambda: False)
    assert devices.why_unused(python) == ""


def test_the_query_of_an_interpreter_agrees_with_its_torch() -> None:
    torch = pytest.importorskip("torch")
    seen = devices._seen(sys.executable)
    assert seen.torch == torch.__version__
    assert len(seen.names) == torch.cuda.device_count()
    assert bool(seen.why) == (not seen.names)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            "AcceleratorError: CUDA error: device-side assert triggered",
            r"the GPU has failed \(CUDA error: device-side assert triggered\); a label",
        ),
        (
            "RuntimeError: CUDA error: no kernel image is available for execution on the device",
            r"this PyTorch has no code for this GPU",
        ),
        (
            "AcceleratorError: CUDA error: unspecified launch failure",
            r"\(CUDA error: unspecified launch failure\); nvidia-smi .* written before are whole",
        ),
        ("RuntimeError: cuDNN error: CUDNN_STATUS_EXECUTION_FAILED", r"the GPU has failed \(cuDNN"),
        (
            "RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(h)`",
            "out of memory",
        ),
        (
            "OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total",
            r"^the GPU is out of memory \(asked for 20.00 MiB\); make the batch smaller",
        ),
        ("DistBackendError: NCCL error in: ProcessGroupNCCL.cpp:1", r"the GPU has failed \(NCCL"),
    ],
)
def test_a_gpu_error_is_one_line_with_advice(error: str, message: str) -> None:
    line = explain_failure(ENGINE, 1, [], error)
    assert re.search(message, line), line
    assert "\n" not in line


def test_other_errors_are_unchanged() -> None:
    for error in ("ValueError: no", "cannot use GPU 3: PyTorch finds none"):
        assert explain_failure(ENGINE, 1, [], error) == error


def test_a_thread_that_cannot_start_is_blamed_on_user_limits() -> None:
    line = explain_failure(ENGINE, 1, [], "RuntimeError: can't start new thread")
    assert line.endswith("new thread; a limit on processes (ulimit -u) or on memory (ulimit -v) is "
                         "reached")  # fmt: skip
