"""Properties of the stages' layers beyond agreement with real Caffe on their cases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tinynet.torchcaffe as caffe
from tests.torchcaffe.conftest import Answer, Ask, assert_same
from tests.torchcaffe.small_nets import GAUSSIAN, net, one, x_of


def conv(parameters: str) -> str:
    return f"convolution_param {{ {parameters} {GAUSSIAN} }}"


def pool(parameters: str) -> str:
    return f"pooling_param {{ {parameters} }}"


def fc(parameters: str) -> str:
    return f"inner_product_param {{ {parameters} {GAUSSIAN} }}"


# as many and as large as it takes to leave PyTorch's own convolution: winograd.py, and
# window_products.py for every size
LARGE = {
    "3x3 forward and backward": ("num_output: 128 kernel_size: 3", (30, 128, 14, 14)),
    "3x3 without bias": ("num_output: 128 kernel_size: 3 bias_term: false", (30, 128, 14, 14)),
    "3x3 backward only": ("num_output: 72 kernel_size: 3", (30, 64, 14, 14)),
    "5x5 of few channels": ("num_output: 50 kernel_size: 5", (3, 3, 20, 18)),
    "5x5 of odd channels": ("num_output: 100 kernel_size: 5", (2, 50, 14, 13)),
    "5x5 with stride, one image": ("num_output: 20 kernel_size: 5 stride: 2", (1, 7, 20, 21)),
}


# How far either engine may be from float64, of the largest value of an array.  Measured, the worst
# of the cases: y 6.4e-7 (Caffe) and 1.1e-6 (here), x's diff 3.8e-7 and 1.4e-6, the weights' diff
# 5.3e-7 and 8.8e-7; the bias's diff 5.8e-9 and 1.0e-8 of what it adds up.
ROUNDING = 2e-6
ROUNDING_OF_BIAS = 3e-8


def exact_convolution(answer: Answer, last: str, stride: int) -> dict[str, tuple[np.ndarray, Any]]:
    """What pass ``last`` of an answer computed, in float64, and the size that rounding goes by.

    That is the largest value; of the bias's diff, a sum of thousands of numbers of either sign
    which all but cancel, the largest sum of their absolute values.
    """
    names = [name for name in sorted(answer) if name.startswith(f"{last}/param/")]
    x, *parameters = (
        torch.from_numpy(answer[name]).double().requires_grad_()
        for name in (f"{last}/data/x", *names)
    )
    weights, bias = parameters if len(parameters) == 2 else (*parameters, None)
    y = torch.nn.functional.conv2d(x, weights, bias, stride)
    diff = torch.from_numpy(answer[f"{last}/diff/y"]).double()
    diffs = torch.autograd.grad(y, [x, *parameters], diff)
    found = {f"{last}/data/y": y.detach(), f"{last}/diff/x": diffs[0]}
    found.update(zip((name.replace("param", "param_diff") for name in names), diffs[1:]))
    sizes = {name: values.abs().max() for name, values in found.items()}
    if bias is not None:
        sizes[f"{last}/param_diff/l/1"] = diff.abs().sum((0, 2, 3)).max()
    return {name: (values.numpy(), float(sizes[name])) for name, values in found.items()}


@pytest.mark.parametrize("case", LARGE)
def test_a_convolution_of_many_channels_has_rounding_errors_as_small_as_real_caffes(
    case: str, ask_both: Ask
) -> None:
    """Both add thousands of products in different orders, so float64 is the reference."""
    parameters, shape = LARGE[case]
    request = {
        "net": one("Convolution", conv(parameters), shape),
        "top_diffs": ["y"],
        "passes": 2,
    }
    real, ours = ask_both(request, x_of(shape))
    for name in (name for name in real if "/param/" in name):
        np.testing.assert_array_equal(real[name], ours[name])
    exact = exact_convolution(real, "1", 2 if "stride: 2" in parameters else 1)
    assert len(exact) == (3 if "bias_term: false" in parameters else 4)
    for name, (values, size) in exact.items():
        for engine, answer in (("real Caffe", real), ("this engine", ours)):
            apart = np.abs(answer[name] - values).max() / size
            limit = ROUNDING_OF_BIAS if name.endswith("param_diff/l/1") else ROUNDING
            assert apart <= limit, f"{engine}'s {name} is {apart:.1e} from float64's"


def test_max_pooling_takes_the_first_of_equal_values_and_writes_the_mask(ask_both: Ask) -> None:
    layer = one(
        "Pooling",
        pool("pool: MAX kernel_size: 3 stride: 2 pad: 1"),
        (1, 2, 6, 7),
        'top: "y" top: "mask"',
    )
    x = np.random.default_rng(1).integers(0, 3, (1, 2, 6, 7)).astype(np.float32)
    assert_same(*ask_both({"net": layer, "top_diffs": ["y"]}, {"x": x}))


@pytest.mark.parametrize("pad", [0, 1])
@pytest.mark.parametrize("shape", [(2, 3, 8, 8), (2, 3, 9, 7)])
def test_pooling_rounds_down_if_round_mode_is_floor(
    pad: int, shape: tuple[int, ...], tmp_path: Path
) -> None:
    """A field that Caffe's master added after 1.0, so PyTorch's own pooling is the reference."""
    settings = f"pool: MAX kernel_size: 3 stride: 2 pad: {pad} round_mode: FLOOR"
    (tmp_path / "net.prototxt").write_text(one("Pooling", pool(settings), shape))
    made = caffe.Net(tmp_path / "net.prototxt", caffe.TRAIN)
    x = torch.tensor(x_of(shape)["x"], requires_grad=True)
    expected = torch.nn.functional.max_pool2d(x, 3, 2, pad)
    np.testing.assert_array_equal(made.forward(x=x.detach().numpy())["y"], expected.detach())
    made.blobs["y"].diff[...] = 1
    expected.sum().backward()
    np.testing.assert_array_equal(made.backward()["x"], x.grad)


@pytest.mark.parametrize("slope", [0.0, 0.01, 1.5])
def test_relu_works_in_place(slope: float, ask_both: Ask) -> None:
    layers = (
        f'layer {{ name: "fc" type: "InnerProduct" bottom: "x" top: "y" {fc("num_output: 5")} }}'
        f'layer {{ name: "r" type: "ReLU" bottom: "y" top: "y" relu_param '
        f"{{ negative_slope: {slope} }} }}"
    )
    request = {"net": net(layers, ("x", (6, 4))), "top_diffs": ["y"]}
    assert_same(*ask_both(request, x_of((6, 4))))


@pytest.mark.parametrize("phase", [0, 1])
def test_dropout_in_place_masks_in_train_and_passes_in_test(phase: int, ask_both: Ask) -> None:
    layers = (
        f'layer {{ name: "fc" type: "InnerProduct" bottom: "x" top: "y" {fc("num_output: 64")} }}'
        'layer { name: "d" type: "Dropout" bottom: "y" top: "y" }'
    )
    request = {"net": net(layers, ("x", (6, 4))), "top_diffs": ["y"], "phase": phase, "passes": 3}
    assert_same(*ask_both(request, x_of((6, 4))))


def test_softmax_loss_saturates_where_real_caffes_does(ask_both: Ask) -> None:
    loss = 'layer { name: "l" type: "SoftmaxWithLoss" bottom: "x" bottom: "label" top: "y" }'
    inputs = {"x": np.array([[0, 1000.0]], np.float32), "label": np.zeros(1, np.float32)}
    real, ours = ask_both({"net": net(loss, ("x", (1, 2)), ("label", (1,)))}, inputs)
    assert_same(real, ours)
    assert ours["0/data/y"] == pytest.approx(87.3365, abs=1e-3)


@pytest.mark.parametrize("top_k", [1, 3])
@pytest.mark.parametrize("more", ["", "ignore_label: 1"])
def test_accuracy_counts_ties_and_nan_as_real_caffe(top_k: int, more: str, ask_both: Ask) -> None:
    layer = (
        'layer { name: "a" type: "Accuracy" bottom: "x" bottom: "label" top: "y" top: "classes" '
        f"accuracy_param {{ top_k: {top_k} {more} }} }}"
    )
    x = np.random.default_rng(3).integers(0, 3, (12, 5)).astype(np.float32)
    x[4] = np.nan
    inputs = {"x": x, "label": np.arange(12, dtype=np.float32) % 5}
    request = {
        "net": net(layer, ("x", (12, 5)), ("label", (12,))).replace("force_backward: true", ""),
        "backward": False,
    }
    real, ours = ask_both(request, inputs)
    for name in ("0/data/y", "0/data/classes"):
        np.testing.assert_allclose(ours[name], real[name], rtol=1e-6)
