"""What a results folder keeps of the first layer gives the same feature maps as the engine."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from tests.predict.test_activations import first_image
from tinynet.caffeformat import schema, text
from tinynet.errors import TinynetError
from tinynet.predict import inputs
from tinynet.predict.activations import Activations, first_feature_maps
from tinynet.predict.first_layer import first_layer, read_first_layer, write_first_layer
from tinynet.run.paths import RunPaths


def by_engine(run: RunPaths) -> Activations:
    return first_feature_maps(run.root, "val_0.JPEG", first_image(run))


def kept(run: RunPaths):
    return first_layer(run, inputs.newest_weights(run)[0])


def test_stored_filters_give_the_feature_maps_of_the_engine(trained, tmp_path):
    expected = by_engine(trained)
    whole = kept(trained)
    largest = np.abs(expected.maps).max()
    np.testing.assert_allclose(whole.maps(first_image(trained)), expected.maps, atol=1e-5 * largest)
    path = tmp_path / "first_layer.npz"
    write_first_layer(path, whole)
    read = read_first_layer(path, "take it again")
    # filters are rounded to 11 bits
    np.testing.assert_allclose(read.maps(first_image(trained)), expected.maps, atol=2e-3 * largest)
    assert read.model_sha256 == whole.model_sha256 and read.iteration == expected.iteration
    np.testing.assert_array_equal(read.seen(first_image(trained))[::-1].transpose(1, 2, 0),
                                  expected.image)  # fmt: skip


def test_stride_padding_dilation_and_negative_slope_agree_with_the_engine(trained, tmp_path):
    run = RunPaths(shutil.copytree(trained.root, tmp_path / "run"))
    net = text.read(run.deploy, schema.NetParameter)
    types = [layer.type for layer in net.layer]
    window = net.layer[types.index("Convolution")].convolution_param
    window.stride.append(2)
    window.pad.append(3)
    window.dilation.append(2)
    net.layer[types.index("ReLU")].relu_param.negative_slope = 0.25
    del net.layer[types.index("ReLU") + 1 :]  # the rest would no longer fit
    text.write(run.deploy, net)
    found, expected = kept(run), by_engine(run)
    assert (found.stride, found.pad, found.dilation, found.slope) == ((2, 2), (3, 3), (2, 2), 0.25)
    maps = found.maps(first_image(trained))
    assert maps.min() < 0 and maps.shape == expected.maps.shape
    np.testing.assert_allclose(maps, expected.maps, atol=1e-5 * np.abs(expected.maps).max())


def test_a_net_that_does_not_begin_with_a_plain_convolution_is_refused(trained, tmp_path):
    run = RunPaths(shutil.copytree(trained.root, tmp_path / "run"))
    deploy = run.deploy.read_text()
    run.deploy.write_text(deploy.replace('type: "ReLU"', 'type: "TanH"'))
    with pytest.raises(TinynetError, match="conv1 is followed by more than a ReLU"):
        kept(run).maps(first_image(trained))
    run.deploy.write_text(deploy.replace('type: "Convolution"', 'type: "Pooling"'))
    with pytest.raises(TinynetError, match="does not begin with a convolution"):
        kept(run)
    (tmp_path / "x.npz").write_bytes(b"PK")
    with pytest.raises(TinynetError, match="x.npz: no usable first layer .*; take it again"):
        read_first_layer(tmp_path / "x.npz", "take it again")
