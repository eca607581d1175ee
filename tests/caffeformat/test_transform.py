"""Views of an image, compared with Caffe's own functions and with counting by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tests.conftest import run_python
from tinynet.caffeformat.transform import (
    centre,
    crop_origins,
    subtract_and_scale,
    view_count,
    views,
    window,
)
from tinynet.errors import TinynetError

CAFFE_OVERSAMPLE = """
import sys
import numpy as np
import caffe
images = np.load(sys.argv[1])
for size in (60, 59, 7):
    np.save(sys.argv[2] + "/%d.npy" % size,
            caffe.io.oversample(images.transpose(0, 2, 3, 1), (size, size)))
"""


def test_ten_views_are_those_of_real_caffe_in_its_order(caffe_python, tmp_path):
    images = np.random.default_rng(3).integers(0, 256, (2, 3, 64, 64)).astype(np.uint8)
    np.save(tmp_path / "in.npy", images)
    (tmp_path / "script.py").write_text(CAFFE_OVERSAMPLE)
    run_python(caffe_python, tmp_path / "script.py", tmp_path / "in.npy", tmp_path)
    for size in (60, 59, 7):
        theirs = np.load(tmp_path / f"{size}.npy").transpose(0, 3, 1, 2)
        np.testing.assert_array_equal(views(images, size, oversample=True), theirs)


def test_one_view_is_the_centre_crop_rounded_down():
    images = np.arange(2 * 1 * 9 * 9).reshape(2, 1, 9, 9)
    np.testing.assert_array_equal(views(images, 4, oversample=False), images[:, :, 2:6, 2:6])
    assert crop_origins(9, 9, 4) == [(0, 0), (0, 5), (5, 0), (5, 5), (2, 2)]


@pytest.mark.parametrize("size", [0, 8])
def test_without_a_crop_only_the_image_and_its_mirror_remain(size):
    images = np.arange(3 * 2 * 8 * 8).reshape(3, 2, 8, 8)
    assert view_count(8, 8, size, oversample=True) == 2
    both = views(images, size, oversample=True).reshape(3, 2, 2, 8, 8)
    np.testing.assert_array_equal(both[:, 0], images)
    np.testing.assert_array_equal(both[:, 1], images[..., ::-1])
    np.testing.assert_array_equal(views(images, size, oversample=False), images)


def test_an_image_wider_than_the_crop_still_has_ten_views():
    assert view_count(8, 12, 8, oversample=True) == 10
    assert views(np.zeros((1, 1, 8, 12)), 8, oversample=True).shape == (10, 1, 8, 8)
    assert views(np.zeros((1, 1, 8, 12)), 0, oversample=True).shape == (2, 1, 8, 12)


def test_a_crop_larger_than_the_image_is_refused():
    with pytest.raises(TinynetError, match="60x60 does not fit in images of 32x64"):
        views(np.zeros((1, 3, 32, 64)), 60, oversample=False)


def test_the_mean_comes_off_before_the_scale_each_rounded_to_float32():
    pixels = np.arange(256, dtype=np.float32)
    mean, scale = np.float32(113.28), np.float32(1 / 60)
    found = subtract_and_scale(pixels.copy(), mean, scale)
    by_hand = [
        float(np.float32(np.float32(value - float(mean)) * float(scale))) for value in range(256)
    ]
    assert found.tolist() == by_hand
    assert found.tolist() != (pixels * scale - mean * scale).tolist()
    np.testing.assert_array_equal(subtract_and_scale(pixels.copy(), None, 1), pixels)


def test_a_window_is_cut_where_it_lies_in_the_stored_image_and_then_mirrored():
    image = np.arange(2 * 4 * 5).reshape(2, 4, 5)
    assert window(image, 1, 2, 2, 3, mirror=False)[0].tolist() == [[7, 8, 9], [12, 13, 14]]
    assert window(image, 1, 2, 2, 3, mirror=True)[0].tolist() == [[9, 8, 7], [14, 13, 12]]
    assert [centre(size, 4) for size in (4, 5, 6, 7)] == [0, 0, 1, 1]
