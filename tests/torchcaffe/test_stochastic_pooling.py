"""Stochastic pooling is what Caffe's GPU code computes, here written out in plain loops.

Caffe on a CPU, with which the other tests compare, refuses to compute it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import tinynet.torchcaffe as caffe
from tests.torchcaffe.small_nets import one
from tinynet.torchcaffe.random_numbers.mt19937 import Mt19937
from tinynet.torchcaffe.random_numbers.random import rng_uniform

Places = list[tuple[int, int]]
SETTINGS = {
    "overlapping": ("kernel_size: 3 stride: 2", (3, 3), (2, 2), (2, 2, 7, 7)),
    "clipped at the end": ("kernel_size: 3 stride: 2", (3, 3), (2, 2), (2, 2, 6, 8)),
    "apart": ("kernel_size: 2 stride: 3", (2, 2), (3, 3), (1, 3, 8, 5)),
    "not square": (
        "kernel_h: 1 kernel_w: 3 stride_h: 1 stride_w: 2",
        (1, 3),
        (1, 2),
        (2, 1, 3, 8),
    ),
    "global": ("global_pooling: true", (4, 5), (1, 1), (2, 3, 4, 5)),
}


def windows(
    shape: tuple[int, ...], kernel: tuple[int, int], stride: tuple[int, int]
) -> list[Places]:
    """The places (h, w) of each window in scan order, windows in scan order."""
    _, _, height, width = shape
    down = -(-(height - kernel[0]) // stride[0]) + 1
    right = -(-(width - kernel[1]) // stride[1]) + 1
    return [
        [
            (h, w)
            for h in range(i * stride[0], min(i * stride[0] + kernel[0], height))
            for w in range(j * stride[1], min(j * stride[1] + kernel[1], width))
        ]
        for i in range(down)
        for j in range(right)
    ]


def planes(x: np.ndarray) -> Iterator[tuple[int, int]]:
    return ((n, c) for n in range(x.shape[0]) for c in range(x.shape[1]))


def build_net(text: str, phase: int, tmp_path: Path) -> caffe.Net:
    (tmp_path / "net.prototxt").write_text(text)
    return caffe.Net(tmp_path / "net.prototxt", phase)


@pytest.fixture(params=SETTINGS)
def setting(request: pytest.FixtureRequest) -> tuple[str, np.ndarray, list[Places]]:
    parameters, kernel, stride, shape = SETTINGS[request.param]
    x = np.maximum(np.random.default_rng(1).normal(size=shape), 0).astype(np.float32)
    text = one("Pooling", f"pooling_param {{ pool: STOCHASTIC {parameters} }}", shape)
    return text, x, windows(shape, kernel, stride)


def test_in_train_a_value_is_drawn_in_proportion_to_its_size_and_gets_the_diff(
    setting: tuple[str, np.ndarray, list[Places]], tmp_path: Path
) -> None:
    text, x, places = setting
    net = build_net(text, caffe.TRAIN, tmp_path)
    caffe.set_random_seed(5)
    y = net.forward(x=x)["y"]
    above = np.cos(np.arange(y.size, dtype=np.float32)).reshape(y.shape)
    below = net.backward(y=above)["x"]
    draws = iter(rng_uniform(Mt19937(5), y.size, 0, 1))
    pooled, diff = [], np.zeros_like(x)
    for n, c in planes(x):
        for window, share in zip(places, above[n, c].ravel()):
            values = np.array([x[n, c, h, w] for h, w in window])
            reached = np.cumsum(values) >= next(draws) * values.sum()
            chosen = window[int(np.argmax(reached))]
            pooled.append(x[n, c][chosen])
            diff[n, c][chosen] += share
    np.testing.assert_array_equal(y.ravel(), pooled)
    np.testing.assert_allclose(below, diff, rtol=1e-6, atol=1e-7)


def test_in_test_a_pooling_window_gives_the_mean_of_its_values_weighted_by_themselves(
    setting: tuple[str, np.ndarray, list[Places]], tmp_path: Path
) -> None:
    text, x, places = setting
    x[0, 0] = 0  # a window whose sum is 0
    y = build_net(text, caffe.TEST, tmp_path).forward(x=x)["y"]
    expected = []
    for n, c in planes(x):
        for window in places:
            values = np.array([x[n, c, h, w] for h, w in window], np.float64)
            expected.append((values**2).sum() / values.sum() if values.sum() else 0)
    np.testing.assert_allclose(y.ravel(), expected, rtol=1e-6)


def test_values_are_drawn_in_proportion_to_their_size(tmp_path: Path) -> None:
    parameters = "pooling_param { pool: STOCHASTIC kernel_size: 2 }"
    net = build_net(one("Pooling", parameters, (4000, 1, 2, 2)), caffe.TRAIN, tmp_path)
    caffe.set_random_seed(3)
    y = net.forward(
        x=np.tile(np.array([1, 2, 0, 5], np.float32).reshape(1, 1, 2, 2), (4000, 1, 1, 1))
    )
    shares = [float((y["y"] == value).mean()) for value in (1, 2, 0, 5)]
    # four standard deviations of 4000 draws
    np.testing.assert_allclose(shares, [1 / 8, 2 / 8, 0, 5 / 8], atol=0.03)


def test_if_no_value_can_be_drawn_the_top_is_zero_and_passes_no_diff_down(tmp_path: Path) -> None:
    parameters = "pooling_param { pool: STOCHASTIC kernel_size: 2 }"
    net = build_net(one("Pooling", parameters, (1, 2, 2, 2)), caffe.TRAIN, tmp_path)
    x = np.zeros((1, 2, 2, 2), np.float32)
    x[0, :, 0, 0] = -5, np.nan
    assert net.forward(x=x)["y"].ravel().tolist() == [0, 0]
    assert not net.backward(y=np.ones((1, 2, 1, 1), np.float32))["x"].any()


def test_spatial_pyramid_pooling_draws_in_every_phase(tmp_path: Path) -> None:
    """As in Caffe, whose SPP does not tell its poolings the phase."""
    text = one("SPP", "spp_param { pyramid_height: 2 pool: STOCHASTIC }", (2, 3, 4, 4))
    net = build_net(text, caffe.TEST, tmp_path)
    x = np.random.default_rng(2).random((2, 3, 4, 4)).astype(np.float32)
    y = net.forward(x=x)["y"].copy()
    assert y.shape == (2, 15)
    assert np.isin(y, x).all()
    assert (net.forward(x=x)["y"] != y).any()
