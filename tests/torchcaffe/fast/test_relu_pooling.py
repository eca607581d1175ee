"""ReLU and pooling as one step leave the values and diffs of one after the other, to the bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tinynet.torchcaffe as caffe
from tests.torchcaffe.small_nets import GAUSSIAN, layer, net
from tinynet.torchcaffe.fast.relu_pooling import ReLUPooling

_SHAPE = (3, 2, 9, 7)


def _layers(pool: str, slope: float, more: str = "") -> str:
    """A convolution, a ReLU in place, a pooling, an inner product."""
    return "".join(
        [
            layer(
                "Convolution",
                "x",
                "c",
                f"convolution_param {{ num_output: 4 kernel_size: 2 {GAUSSIAN} }}",
                "c",
            ),
            layer("ReLU", "c", "c", f"relu_param {{ negative_slope: {slope} }}", "r"),
            layer("Pooling", "c", "p", f"pooling_param {{ {pool} }}", "p"),
            more,
            layer(
                "InnerProduct", "p", "y", f"inner_product_param {{ num_output: 3 {GAUSSIAN} }}", "y"
            ),
        ]
    )


def _made(folder: Path, layers: str, phase: int = caffe.TRAIN) -> caffe.Net:
    (folder / "net.prototxt").write_text(net(layers, ("x", _SHAPE)))
    caffe.set_random_seed(1)
    return caffe.Net(folder / "net.prototxt", phase)


def _diffs(made: caffe.Net) -> dict[str, np.ndarray]:
    """Every diff after a pass over whole numbers, which tie, and negative windows."""
    rng = np.random.default_rng(3)
    for blob in made.params["c"]:
        blob.data[...] = rng.integers(-1, 2, blob.data.shape)
    made.blobs["x"].data[...] = rng.integers(-2, 3, _SHAPE)
    made.forward()
    # the tensor itself: asking for the array would be looking
    made.blobs["y"].set_diff(made.blobs["y"].tensor * 0.3 + 1)
    made.run_backward()
    found = {name: blob.grad.clone().numpy() for name, blob in made.blobs.items()}
    for name, blobs in made.params.items():
        found.update({f"{name}/{j}": blob.grad.clone().numpy() for j, blob in enumerate(blobs)})
    return found


def _fused(made: caffe.Net) -> list[int]:
    """The numbers of the ReLUs that are one step with the pooling above them."""
    return [s.number for s in made._unwatched_steps if isinstance(s.layer, ReLUPooling)]


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLOG_minloglevel", "2")


@pytest.mark.parametrize("slope", [0.0, 0.01, 1.5, -0.5])
@pytest.mark.parametrize(
    "pool",
    [
        "pool: MAX kernel_size: 2 stride: 2",
        "pool: MAX kernel_size: 2 stride: 3",
        "pool: MAX kernel_size: 3 stride: 3 pad: 1",
    ],
)
def test_every_diff_is_what_it_is_in_caffes_order(pool: str, slope: float, tmp_path: Path) -> None:
    fused = _made(tmp_path, _layers(pool, slope))
    assert _fused(fused) == [2]
    in_order = _made(tmp_path, _layers(pool, slope))
    seen = []
    in_order.after_backward(seen.append)
    expected, found = _diffs(in_order), _diffs(fused)
    assert seen == [4, 3, 2, 1, 0]
    assert np.count_nonzero(expected["c"]) > 10
    for name, diff in expected.items():
        np.testing.assert_array_equal(found[name], diff, err_msg=name)


def test_the_diff_that_a_script_holds_keeps_showing_caffes(tmp_path: Path) -> None:
    layers = _layers("pool: MAX kernel_size: 2 stride: 2", 0.01)
    watched, in_order = _made(tmp_path, layers), _made(tmp_path, layers)
    in_order.after_backward(lambda _: None)
    held = watched.blobs["p"].diff
    expected, found = _diffs(in_order), _diffs(watched)
    np.testing.assert_array_equal(held, expected["p"])
    np.testing.assert_array_equal(found["c"], expected["c"])


def test_a_backward_that_ends_between_the_two_keeps_caffes_order(tmp_path: Path) -> None:
    layers = _layers("pool: MAX kernel_size: 2 stride: 2", 0.0)
    parted, in_order = _made(tmp_path, layers), _made(tmp_path, layers)
    expected = _diffs(in_order)
    _diffs(parted)
    in_order.run_backward(4, 3)
    parted.run_backward(4, 3)
    unmasked = parted.blobs["c"].grad.clone().numpy()
    np.testing.assert_array_equal(unmasked, in_order.blobs["c"].grad.numpy())
    assert np.count_nonzero(unmasked) > np.count_nonzero(expected["c"])
    parted.run_backward(2, 2)
    np.testing.assert_array_equal(parted.blobs["c"].grad.numpy(), expected["c"])


@pytest.mark.parametrize("changed", ["c", "p"])
def test_values_that_a_script_changes_between_the_passes_count_as_in_caffes_order(
    changed: str, tmp_path: Path
) -> None:
    layers = _layers("pool: MAX kernel_size: 2 stride: 2", 0.0)
    fused, in_order = _made(tmp_path, layers), _made(tmp_path, layers)
    in_order.after_backward(lambda _: None)
    rng = np.random.default_rng(7)
    images = rng.integers(-2, 3, _SHAPE)
    for made in (fused, in_order):
        made.blobs["x"].data[...] = images
        made.forward()
    values = rng.normal(size=in_order.blobs[changed].shape)
    for made in (fused, in_order):
        made.blobs[changed].data[...] = values
        made.blobs["y"].diff[...] = 1
        made.run_backward()
    for name, blob in in_order.blobs.items():
        np.testing.assert_array_equal(fused.blobs[name].diff, blob.diff, err_msg=name)


@pytest.mark.parametrize(
    ("pool", "more"),
    [
        ("pool: MAX kernel_size: 3 stride: 2", ""),
        ("pool: AVE kernel_size: 2 stride: 2", ""),
        ("pool: MAX global_pooling: true", ""),
    ],
)
def test_where_the_order_matters_it_is_caffes(pool: str, more: str, tmp_path: Path) -> None:
    made = _made(tmp_path, _layers(pool, 0.01, more))
    assert not _fused(made)


@pytest.mark.parametrize("changes", ["Dropout", "Sigmoid"])
def test_a_layer_in_place_on_a_poolings_top_changes_no_diff(changes: str, tmp_path: Path) -> None:
    layers = _layers("pool: MAX kernel_size: 2 stride: 2", 0.0, layer(changes, "p", "p", "", "s"))
    fused, in_order = _made(tmp_path, layers), _made(tmp_path, layers)
    in_order.after_backward(lambda _: None)
    caffe.set_random_seed(2)
    expected = _diffs(in_order)
    caffe.set_random_seed(2)
    found = _diffs(fused)
    assert np.count_nonzero(expected["c"]) > 10
    for name, diff in expected.items():
        np.testing.assert_array_equal(found[name], diff, err_msg=name)


@pytest.mark.parametrize("changes", ["Sigmoid", "BatchNorm"])
def test_a_layer_in_place_on_the_memory_of_a_poolings_top_changes_no_diff(
    changes: str, tmp_path: Path
) -> None:
    flat = layer("Flatten", "p", "f", "", "f") + layer(changes, "f", "f", "", "s")
    layers = _layers("pool: MAX kernel_size: 2 stride: 2", 0.0, flat)
    layers = layers.replace('type: "InnerProduct" bottom: "p"', 'type: "InnerProduct" bottom: "f"')
    fused, in_order = _made(tmp_path, layers), _made(tmp_path, layers)
    in_order.after_backward(lambda _: None)
    expected, found = _diffs(in_order), _diffs(fused)
    assert np.count_nonzero(expected["c"]) > 10
    for name, diff in expected.items():
        np.testing.assert_array_equal(found[name], diff, err_msg=name)


def test_a_blob_of_another_shape_in_the_same_memory_has_the_same_diff(tmp_path: Path) -> None:
    gives = f"inner_product_param {{ num_output: 32 {GAUSSIAN} }}"
    layers = "".join(
        [
            layer("InnerProduct", "x", "i", gives, "i"),
            layer("Reshape", "i", "c", "reshape_param { shape { dim: [0, 2, 4, 4] } }", "c"),
            layer("ReLU", "c", "c", "", "r"),
            layer("Pooling", "c", "p", "pooling_param { kernel_size: 2 stride: 2 }", "p"),
        ]
    )
    fused, in_order = _made(tmp_path, layers), _made(tmp_path, layers)
    in_order.after_backward(lambda _: None)
    for made in (fused, in_order):
        made.blobs["x"].data[...] = np.random.default_rng(5).normal(size=_SHAPE)
        made.run_forward()
        made.blobs["p"].set_diff(made.blobs["p"].tensor + 1)
    np.testing.assert_array_equal(fused.blobs["i"].data, in_order.blobs["i"].data)
    assert in_order.blobs["i"].data.min() == 0
    for made in (fused, in_order):
        made.run_backward()
    np.testing.assert_array_equal(fused.blobs["x"].diff, in_order.blobs["x"].diff)
