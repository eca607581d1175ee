"""bf16 and tf32: what is computed in them, what stays float32, and what is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pytest
import torch

import tinynet.torchcaffe as caffe
from tests.torchcaffe.small_nets import GAUSSIAN, layer, net
from tinynet.caffeformat import schema, text
from tinynet.engine.precision import PRECISIONS
from tinynet.torchcaffe import precision
from tinynet.torchcaffe.context import CONTEXT
from tinynet.torchcaffe.solver import create_solver

_LAYERS = (
    layer(
        "Convolution",
        "data",
        "c",
        f"convolution_param {{ num_output: 8 kernel_size: 3 {GAUSSIAN} }}",
        "conv",
    )
    + layer("ReLU", "c", "c", "relu_param { negative_slope: 0.01 }", "relu")
    + layer("Pooling", "c", "p", "pooling_param { kernel_size: 2 stride: 2 }", "pool")
    + layer("Dropout", "p", "p", "dropout_param { dropout_ratio: 0.3 }", "drop")
    + layer("InnerProduct", "p", "f", f"inner_product_param {{ num_output: 5 {GAUSSIAN} }}", "fc")
    + layer("SoftmaxWithLoss", "f label", "loss", "", "loss")
)


@pytest.fixture(autouse=True)
def _float32_afterwards() -> Iterator[None]:
    yield
    CONTEXT.precision = "float32"


def _trained(name: str, iterations: int = 5) -> caffe.Solver:
    caffe.set_mode_cpu()
    caffe.extensions.set_precision(name)
    written = net(_LAYERS, ("data", (6, 2, 8, 9)), ("label", (6,)), force_backward=False)
    param = schema.SolverParameter(base_lr=0.05, lr_policy="fixed", momentum=0.9, random_seed=2)
    param.train_net_param.CopyFrom(text.parse(written, schema.NetParameter, "net"))
    solver = create_solver(param)
    numbers = np.random.default_rng(4)
    solver.net.blobs["data"].data[...] = numbers.normal(size=(6, 2, 8, 9))
    solver.net.blobs["label"].data[...] = numbers.integers(0, 5, 6)
    solver.step(iterations)
    return solver


def test_bf16_computes_in_bfloat16_and_keeps_weights_history_and_loss_in_float32() -> None:
    solver = _trained("bf16")
    for name in ("c", "p"):
        assert solver.net.blobs[name].computed.dtype == torch.bfloat16
        assert solver.net.blobs[name].computed_diff.dtype == torch.bfloat16
    params = [blob for blobs in solver.net.params.values() for blob in blobs]
    for kept in [*solver.history, *(blob.computed for blob in params)]:
        assert kept.dtype == torch.float32
    assert all(blob.computed_diff.dtype == torch.float32 for blob in params)
    assert solver.net.blobs["loss"].computed.dtype == torch.float32


def test_arrays_that_a_script_reads_are_float32_and_stay_aliased_under_bf16() -> None:
    solver = _trained("bf16", 1)
    blob = solver.net.blobs["c"]
    view = blob.data
    before = view.copy()
    solver.step(1)
    assert view.dtype == np.float32
    assert not np.array_equal(view, before)
    assert blob.data is not None and np.shares_memory(blob.data, view)


def test_bf16_follows_float32_as_closely_as_eight_bits_of_mantissa_allow() -> None:
    exact, rounded = _trained("float32"), _trained("bf16")
    for name, blobs in exact.net.params.items():
        for ours, theirs, start in zip(
            blobs, rounded.net.params[name], _trained("float32", 0).net.params[name]
        ):
            step = np.linalg.norm(ours.data - start.data)
            assert 0 < np.linalg.norm(ours.data - theirs.data) < 0.05 * step


def test_an_update_smaller_than_bfloat16s_resolution_is_not_lost() -> None:
    solver = _trained("bf16", 0)
    weights = solver.net.params["fc"][0]
    weights.data[...] = 1.0
    for blob in (b for blobs in solver.net.params.values() for b in blobs):
        blob.clear_diff()
    weights.add_diff(torch.full(weights.shape, 0.02, dtype=torch.bfloat16))
    solver.apply_update()
    # 0.05 · 0.02 is a quarter of bfloat16's step at 1
    np.testing.assert_allclose(weights.data, 1 - 0.001, rtol=1e-5)


def test_the_command_offers_the_engines_precisions() -> None:
    assert PRECISIONS == precision.NAMES


def test_tf32_on_a_cpu_and_unknown_names_are_refused() -> None:
    caffe.set_mode_cpu()
    with pytest.raises(caffe.CaffeError, match="does nothing on a CPU"):
        caffe.extensions.set_precision("tf32")
    with pytest.raises(caffe.CaffeError, match="float32, tf32, bf16"):
        caffe.extensions.set_precision("fp16")
    assert CONTEXT.precision == "float32"


@pytest.mark.parametrize("has, lines", [(False, 1), (True, 0)])
def test_a_cpu_without_bfloat16_instructions_is_refused_in_one_line(
    has: bool, lines: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(precision, "_cpu_has_bfloat16", lambda: has)
    caffe.set_mode_cpu()
    caffe.extensions.set_precision("bf16")
    assert capfd.readouterr().err.count("no bfloat16 instructions") == lines


@pytest.mark.parametrize(
    ("capability", "name", "refused", "warned"),
    [
        ((7, 5), "tf32", True, False),
        ((7, 5), "bf16", False, True),
        ((7, 5), "float32", False, False),
        ((8, 0), "tf32", False, False),
        ((9, 0), "bf16", False, False),
    ],
)
def test_a_gpu_without_the_requested_arithmetic_is_refused_in_one_line(
    capability: tuple[int, int],
    name: str,
    refused: bool,
    warned: bool,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda number: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda number: "Stand-in")
    monkeypatch.setattr(CONTEXT, "gpu", True)
    said = r"Stand-in \(compute capability 7.5, older than 8.0\)"
    if refused:
        with pytest.raises(caffe.CaffeError, match=f"tf32 does nothing on this {said}"):
            caffe.extensions.set_precision(name)
    else:
        caffe.extensions.set_precision(name)
    assert CONTEXT.precision == ("float32" if refused else name)
    assert bool(re.search(f"{said} has no bfloat16", capfd.readouterr().err)) == warned
    monkeypatch.setattr(CONTEXT, "gpu", False)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
