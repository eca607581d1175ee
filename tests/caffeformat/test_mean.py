from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tinynet.caffeformat import schema
from tinynet.caffeformat.mean import MeanSum, channel_means, read_mean, write_mean
from tinynet.errors import TinynetError


def test_a_mean_image_reads_back_as_it_was(tmp_path: Path) -> None:
    image = np.random.default_rng(1).uniform(0, 255, (3, 4, 5)).astype(np.float32)
    write_mean(image, tmp_path / "mean.binaryproto")
    np.testing.assert_array_equal(read_mean(tmp_path / "mean.binaryproto"), image)


def test_a_mean_with_the_newer_shape_field_is_also_read(tmp_path: Path) -> None:
    blob = schema.BlobProto(data=range(24))
    blob.shape.dim.extend([1, 2, 3, 4])
    (tmp_path / "mean.binaryproto").write_bytes(blob.SerializeToString())
    assert read_mean(tmp_path / "mean.binaryproto").shape == (2, 3, 4)


def test_a_mean_of_the_wrong_size_is_refused(tmp_path: Path) -> None:
    blob = schema.BlobProto(num=1, channels=3, height=2, width=2, data=range(5))
    (tmp_path / "mean.binaryproto").write_bytes(blob.SerializeToString())
    with pytest.raises(TinynetError, match="the file has 5"):
        read_mean(tmp_path / "mean.binaryproto")


def test_sums_beyond_24_bits_are_rounded_at_every_step_as_caffes_are() -> None:
    # 2^24 + 1 is no float32: one by one, the odd steps are lost
    mean = MeanSum((1, 1, 2))
    expected = np.float32(0)
    for value in [255] * 65_793 + [1, 1, 3] * 20:  # 65,793 * 255 = 2^24 - 1
        mean.add(np.full((1, 1, 2), value, np.uint8))
        expected = np.float32(expected + np.float32(value))
    exact = (65_793 * 255 + 100) / mean.count
    assert mean.image()[0, 0, 0] == expected / np.float32(mean.count) != np.float32(exact)


def test_channel_means_are_summed_one_by_one_in_float32() -> None:
    image = np.random.default_rng(2).uniform(0, 255, (2, 64, 64)).astype(np.float32)
    for channel, found in zip(image, channel_means(image)):
        total = np.float32(0)
        for value in channel.ravel():
            total += value
        assert found == total / np.float32(4096)
