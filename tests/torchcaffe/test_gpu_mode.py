"""GPU mode, with stand-ins for the GPU: which one is used and seeded, and why one is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

import tinynet.torchcaffe as caffe
from tinynet.torchcaffe import context
from tinynet.torchcaffe.context import CONTEXT
from tinynet.torchcaffe.errors import CaffeError, report_out_of_memory

OUT_OF_MEMORY = (
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 10.76 GiB of "
    "which 1.50 GiB is free. Including non-PyTorch memory, this process has 9.1 GiB in use.\nMore"
)


@pytest.fixture
def pytorch_calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, int]]]:
    """Record the calls to PyTorch, which sees three working GPUs."""
    calls: list[tuple[str, int]] = []
    cuda = torch.cuda
    monkeypatch.setattr(cuda, "is_available", lambda: True)
    monkeypatch.setattr(cuda, "device_count", lambda: 3)
    monkeypatch.setattr(cuda, "set_device", lambda number: calls.append(("device", number)))
    monkeypatch.setattr(cuda, "manual_seed", lambda seed: calls.append(("seed", seed)))
    monkeypatch.setattr(context, "_require_computes", lambda device: None)
    monkeypatch.setattr(CONTEXT, "_seed_for_gpu", None)
    yield calls
    CONTEXT.device_id = 0
    caffe.set_mode_cpu()


def test_the_chosen_gpu_becomes_pytorchs_current_one_before_it_is_seeded(
    pytorch_calls: list[tuple[str, int]],
) -> None:
    """``torch.cuda.manual_seed`` seeds PyTorch's current GPU, which is 0 unless one is chosen."""
    caffe.set_device(1)
    caffe.set_mode_gpu()
    assert pytorch_calls == [("device", 1)]
    caffe.set_random_seed(5)
    assert pytorch_calls[1:] == [("device", 1), ("seed", 5)]
    caffe.set_device(2)
    assert pytorch_calls[3:] == [("device", 2)]


def test_a_seed_that_is_set_before_gpu_mode_also_seeds_the_gpu(
    pytorch_calls: list[tuple[str, int]],
) -> None:
    """As in Caffe, whose generators are seeded in any mode."""
    caffe.set_random_seed(7)
    caffe.set_device(1)
    caffe.set_mode_gpu()
    caffe.set_mode_gpu()
    assert pytorch_calls == [("device", 1), ("seed", 7), ("device", 1)]


def test_a_device_number_without_a_gpu_is_refused_with_the_valid_numbers(
    pytorch_calls: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6")
    with pytest.raises(CaffeError) as error:
        caffe.set_device(5)
    assert str(error.value) == (
        "no GPU 5: PyTorch sees GPUs 0 to 2 here (CUDA_VISIBLE_DEVICES is '4,5,6')"
    )


@pytest.mark.parametrize(
    ("build", "why", "shown", "message"),
    [
        (None, "", None, "is a CPU build; use the CPU, or install a CUDA build of torch"),
        ("12.8", "No CUDA GPUs are available", "", "finds none: No CUDA GPUs are available "
         "(CUDA_VISIBLE_DEVICES is '')"),
        ("12.8", "No CUDA GPUs are available", "7", "(CUDA_VISIBLE_DEVICES is '7')"),
        ("12.8", "The NVIDIA driver on your system is too old (found version 11040). Please "
         "update.\nOr do without.", None, "too old (found version 11040). Please update; use"),
    ],
)  # fmt: skip
def test_if_pytorch_sees_no_gpu_one_line_says_why(
    build: str | None, why: str, shown: str | None, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def init() -> None:
        raise RuntimeError(why)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "init", init)
    monkeypatch.setattr(torch.version, "cuda", build)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if shown is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", shown)
    for choose in (lambda: caffe.set_device(0), caffe.set_mode_gpu):
        with pytest.raises(CaffeError) as error:
            choose()
        line = str(error.value)
        assert line.startswith("cannot use GPU 0: PyTorch 2") and message in line
        assert "\n" not in line and not CONTEXT.gpu


def test_a_gpu_that_cannot_compute_is_refused_before_a_net_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*size: Any, device: torch.device) -> None:
        raise RuntimeError(f"CUDA error: no kernel image is available on {device}\nCompile with")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch, "ones", fail)
    with pytest.raises(CaffeError) as error:
        caffe.set_mode_gpu()
    assert "GPU 0 cannot be used: CUDA error: no kernel image is available on cuda:0; use" in str(
        error.value
    )
    assert not CONTEXT.gpu


@pytest.mark.parametrize(
    ("message", "in_line"),
    [
        (OUT_OF_MEMORY, " (asked for 2.00 GiB, 1.50 GiB of 10.76 GiB are free); make its batch"),
        ("CUDA out of memory. Tried to allocate 20.00 MiB (GPU 0)", " (asked for 20.00 MiB); make"),
        ("", "the GPU is out of memory; make its batch"),
    ],
)
def test_when_gpu_memory_runs_out_one_line_names_the_layer_and_the_error_is_still_torchs(
    message: str, in_line: str
) -> None:
    with pytest.raises(CaffeError) as error, report_out_of_memory("conv1"):
        raise torch.cuda.OutOfMemoryError(message)
    line = str(error.value)
    assert line.startswith("layer 'conv1': the GPU is out of memory")
    assert in_line in line and "\n" not in line
    # for callers that then halve the batch
    assert isinstance(error.value, torch.cuda.OutOfMemoryError)


def test_when_gpu_memory_runs_out_in_the_backward_pass_the_layer_is_named(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(
        'input: "x" input_shape { dim: 2 dim: 3 } force_backward: true '
        'layer { name: "fc" type: "InnerProduct" bottom: "x" top: "y" '
        "inner_product_param { num_output: 2 } }"
    )
    net = caffe.Net(str(path), caffe.TRAIN)
    net.forward()

    def fail(*_: Any) -> None:
        raise torch.cuda.OutOfMemoryError(OUT_OF_MEMORY)

    monkeypatch.setattr(type(net.layers[-1]), "backward", fail)
    with pytest.raises(CaffeError, match="layer 'fc': the GPU is out of memory"):
        net.backward()
