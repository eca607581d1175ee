"""Layers compute on the device of their blobs, and on a GPU what they compute on the CPU."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import tinynet.torchcaffe as torchcaffe
from tests.torchcaffe import both_engines
from tests.torchcaffe.conftest import assert_same
from tests.torchcaffe.layer_cases import LAYERS
from tests.torchcaffe.test_gradients import CASES
from tinynet.torchcaffe.context import Context


@pytest.mark.parametrize("name", {**LAYERS, **CASES})
def test_no_tensor_is_made_elsewhere(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the meta device, where operations with the CPU's tensors fail as on a GPU."""
    monkeypatch.setenv("GLOG_minloglevel", "2")
    meta = torch.device("meta")
    monkeypatch.setattr(Context, "device", property(lambda self: meta))
    case = {**LAYERS, **CASES}[name]
    path = tmp_path / "net.prototxt"
    path.write_text(case.text)
    net = torchcaffe.Net(path, case.phase)
    net.run_forward()
    for top in case.driven_tops:
        net.blobs[top].set_diff(torch.empty(net.blobs[top].shape, device=meta))
    net.run_backward()
    parameters = [blob for blobs in net.params.values() for blob in blobs]
    for blob in [*net.blobs.values(), *parameters]:
        assert blob.tensor.device == meta
        assert blob.grad.device == meta


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device")
@pytest.mark.parametrize("name", LAYERS)
def test_a_gpu_computes_what_the_cpu_computes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLOG_minloglevel", "2")
    case = LAYERS[name]
    cpu = both_engines.answer(torchcaffe, case.request, case.arrays)
    torchcaffe.set_device(0)
    torchcaffe.set_mode_gpu()
    try:
        gpu = both_engines.run_net(torchcaffe, case.request, case.arrays)
    finally:
        torchcaffe.set_mode_cpu()
    assert_same(cpu, gpu, 1e-4)
