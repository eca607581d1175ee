"""Layers without bottoms, ArgMax, which has no gradient, and layers in place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tinynet.torchcaffe as torchcaffe
from tests.torchcaffe.conftest import Ask, assert_same
from tests.torchcaffe.layer_cases import positive, whole
from tests.torchcaffe.small_nets import GAUSSIAN, dims, layer, net, normal, one, x_of

DUMMIES = {
    "constant by default": ("a b", "shape { dim: 2 dim: 3 }"),
    "one constant": ("a", 'data_filler { type: "constant" value: 3 } shape { dim: 4 }'),
    "a filler per top": (
        "a b c",
        "shape { dim: 2 dim: 3 } shape { dim: 5 } shape { dim: 1 dim: 1 dim: 2 dim: 2 } "
        'data_filler { type: "gaussian" std: 2 } data_filler { type: "constant" value: 7 } '
        'data_filler { type: "uniform" min: -1 }',
    ),
    "one filler for all": ("a b", 'shape { dim: 3 dim: 3 } data_filler { type: "xavier" }'),
    "four dimensions": (
        "a b",
        'num: 2 num: 4 channels: 3 height: 2 width: 1 width: 5 data_filler { type: "uniform" }',
    ),
}


@pytest.mark.parametrize("case", DUMMIES)
def test_dummy_data_draws_what_real_caffe_draws(case: str, ask_both: Ask) -> None:
    tops, parameters = DUMMIES[case]
    text = layer("DummyData", "", tops, f"dummy_data_param {{ {parameters} }}")
    # a layer that draws after it in set-up shows that DummyData took as many numbers
    text += layer("InnerProduct", tops.split()[0], "y", f"inner_product_param {{ {_FC} axis: 0 }}")
    real, ours = ask_both({"net": text, "passes": 3, "backward": False})
    assert_same(real, ours, 1e-6)


_FC = f"num_output: 2 {GAUSSIAN}"
_MEMORY = "memory_data_param { batch_size: 2 channels: 3 height: 2 width: 1 }"


@pytest.mark.parametrize("label_shape", [(6,), (6, 1, 1, 1)])
def test_memory_data_wraps_around_the_arrays(label_shape: tuple[int, ...], ask_both: Ask) -> None:
    text = layer("MemoryData", "", "data label", f"{_MEMORY} transform_param {{ mirror: true }}")
    text += layer("InnerProduct", "data", "y", f"inner_product_param {{ {_FC} }}", "fc")
    arrays = {"images": normal(1, (6, 3, 2, 1)), "labels": whole(2, label_shape, 9)}
    request = {"net": text, "arrays": ["images", "labels"], "passes": 5, "backward": False}
    assert_same(*ask_both(request, arrays))


def test_memory_data_uses_the_scripts_own_array(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(layer("MemoryData", "", "data label", _MEMORY))
    memory = torchcaffe.Net(path, torchcaffe.TEST)
    images, labels = normal(1, (4, 3, 2, 1)), whole(2, (4,), 9)
    memory.set_input_arrays(images, labels)
    images[0] = 5
    assert (memory.forward()["data"][0] == 5).all()


@pytest.mark.parametrize("use", ["once", "twice", "after a split"])
def test_a_learned_top_shares_its_diff_with_the_parameter(use: str, ask_both: Ask) -> None:
    text = layer("Parameter", "", "p", "parameter_param { shape { dim: 3 dim: 4 } }", "p")
    text += layer("Bias", "p", "q", 'bias_param { filler { type: "uniform" } }', "b")
    readers = {"once": "x q", "twice": "x q q", "after a split": "x q p"}[use]
    text += layer("Eltwise", readers, "y", "", "sum")
    request = {"net": net(text, ("x", (3, 4))), "top_diffs": ["y"], "passes": 3, "clear": False}
    assert_same(*ask_both(request, x_of((3, 4))))


ARGMAX = {
    "default": "",
    "several": "top_k: 3",
    "values": "top_k: 3 out_max_val: true",
    "axis": "axis: 1",
    "axis several": "axis: -1 top_k: 2",
    "axis values": "axis: 2 top_k: 3 out_max_val: true",
}


@pytest.mark.parametrize("shape", [(3, 4, 5), (2, 3, 4, 3), (4, 3, 6, 2, 3)])
@pytest.mark.parametrize("case", ARGMAX)
def test_argmax_orders_values_and_ties_as_real_caffe(
    case: str, shape: tuple[int, ...], ask_both: Ask
) -> None:
    text = one("ArgMax", f"argmax_param {{ {ARGMAX[case]} }}", shape)
    real, ours = ask_both({"net": text, "backward": False}, {"x": whole(5, shape, 6)})
    assert_same(real, ours, 0)


@pytest.mark.parametrize("shape", [(5,), (4, 6)])
def test_argmax_of_an_input_with_few_axes_still_has_three(
    shape: tuple[int, ...], ask_both: Ask
) -> None:
    request = {"net": one("ArgMax", "", shape), "backward": False}
    assert_same(*ask_both(request, {"x": whole(5, shape, 4)}), 0)


IN_PLACE = {
    "sigmoid": ("Sigmoid", ""),
    "tanh": ("TanH", ""),
    "elu": ("ELU", "elu_param { alpha: 0.5 }"),
    "prelu": ("PReLU", ""),
    "exp": ("Exp", "exp_param { base: 2 scale: 0.3 shift: 1 }"),
    "log, whose slope is that of its output": ("Log", "log_param { shift: 3 }"),
    "power": ("Power", "power_param { power: 1 scale: 3 shift: 1 }"),
    "power 3, whose slope is that of its output": ("Power", "power_param { power: 3 shift: 2 }"),
    "scale": ("Scale", 'scale_param { filler { type: "uniform" } bias_term: true }'),
    "scale one image": ("Scale", "scale_param { axis: 0 num_axes: 1 }"),
    "bias": ("Bias", 'bias_param { filler { type: "uniform" } }'),
    "global batch norm": ("BatchNorm", "batch_norm_param { use_global_stats: true eps: 0.1 }"),
    "batch norm": ("BatchNorm", ""),
    "softmax": ("Softmax", ""),
    "concat of one": ("Concat", ""),
}


@pytest.mark.parametrize("case", IN_PLACE)
def test_layers_work_in_place_between_others(
    case: str, ask_both: Ask, request: pytest.FixtureRequest
) -> None:
    if case == "batch norm":
        request.getfixturevalue("caffe_that_normalizes_by_batch")
    layer_type, parameters = IN_PLACE[case]
    text = layer("Power", "x", "y", "power_param { scale: 1.5 }", "below")
    text += layer(layer_type, "y", "y", parameters)
    text += layer("ReLU", "y", "y", "relu_param { negative_slope: 0.2 }", "above")
    asked = {"net": net(text, ("x", (4, 3, 2))), "top_diffs": ["y"], "passes": 2, "clear": False}
    assert_same(*ask_both(asked, {"x": positive(3, (4, 3, 2))}))


def test_batch_norm_uses_in_test_the_statistics_gathered_in_train(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    fraction = 0.75
    parameters = f"batch_norm_param {{ moving_average_fraction: {fraction} eps: 0.5 }}"
    path.write_text(one("BatchNorm", parameters, (5, 2)))
    train, test = (torchcaffe.Net(path, phase) for phase in (torchcaffe.TRAIN, torchcaffe.TEST))
    batches = [normal(seed, (5, 2)) for seed in range(3)]
    for batch in batches:
        train.blobs["x"].data[...] = batch
        train.forward()
    test.share_with(train)
    test.blobs["x"].data[...] = batches[0]
    found = test.forward()["y"]

    powers = fraction ** np.arange(2, -1, -1)
    mean = sum(p * batch.mean(0) for p, batch in zip(powers, batches)) / powers.sum()
    variance = sum(p * batch.var(0, ddof=1) for p, batch in zip(powers, batches)) / powers.sum()
    np.testing.assert_allclose(found, (batches[0] - mean) / np.sqrt(variance + 0.5), rtol=1e-5)


def test_blobs_given_in_the_prototxt_are_used_and_no_random_numbers_are_drawn(
    ask_both: Ask,
) -> None:
    blobs = "blobs { shape { dim: 2 dim: 3 } data: [1, 2, 3, 4, 5, 6] } "
    blobs += "blobs { shape { dim: 2 } data: [-1, 1] }"
    text = layer("InnerProduct", "x", "y", f"inner_product_param {{ {_FC} }} {blobs}", "given")
    text += layer("InnerProduct", "y", "z", f"inner_product_param {{ {_FC} }}", "drawn")
    asked = {"net": net(text, ("x", (4, 3))), "top_diffs": ["z"]}
    assert_same(*ask_both(asked, x_of((4, 3))))


def test_flatten_above_reshape_loses_the_diff_as_in_real_caffe(ask_both: Ask) -> None:
    """Both share memory, and Flatten replaces the memory of the blob between them."""
    text = layer("Power", "x", "p", "power_param { scale: 2 }", "below")
    text += layer("Reshape", "p", "r", f"reshape_param {{ shape {{ {dims((2, 2, 6))} }} }}", "r")
    text += layer("Flatten", "r", "y", "", "f")
    asked = {"net": net(text, ("x", (4, 6))), "top_diffs": ["y"], "passes": 2}
    assert_same(*ask_both(asked, x_of((4, 6))))
