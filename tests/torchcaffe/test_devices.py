"""Layers compute on the device of their blobs; on the meta device, so that no GPU is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import tinynet.torchcaffe as torchcaffe
from tests.torchcaffe.layer_cases import LAYERS
from tests.torchcaffe.layer_cases.stages import STOCHASTIC
from tests.torchcaffe.small_nets import layer
from tinynet.caffeformat import schema, text
from tinynet.caffeformat.datum import encode_datum
from tinynet.caffeformat.lmdb import write_store
from tinynet.torchcaffe import extensions
from tinynet.torchcaffe.context import CONTEXT, Context
from tinynet.torchcaffe.solver import create_solver

# what their indices are decides what they compute, or whether they refuse it: the host must know
_READ_INDICES = ("BatchReindex", "Embed", "Filter")
_CASES = {name: c for name, c in {**LAYERS, **STOCHASTIC}.items() if c.type not in _READ_INDICES}


@pytest.mark.parametrize("name", _CASES)
def test_no_tensor_is_made_elsewhere(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the meta device, where operations with the CPU's tensors fail as on a GPU."""
    meta = torch.device("meta")
    monkeypatch.setattr(Context, "device", property(lambda self: meta))
    case = _CASES[name]
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


class Crossings(TorchDispatchMode):
    """Collects what goes from one device to another, and refuses what makes the host wait."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        assert name not in ("_local_scalar_dense", "nonzero", "equal", "is_nonzero"), name
        result = func(*args, **kwargs)
        given = [a for a in (*args, *kwargs.values()) if isinstance(a, torch.Tensor)]
        copied = [*given, result] if isinstance(result, torch.Tensor) else given
        if name in ("copy_", "_to_copy", "set_", "cat") and len({t.device for t in copied}) > 1:
            self.seen.append(f"{name} {given[-1].dtype} {tuple(given[-1].shape)}")
        return result


@pytest.mark.skipif(not CONTEXT.fast, reason="without fast/ whole batches go to the device")
def test_a_training_iteration_brings_a_plan_to_the_device_and_waits_for_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the meta device: a copy to it from the host's own memory would make a GPU's host wait."""
    meta = torch.device("meta")
    monkeypatch.setattr(Context, "device", property(lambda self: meta))
    pixels = np.arange(3 * 8 * 8, dtype=np.uint8).reshape(3, 8, 8)
    write_store(tmp_path / "lmdb", [(b"%d" % i, encode_datum(pixels, i)) for i in range(5)])
    crop = "mirror: true crop_size: 7 mean_value: 100 scale: 0.1"
    source = f'source: "{tmp_path / "lmdb"}" batch_size: 4 backend: LMDB prefetch: 1'
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
    param.iter_size = 2
    param.train_net_param.CopyFrom(text.parse(layers, schema.NetParameter, "net"))
    solver = create_solver(param)
    extensions.limit_norms(solver, 3.0)
    with Crossings() as crossings:
        solver.step(1)
    plan, images = "_to_copy torch.int64 (5, 4)", "_to_copy torch.uint8 (4, 3, 8, 8)"
    assert crossings.seen == [plan, images] * 2  # each epoch of 5 is read in two batches of 4
    solver.step(2)  # what was read ahead
    with Crossings() as crossings:
        solver.step(3)
    # the first iteration is done plainly; then each plan goes to a place that stays
    assert crossings.seen == [plan] * 2 + ["copy_ torch.int64 (5, 4)"] * 4
    assert solver.iter == 6


def test_what_would_make_the_host_wait_is_noticed() -> None:
    """Or the test above could not fail."""
    with Crossings() as crossings:
        torch.zeros(3).to("meta")
        torch.zeros(3, device="meta").copy_(torch.zeros(3))
    assert len(crossings.seen) == 2
    with Crossings(), pytest.raises(AssertionError, match="_local_scalar_dense"):
        float(torch.zeros(()))
