"""These layers against calculations in float64; run by test_outside_layers.py.

In a process of their own, into which entry points alone bring the layers and their messages.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

import tinynet.torchcaffe as caffe
from tests.torchcaffe.gradient_check import check_gradients
from tinynet.caffeformat import schema, text

DRAW = np.random.default_rng(5)


def net_of(layers: str, shapes: dict[str, tuple[int, ...]]) -> str:
    head = "force_backward: true\n"
    for name, shape in shapes.items():
        dims = " ".join(f"dim: {size}" for size in shape)
        head += f'input: "{name}" input_shape {{ {dims} }}\n'
    return head + layers


def computed(layers: str, inputs: dict[str, np.ndarray], folder: Path) -> caffe.Net:
    path = folder / "net.prototxt"
    path.write_text(net_of(layers, {name: array.shape for name, array in inputs.items()}))
    net = caffe.Net(str(path), caffe.TEST)
    for name, array in inputs.items():
        net.blobs[name].data[...] = array
    net.forward()
    return net


def test_the_layer_types_are_registered_beside_caffes() -> None:
    types = {"ROIPooling", "Interp", "Permute", "Normalize", "PriorBox", "Axpy", "ReLU6"}
    types |= {"DepthwiseConvolution", "ShuffleChannel", "Convolution"}
    assert types <= set(caffe.layer_type_list())


def test_roi_pooling_agrees_with_float64(tmp_path: Path) -> None:
    features = DRAW.normal(size=(2, 3, 12, 15))
    regions = np.array(
        [[0, 0, 0, 14, 11], [1, 4, 3, 9, 7], [0, 2, 2, 2, 2], [1, 10, 8, 40, 40], [0, 3, 1, 9, 3]]
    )
    scale, rows, columns = 0.5, 3, 4
    regions[:, 1:] *= 2  # in the image's pixels
    layer = (
        'layer { name: "roi" type: "ROIPooling" bottom: "x" bottom: "rois" top: "y" '
        f"roi_pooling_param {{ pooled_h: {rows} pooled_w: {columns} spatial_scale: {scale} }} }}"
    )
    net = computed(layer, {"x": features, "rois": regions}, tmp_path)
    expected = np.zeros((5, 3, rows, columns))
    gradient = np.zeros(features.shape)
    above = DRAW.normal(size=expected.shape)
    for n, (image, x1, y1, x2, y2) in enumerate(regions.tolist()):
        x1, y1, x2, y2 = (math.floor(v * scale + 0.5) for v in (x1, y1, x2, y2))
        high, wide = (y2 - y1 + 1) / rows, (x2 - x1 + 1) / columns
        for c, i, j in np.ndindex(3, rows, columns):
            top = min(max(math.floor(i * high) + y1, 0), 12)
            end = min(max(math.ceil((i + 1) * high) + y1, 0), 12)
            left = min(max(math.floor(j * wide) + x1, 0), 15)
            right = min(max(math.ceil((j + 1) * wide) + x1, 0), 15)
            cell = features[image, c, top:end, left:right]
            if cell.size:
                expected[n, c, i, j] = cell.max()
                y, x = np.unravel_index(cell.argmax(), cell.shape)
                gradient[image, c, top + y, left + x] += above[n, c, i, j]
    np.testing.assert_allclose(net.blobs["y"].data, expected, rtol=1e-6)
    net.blobs["y"].diff[...] = above
    net.backward()
    np.testing.assert_allclose(net.blobs["x"].diff, gradient, atol=1e-5)


SSD = """
layer { name: "norm" type: "Normalize" bottom: "x" top: "norm" norm_param {
  across_spatial: false channel_shared: false scale_filler { type: "constant" value: 20 } } }
layer { name: "loc" type: "Convolution" bottom: "norm" top: "loc"
  convolution_param { num_output: 8 kernel_size: 1 weight_filler { type: "xavier" } } }
layer { name: "perm" type: "Permute" bottom: "loc" top: "perm"
  permute_param { order: 0 order: 2 order: 3 order: 1 } }
layer { name: "boxes" type: "PriorBox" bottom: "norm" bottom: "image" top: "boxes"
  prior_box_param { min_size: 30 max_size: 60 aspect_ratio: 2 clip: true offset: 0.25
    variance: 0.1 variance: 0.1 variance: 0.2 variance: 0.2 } }
"""


def test_a_head_of_ssd_agrees_with_float64(tmp_path: Path) -> None:
    x, image = DRAW.normal(size=(2, 5, 3, 4)), np.zeros((2, 3, 90, 120))
    net = computed(SSD, {"x": x, "image": image}, tmp_path)
    norm = 20 * x / np.sqrt((x**2).sum(1, keepdims=True) + 1e-10)
    np.testing.assert_allclose(net.blobs["norm"].data, norm, rtol=1e-5, atol=1e-6)
    weights, bias = (blob.data.astype(np.float64) for blob in net.params["loc"])
    located = np.einsum("oc,nchw->nhwo", weights[:, :, 0, 0], norm) + bias
    np.testing.assert_allclose(net.blobs["perm"].data, located, rtol=1e-4, atol=1e-4)

    root = math.sqrt(30 * 60)
    sizes = [(30, 30), (root, root)]
    sizes += [(30 * math.sqrt(r), 30 / math.sqrt(r)) for r in (2, 0.5)]
    expected = []
    for row in range(3):
        for column in range(4):
            cx, cy = (column + 0.25) * 30, (row + 0.25) * 30
            for wide, high in sizes:
                expected += [(cx - wide / 2) / 120, (cy - high / 2) / 90]
                expected += [(cx + wide / 2) / 120, (cy + high / 2) / 90]
    boxes = net.blobs["boxes"].data
    assert boxes.shape == (1, 2, 4 * 4 * 12)
    np.testing.assert_allclose(boxes[0, 0], np.clip(expected, 0, 1), atol=1e-6)
    np.testing.assert_allclose(boxes[0, 1], [0.1, 0.1, 0.2, 0.2] * 48, atol=1e-7)


GRADIENTS = {
    "Normalize": (
        'layer { name: "l" type: "Normalize" bottom: "x" top: "y" norm_param {'
        ' channel_shared: false scale_filler { type: "constant" value: 2 } } }',
        {"x": (2, 3, 2, 2)},
    ),
    "Permute": (
        'layer { name: "l" type: "Permute" bottom: "x" top: "y" permute_param { order: 2 } }',
        {"x": (2, 3, 2, 2)},
    ),
    "ReLU6": ('layer { name: "l" type: "ReLU6" bottom: "x" top: "y" }', {"x": (2, 7)}),
    "ShuffleChannel": (
        'layer { name: "l" type: "ShuffleChannel" bottom: "x" top: "y"'
        " shuffle_channel_param { group: 3 } }",
        {"x": (1, 6, 2, 1)},
    ),
    "Axpy": (
        'layer { name: "l" type: "Axpy" bottom: "a" bottom: "x" bottom: "b" top: "y" }',
        {"a": (2, 3), "x": (2, 3, 2, 2), "b": (2, 3, 2, 2)},
    ),
    "Interp": (
        'layer { name: "l" type: "Interp" bottom: "x" top: "y"'
        " interp_param { zoom_factor: 2 pad_end: -1 } }",
        {"x": (1, 2, 4, 4)},
    ),
    "DepthwiseConvolution": (
        'layer { name: "l" type: "DepthwiseConvolution" bottom: "x" top: "y"'
        ' convolution_param { num_output: 4 kernel_size: 2 weight_filler { type: "xavier" } } }',
        {"x": (1, 4, 3, 3)},
    ),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_backward_is_the_derivative_of_forward(name: str, tmp_path: Path) -> None:
    layers, shapes = GRADIENTS[name]
    inputs = {one: 4 * DRAW.normal(size=shape) for one, shape in shapes.items()}
    check_gradients(net_of(layers, shapes), inputs, ["y"], list(shapes), tmp_path)


def test_forward_of_the_small_layers_equals_a_hand_calculation(tmp_path: Path) -> None:
    layers = """
    layer { name: "six" type: "ReLU6" bottom: "x" top: "six" }
    layer { name: "mix" type: "ShuffleChannel" bottom: "x" top: "mix"
      shuffle_channel_param { group: 2 } }
    layer { name: "axpy" type: "Axpy" bottom: "a" bottom: "x" bottom: "x" top: "axpy" }
    layer { name: "deep" type: "DepthwiseConvolution" bottom: "x" top: "deep"
      convolution_param { num_output: 6 kernel_size: 1 bias_term: false
        weight_filler { type: "constant" value: 3 } } }
    layer { name: "wide" type: "Interp" bottom: "x" top: "wide"
      interp_param { height: 1 width: 3 } }
    """
    x = np.arange(12.0).reshape(1, 6, 1, 2)
    a = np.arange(6.0).reshape(1, 6)
    blobs = computed(layers, {"x": x, "a": a}, tmp_path).blobs
    np.testing.assert_array_equal(blobs["six"].data, np.clip(x, 0, 6))
    np.testing.assert_array_equal(blobs["mix"].data, x[:, [0, 3, 1, 4, 2, 5]])
    np.testing.assert_array_equal(blobs["axpy"].data, a[:, :, None, None] * x + x)
    np.testing.assert_array_equal(blobs["deep"].data, 3 * x)
    np.testing.assert_array_equal(blobs["wide"].data[0, 1, 0], [2, 2.5, 3])


def test_an_error_in_the_parameters_names_the_layer(tmp_path: Path) -> None:
    layer = 'layer { name: "p" type: "Permute" bottom: "x" top: "y" permute_param { order: 4 } }'
    with pytest.raises(caffe.CaffeError, match=r"Permute layer p: order names axes below 4"):
        computed(layer, {"x": np.zeros((1, 2, 3, 4))}, tmp_path)
    with pytest.raises(caffe.CaffeError, match=r"unknown field 'ordre' in PermuteParameter"):
        computed(layer.replace("order", "ordre"), {"x": np.zeros((1, 2))}, tmp_path)


def test_net_spec_and_weight_files_support_the_messages(tmp_path: Path) -> None:
    n = caffe.NetSpec()
    n.x = caffe.layers.Input(shape={"dim": [1, 2, 2, 2]})
    n.y = caffe.layers.Permute(n.x, order=[0, 2, 3, 1])
    n.z = caffe.layers.Normalize(n.x, norm_param={"across_spatial": False})
    written = text.format(n.to_proto())
    assert "permute_param {\n    order: 0" in written
    (tmp_path / "net.prototxt").write_text(written)
    net = caffe.Net(str(tmp_path / "net.prototxt"), caffe.TEST)
    net.params["z"][0].data[...] = 7
    net.save(str(tmp_path / "net.caffemodel"))
    again = caffe.Net(str(tmp_path / "net.prototxt"), caffe.TEST)
    again.copy_from(str(tmp_path / "net.caffemodel"))
    assert again.params["z"][0].data == 7
    assert schema.LayerParameter.DESCRIPTOR.fields_by_name["permute_param"].number == 202
