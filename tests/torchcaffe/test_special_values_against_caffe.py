"""Zeros of either sign, infinities, NaN, denormal and huge values give real Caffe's results.

Every value is paired with every other: as the second bottom, if any, or as the top's diff.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import tinynet.torchcaffe as torchcaffe
from tests.torchcaffe.conftest import Answer, Ask
from tests.torchcaffe.small_nets import GAUSSIAN, layer, net

INF, NAN = float("inf"), float("nan")
VALUES = np.array(
    [-0.0, 0.0, INF, -INF, NAN, 1e-42, -1e-42, 3e38, -3e38, 1.5, -1.5, 40, -40, 1e9, -1e9],
    np.float32,
)
# every pair, in rows longer than a processor's vectors and not a multiple of them
FIRST, SECOND = (grid.astype(np.float32) for grid in np.meshgrid(VALUES, VALUES, indexing="ij"))

ONE = {
    "relu": ("ReLU", ""),
    "relu leaky": ("ReLU", "relu_param { negative_slope: 0.1 }"),
    "relu falling": ("ReLU", "relu_param { negative_slope: -0.5 }"),
    "relu steep": ("ReLU", "relu_param { negative_slope: inf }"),
    "prelu": ("PReLU", ""),
    "prelu of zero": ("PReLU", "prelu_param { filler { value: 0 } }"),
    "prelu falling": ("PReLU", "prelu_param { filler { value: -2 } }"),
    "elu": ("ELU", ""),
    "elu alpha": ("ELU", "elu_param { alpha: 0.3 }"),
    "absval": ("AbsVal", ""),
    "sigmoid": ("Sigmoid", ""),
    "tanh": ("TanH", ""),
    "bnll": ("BNLL", ""),
    "swish": ("Swish", ""),
    "swish beta": ("Swish", "swish_param { beta: -0.5 }"),
    "swish beta 0": ("Swish", "swish_param { beta: 0 }"),
    "clip": ("Clip", "clip_param { min: -1 max: 1 }"),
    "clip from zero": ("Clip", "clip_param { min: 0 max: 6 }"),
    "clip to zero": ("Clip", "clip_param { min: -6 max: 0 }"),
    "exp": ("Exp", ""),
    "exp base": ("Exp", "exp_param { base: 2 }"),
    "exp scale shift": ("Exp", "exp_param { base: 2 scale: -0.5 shift: 1 }"),
    "exp base 1": ("Exp", "exp_param { base: 1 }"),
    "log": ("Log", ""),
    "log scale 0": ("Log", "log_param { scale: 0 shift: 2 }"),
    "log base": ("Log", "log_param { base: 10 }"),
    "log scale shift": ("Log", "log_param { base: 0.5 scale: -2 shift: 1 }"),
    "power": ("Power", ""),
    "power scale shift": ("Power", "power_param { scale: -2 shift: 1.5 }"),
    "power 0": ("Power", "power_param { power: 0 }"),
    "power scale 0": ("Power", "power_param { power: 2 scale: 0 shift: 3 }"),
    "power 2": ("Power", "power_param { power: 2 }"),
    "power 2 scale shift": ("Power", "power_param { power: 2 scale: -2 shift: 1.5 }"),
    "power 3": ("Power", "power_param { power: 3 }"),
    "power 3 shift": ("Power", "power_param { power: 3 shift: 1 }"),
    "power root": ("Power", "power_param { power: 0.5 }"),
    "power one over root": ("Power", "power_param { power: -0.5 }"),
    "power inverse": ("Power", "power_param { power: -1 }"),
    "power inverse square": ("Power", "power_param { power: -2 scale: 2 }"),
    "power 0.75": ("Power", "power_param { power: 0.75 }"),
    "bias": ("Bias", ""),
    "bias below zero": ("Bias", "bias_param { filler { value: -1.5 } }"),
    "bias of minus zero": ("Bias", "bias_param { filler { value: -0.0 } }"),
    "scale": ("Scale", ""),
    "scale of zero": ("Scale", "scale_param { filler { value: 0 } }"),
    "scale of zero and bias": ("Scale", "scale_param { filler { value: 0 } bias_term: true }"),
    "scale and bias": ("Scale", "scale_param { filler { value: -2 } bias_term: true }"),
    "dropout": ("Dropout", ""),
    "dropout of 0.25": ("Dropout", "dropout_param { dropout_ratio: 0.25 }"),
    "dropout in test": ("Dropout", ""),
    "split": ("Split", ""),
}
TWO = {
    "sum": ("Eltwise", ""),
    "sum coeff": ("Eltwise", "eltwise_param { coeff: [-2, 0.5] }"),
    "sum coeff 0": ("Eltwise", "eltwise_param { coeff: [1, 0] }"),
    "product": ("Eltwise", "eltwise_param { operation: PROD }"),
    "product by division": ("Eltwise", "eltwise_param { operation: PROD stable_prod_grad: false }"),
    "max": ("Eltwise", "eltwise_param { operation: MAX }"),
    "scale by a bottom": ("Scale", "scale_param { axis: 0 }"),
    "bias by a bottom": ("Bias", "bias_param { axis: 0 }"),
}
IN_PLACE = [name for name in ONE if name.split()[0] in ("relu", "prelu", "elu", "sigmoid", "tanh")]
IN_PLACE += ["bnll", "swish"]


def assert_same_values(
    real: Answer, ours: Answer, names: list[str], rounding: float = 2e-6
) -> None:
    """Assert NaN where Caffe has NaN, zeros and infinities of its sign, the rest up to rounding."""
    for name in names:
        expected, found = real[f"0/{name}"], ours[f"0/{name}"]
        kind, own = (
            np.select([np.isnan(v), np.isinf(v), v == 0], ["NaN", "inf", "0"], "number")
            for v in (expected, found)
        )
        number = ~np.isnan(expected)
        wrong = (kind != own) | (number & (np.signbit(expected) != np.signbit(found)))
        shown = [
            f"{expected.flat[i]} at {i}, and here {found.flat[i]}" for i in np.flatnonzero(wrong)
        ]
        assert not shown, f"{name}: Caffe has {shown[:6]}"
        finite = kind == "number"
        np.testing.assert_allclose(found[finite], expected[finite], rtol=rounding, err_msg=name)


@pytest.mark.parametrize("name", ONE)
def test_a_layer_of_one_bottom_gives_real_caffes_zeros_infinities_and_nans(
    name: str, ask_both: Ask, request: pytest.FixtureRequest
) -> None:
    layer_type, parameters = ONE[name]
    if layer_type == "Clip":
        request.getfixturevalue("caffe_that_has_clip")
    asked = {
        "net": net(layer(layer_type, "x", "y", parameters), ("x", FIRST.shape)),
        "top_diffs": ["y"],
        "given_diffs": {"y": "dy"},
        "phase": 1 if name.endswith("in test") else 0,
    }
    real, ours = ask_both(asked, {"x": FIRST, "dy": SECOND})
    assert_same_values(real, ours, ["data/y", "diff/x"])


@pytest.mark.parametrize("name", IN_PLACE)
def test_a_layer_in_place_gives_real_caffes_zeros_infinities_and_nans(
    name: str, ask_both: Ask
) -> None:
    layer_type, parameters = ONE[name]
    copied = layer("Split", "x", "y z", name="copy")
    asked = {
        "net": net(copied + layer(layer_type, "y", "y", parameters), ("x", FIRST.shape)),
        "top_diffs": ["y"],
        "given_diffs": {"y": "dy"},
    }
    real, ours = ask_both(asked, {"x": FIRST, "dy": SECOND})
    assert_same_values(real, ours, ["data/y", "diff/x"])


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("name", ["relu", "relu leaky", "relu falling"])
def test_relu_without_negative_infinity_and_nan_gives_real_caffes_values(
    name: str, in_place: bool, ask_both: Ask
) -> None:
    """In the tests above, −inf and NaN make it take the slower path; here it takes the other."""
    layer_type, parameters = ONE[name]
    x = np.where(np.isnan(FIRST) | (FIRST == -INF), np.float32(-3), FIRST)
    blob = "y" if in_place else "u"
    layers = layer("Split", "x", "y z", name="copy") + layer(layer_type, "y", blob, parameters)
    asked = {
        "net": net(layers, ("x", x.shape)),
        "top_diffs": [blob],
        "given_diffs": {blob: "dy"},
    }
    real, ours = ask_both(asked, {"x": x, "dy": SECOND})
    assert_same_values(real, ours, [f"data/{blob}", "diff/x"])


@pytest.mark.parametrize("diff", [1.0, -1.5, INF, NAN, -0.0])
@pytest.mark.parametrize("name", TWO)
def test_a_layer_of_two_bottoms_gives_real_caffes_zeros_infinities_and_nans(
    name: str, diff: float, ask_both: Ask
) -> None:
    layer_type, parameters = TWO[name]
    asked = {
        "net": net(
            layer(layer_type, "a b", "y", parameters), ("a", FIRST.shape), ("b", FIRST.shape)
        ),
        "top_diffs": ["y"],
        "given_diffs": {"y": "dy"},
    }
    arrays = {"a": FIRST, "b": SECOND, "dy": np.full_like(FIRST, diff)}
    if layer_type == "Scale":  # OpenBLAS makes 0 of 0 · NaN in some of its kernels
        arrays["b"] = np.where(np.isnan(SECOND), np.float32(-2), SECOND)
    real, ours = ask_both(asked, arrays)
    assert_same_values(real, ours, ["data/y", "diff/a", "diff/b"])


def test_threshold_counts_nan_as_below_the_threshold(ask_both: Ask) -> None:
    text = net(layer("Threshold", "x", "y"), ("x", FIRST.shape), force_backward=False)
    real, ours = ask_both({"net": text, "backward": False}, {"x": FIRST})
    assert_same_values(real, ours, ["data/y"])


PRODUCTS = {
    "convolution": (
        "Convolution",
        f"convolution_param {{ num_output: 2 kernel_size: 3 {GAUSSIAN} }}",
    ),
    "convolution pad": (
        "Convolution",
        f"convolution_param {{ num_output: 2 kernel_size: 3 pad: 1 {GAUSSIAN} }}",
    ),
    "deconvolution": (
        "Deconvolution",
        f"convolution_param {{ num_output: 2 kernel_size: 3 stride: 2 {GAUSSIAN} }}",
    ),
    "inner product": ("InnerProduct", f"inner_product_param {{ num_output: 3 {GAUSSIAN} }}"),
}


@pytest.mark.parametrize("value", [-0.0, 0.0, INF, -INF, NAN, 1e-42])
@pytest.mark.parametrize("name", PRODUCTS)
def test_a_product_gives_real_caffes_zeros_infinities_and_nans(
    name: str, value: float, ask_both: Ask
) -> None:
    """Some outputs depend on one such value among ordinary ones, and others do not."""
    layer_type, parameters = PRODUCTS[name]
    x = np.random.default_rng(1).normal(size=(2, 2, 6, 7)).astype(np.float32)
    x[0, 1, 2, 3] = value
    x[1, :, 3:] = value
    asked = {
        "net": net(layer(layer_type, "x", "y", parameters), ("x", x.shape)),
        "top_diffs": ["y"],
    }
    real, ours = ask_both(asked, {"x": x})
    names = [k[2:] for k in real if k.startswith(("0/data/y", "0/diff/x", "0/param_diff"))]
    assert_same_values(real, ours, names, 1e-4)


POOLINGS = {
    "2x2": "kernel_size: 2 stride: 2",
    "overlapping": "kernel_size: 3 stride: 2",
    "padded": "kernel_size: 3 stride: 2 pad: 1",
    "global": "global_pooling: true",
}


def pooled(settings: str) -> str:
    """Max pooling with its mask, of 2 images of 3 channels of 8×9."""
    parameters = f"pooling_param {{ pool: MAX {settings} }}"
    return net(layer("Pooling", "x", "y mask", parameters), ("x", (2, 3, 8, 9)))


@pytest.mark.parametrize("name", POOLINGS)
def test_max_pooling_ignores_nan_as_real_caffe_does(name: str, ask_both: Ask) -> None:
    """Every value occurs at many places of a window, and each window has an ordinary one."""
    draw = np.random.default_rng(4)
    x = draw.choice(VALUES, (2, 3, 8, 9))
    x[:, :, ::2, ::2] = draw.normal(size=(2, 3, 4, 5))  # in each window except the last column's
    x[:, :, :, 8] = draw.normal(size=(2, 3, 8))
    asked = {"net": pooled(POOLINGS[name]), "top_diffs": ["y"]}
    real, ours = ask_both(asked, {"x": x})
    assert_same_values(real, ours, ["data/y", "data/mask", "diff/x"])
    assert np.isnan(x).sum() >= 20 and not np.isnan(ours["0/data/y"]).any()


def test_a_pooling_window_without_a_number_gives_real_caffes_lowest_value_and_passes_no_diff_down(
    ask_both: Ask,
) -> None:
    x = np.random.default_rng(5).normal(size=(2, 3, 8, 9)).astype(np.float32)
    x[0, 1, 2:4, 4:6] = (
        NAN  # not in the first channel, where Caffe would write before the blob's memory
    )
    x[1, 2, :2, :2] = -INF
    x[1, 2, 0, 2:4] = NAN, -INF
    x[1, 2, 1, 2:4] = -INF, NAN
    asked = {"net": pooled("kernel_size: 2 stride: 2"), "top_diffs": ["y"]}
    real, ours = ask_both(asked, {"x": x})
    assert_same_values(real, ours, ["data/y", "data/mask"])
    assert ours["0/data/mask"].min() == -1 and (ours["0/data/mask"] == -1).sum() == 3
    # Caffe adds those three diffs to the last value of the previous channel
    strays = ours["0/diff/x"].copy()
    for image, channel, *window in ((0, 1, 1, 2), (1, 2, 0, 0), (1, 2, 0, 1)):
        strays[image, channel - 1, -1, -1] += ours["0/diff/y"][(image, channel, *window)]
    np.testing.assert_allclose(real["0/diff/x"], strays, rtol=1e-6)


def test_max_pooling_of_channels_last_memory_also_ignores_nan(tmp_path: Path) -> None:
    """Convolutions pass on this memory order if fast/ is on."""
    x = np.random.default_rng(4).choice(VALUES, (2, 3, 8, 9))
    (tmp_path / "net.prototxt").write_text(pooled("kernel_size: 3 stride: 2 pad: 1"))
    found = []
    for order in (torch.contiguous_format, torch.channels_last):
        made = torchcaffe.Net(tmp_path / "net.prototxt", torchcaffe.TRAIN)
        made.blobs["x"].set_data(torch.from_numpy(x).contiguous(memory_format=order))
        made._forward(1, 1)
        made.blobs["y"].diff[...] = np.arange(150).reshape(2, 3, 5, 5)
        made._backward(1, 1)
        found.append([made.blobs["y"].data, made.blobs["mask"].data, made.blobs["x"].diff])
    for plain, last in zip(*found):
        np.testing.assert_array_equal(plain, last)
