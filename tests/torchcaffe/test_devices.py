"""Layers compute on the device of their blobs, and on a GPU what they compute on the CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import tinynet.torchcaffe as torchcaffe
from tests.torchcaffe import both_engines
from tests.torchcaffe.conftest import assert_same
from tests.torchcaffe.layer_cases import LAYERS
from tests.torchcaffe.small_nets import layer
from tests.torchcaffe.test_gradients import CASES
from tinynet.data.store import encode_datum, write_store
from tinynet.prototxt import schema, text
from tinynet.torchcaffe.context import Context
from tinynet.torchcaffe.solver import create_solver


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


def test_a_training_iteration_never_waits_for_the_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the meta device, where reading a value back, as ``float(loss)`` does, is an error."""
    monkeypatch.setenv("GLOG_minloglevel", "2")
    meta = torch.device("meta")
    monkeypatch.setattr(Context, "device", property(lambda self: meta))
    pixels = np.arange(3 * 8 * 8, dtype=np.uint8).reshape(3, 8, 8)
    write_store(tmp_path / "lmdb", [(b"%d" % i, encode_datum(pixels, i)) for i in range(5)])
    crop = "mirror: true crop_size: 7 mean_value: 100 scale: 0.1"
    source = f'source: "{tmp_path / "lmdb"}" batch_size: 4 backend: LMDB'
    conv = "num_output: 8 kernel_size: 3"
    layers = (
        layer(
            "Data", "", "data label", f"transform_param {{ {crop} }} data_param {{ {source} }}", "d"
        )
        + layer("Convolution", "data", "conv", f"convolution_param {{ {conv} }}", "conv")
        + layer("ReLU", "conv", "conv", "", "relu")
        + layer("Pooling", "conv", "pool", "pooling_param { kernel_size: 2 stride: 2 }", "pool")
        + layer("Dropout", "pool", "pool", "", "drop")
        + layer("InnerProduct", "pool", "fc", "inner_product_param { num_output: 5 }", "fc")
        + layer("SoftmaxWithLoss", "fc label", "loss", "", "loss")
    )
    param = schema.SolverParameter(base_lr=0.1, lr_policy="fixed", momentum=0.9, weight_decay=0.1)
    param.train_net_param.CopyFrom(text.parse(layers, schema.NetParameter, "net"))
    solver = create_solver(param)
    solver.step(3)
    assert solver.iter == 3
    with pytest.raises(RuntimeError, match="meta"):
        float(solver.net.blobs["loss"].tensor)  # or the test above could not fail


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
