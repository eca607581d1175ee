"""Feature maps of the first layer against a convolution by hand, in both engines."""

from __future__ import annotations

import numpy as np
import pytest

from tinynet.caffeformat import binary, schema
from tinynet.errors import TinynetError
from tinynet.predict import inputs
from tinynet.predict.activations import first_feature_maps


def by_hand(run, pixels: np.ndarray) -> np.ndarray:
    """conv1 and its ReLU over uint8 pixels (B, G, R × height × width), from the run's files."""
    transform = inputs.read_transform(run)
    x = (pixels.astype(np.float64) - transform.mean.reshape(-1, 1, 1)) * transform.scale
    if transform.crop_size:
        top, left = ((extent - transform.crop_size) // 2 for extent in x.shape[1:])
        x = x[:, top : top + transform.crop_size, left : left + transform.crop_size]
    weights, _ = inputs.newest_weights(run)
    net = binary.read(weights.path, schema.NetParameter)
    layer = next(layer for layer in net.layer if layer.type == "Convolution")
    w, bias = (
        np.array(blob.data, np.float64).reshape(tuple(blob.shape.dim)) for blob in layer.blobs
    )
    windows = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], axis=(1, 2))
    return np.maximum(np.einsum("chwij,ncij->nhw", windows, w) + bias[:, None, None], 0)


def first_image(run) -> np.ndarray:
    images = inputs.find_images(run, "val")
    pixels, _ = next(images.records())
    return np.frombuffer(pixels, np.uint8).reshape(images.shape)


@pytest.mark.parametrize("engine", ["torch", "caffe"])
def test_feature_maps_equal_a_convolution_by_hand(engine, trained, request):
    if engine == "caffe":
        request.getfixturevalue("caffe_python")
    found = first_feature_maps(trained.root, "val_0.JPEG", first_image(trained), engine)
    expected = by_hand(trained, first_image(trained))
    assert found.maps.shape == expected.shape and expected.max() > 0
    np.testing.assert_allclose(found.maps, expected, atol=1e-4 * expected.max())
    assert found.image.shape[:2] == tuple(inputs_size(trained))


def inputs_size(run) -> tuple[int, int]:
    crop = inputs.read_transform(run).crop_size
    return (crop, crop) if crop else inputs.find_images(run, "val").shape[1:]


def test_a_folder_that_is_no_run_has_no_feature_maps(tmp_path):
    with pytest.raises(TinynetError, match="is not a run directory"):
        first_feature_maps(tmp_path, "x", np.zeros((3, 64, 64), np.uint8))
