"""Occlusion against forward passes by hand, in both engines."""

from __future__ import annotations

import numpy as np
import pytest

from tests.predict.test_activations import first_image
from tinynet import torchcaffe
from tinynet.errors import TinynetError
from tinynet.predict import inputs
from tinynet.predict.occlusion import occlusions


def forward(run, image: np.ndarray) -> np.ndarray:
    """Probabilities of one image (uint8, 3×H×W), its centre crop transformed by hand."""
    transform = inputs.read_transform(run)
    size = transform.crop_size
    top, left = ((extent - size) // 2 for extent in image.shape[1:])
    x = (image - transform.mean[:, None, None])[:, top : top + size, left : left + size]
    net = torchcaffe.Net(
        str(run.deploy), torchcaffe.TEST, weights=str(inputs.newest_weights(run)[0].path)
    )
    net.blobs["data"].reshape(1, 3, size, size)
    net.blobs["data"].data[...] = x * transform.scale
    return np.array(net.forward()["prob"][0])


@pytest.mark.parametrize("engine", ["torch", "caffe"])
def test_the_drop_equals_that_of_an_image_with_a_patch_drawn_over_it(engine, trained, request):
    if engine == "caffe":
        request.getfixturevalue("caffe_python")
    image = first_image(trained)
    (found,) = occlusions(trained.root, [image], engine)
    transform = inputs.read_transform(trained)
    size = transform.crop_size
    top, left = ((extent - size) // 2 for extent in image.shape[1:])
    p = forward(trained, image)
    assert found.answer == p.argmax() and found.share == pytest.approx(p.max(), abs=1e-5)
    # a corner is hidden by one place of the patch alone, a quarter of 12 pixels wide
    for y, x in ((0, 0), (0, size - 3), (size - 3, size - 3)):
        hidden = image.copy()
        window = np.s_[:, top + y : top + y + 3, left + x : left + x + 3]
        hidden[window] = np.rint(transform.mean)[:, None, None]
        lost = p[found.answer] - forward(trained, hidden)[found.answer]
        corner = found.drop[0 if y == 0 else -1, 0 if x == 0 else -1]
        assert corner == pytest.approx(lost, abs=1e-5)
    seen = image[::-1, top : top + size, left : left + size].transpose(1, 2, 0)
    np.testing.assert_array_equal(found.seen, seen)
    assert found.drop.shape == (size, size) and np.abs(found.drop).max() > 1e-4


def test_a_folder_without_a_run_or_without_weights_is_refused_in_one_line(trained, tmp_path):
    image = first_image(trained)
    with pytest.raises(TinynetError, match="is not a run directory"):
        occlusions(tmp_path, [image])
