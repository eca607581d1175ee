"""The weights' gradient by matrix products is that of PyTorch's convolution in float64."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import tinynet.torchcaffe as caffe
from tests.torchcaffe.small_nets import GAUSSIAN, one, x_of
from tinynet.torchcaffe import avx512, window_products


def _reference(
    images: torch.Tensor, diff: torch.Tensor, kernel: list[int], stride: list[int]
) -> tuple[torch.Tensor, torch.Tensor]:
    outputs, channels = diff.shape[1], images.shape[1]
    weights = torch.zeros(outputs, channels, *kernel, dtype=torch.float64)
    _, weights_diff, bias_diff = torch.ops.aten.convolution_backward(
        diff.double(),
        images.double(),
        weights,
        [outputs],
        stride,
        [0, 0],
        [1, 1],
        False,
        [0, 0],
        1,
        [False, True, True],
    )
    return weights_diff, bias_diff


@pytest.mark.parametrize(
    "count, channels, outputs, size, kernel, stride",
    [
        (3, 3, 8, (9, 7), [3, 3], [1, 1]),
        (1, 5, 16, (8, 11), [2, 5], [1, 1]),
        (4, 2, 8, (11, 10), [3, 1], [2, 3]),
        (2, 7, 24, (4, 6), [4, 6], [1, 1]),
        (1, 1, 1, (1, 1), [1, 1], [1, 1]),
        (2, 10, 50, (7, 9), [3, 2], [1, 2]),
        (3, 50, 25, (6, 8), [5, 5], [1, 1]),
    ],
)
@pytest.mark.parametrize("budget", [1, 4_000])
@pytest.mark.parametrize(("narrow", "wide"), [(0, 1), (0, 1 << 30), (1 << 30, 1)])
@pytest.mark.parametrize("order", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("wide_vectors", [False, True])
def test_gathered_windows_give_the_gradient_for_any_cache_size(
    count,
    channels,
    outputs,
    size,
    kernel,
    stride,
    budget,
    narrow,
    wide,
    order,
    wide_vectors,
    monkeypatch,
) -> None:
    """By the products as well as in parts, whatever this processor would take."""
    monkeypatch.setattr(avx512, "available", lambda: wide_vectors)
    monkeypatch.setattr(window_products, "_BYTES", budget)
    monkeypatch.setattr(window_products, "_PIXELS", budget)
    monkeypatch.setattr(window_products, "_NARROW", narrow)
    monkeypatch.setattr(window_products, "_WIDE", wide)
    monkeypatch.setattr(window_products, "_OUTPUTS", wide)
    generator = torch.Generator().manual_seed(3)
    images = torch.randn(count, channels, *size, generator=generator)
    out = [(s - k) // step + 1 for s, k, step in zip(size, kernel, stride)]
    diff = torch.randn(count, outputs, *out, generator=generator)
    found = window_products.weight_and_bias_diff(
        images.contiguous(memory_format=order),
        diff.contiguous(memory_format=order),
        kernel,
        stride,
    )
    for mine, reference in zip(found, _reference(images, diff, kernel, stride)):
        torch.testing.assert_close(mine.double(), reference, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("count", "channels", "outputs", "size", "kernel"),
    [(32, 3, 50, 60, 5), (32, 64, 96, 14, 3)],
)
@pytest.mark.parametrize("wide_vectors", [False, True])
def test_the_gradients_of_a_batch_round_as_caffes_formula_does(
    count: int,
    channels: int,
    outputs: int,
    size: int,
    kernel: int,
    wide_vectors: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Caffe adds a product of diffs and columns, and one of diffs and ones, image by image."""
    monkeypatch.setattr(avx512, "available", lambda: wide_vectors)
    generator = torch.Generator().manual_seed(4)
    out = size - kernel + 1
    images = torch.randn(count, channels, size, size, generator=generator).relu()
    diff = torch.randn(count, outputs, out, out, generator=generator)
    expected = _reference(images, diff, [kernel, kernel], [1, 1])
    weights_diff, bias_diff = (
        torch.zeros_like(expected[0], dtype=torch.float32),
        torch.zeros(outputs),
    )
    for image, image_diff in zip(images, diff.flatten(2)):
        columns = torch.nn.functional.unfold(image[None], kernel)[0]
        weights_diff.view(outputs, -1).addmm_(image_diff, columns.t())
        bias_diff.addmv_(image_diff, torch.ones(out * out))
    found = window_products.weight_and_bias_diff(images, diff, (kernel, kernel), (1, 1))
    for mine, caffes, exact in zip(found, (weights_diff, bias_diff), expected):
        assert (mine - exact).norm() <= 2 * (caffes - exact).norm()


def test_on_a_gpu_windows_of_any_layer_are_gathered_at_once(monkeypatch) -> None:
    """On the meta device.  The method that CPUs use for few channels works image by image."""
    monkeypatch.setattr(window_products, "_by_planes", None)
    monkeypatch.setattr(window_products, "_by_rows_of_windows", None)
    for channels in (3, 64):
        images = torch.empty(2, channels, 30, 30, device="meta")
        diff = torch.empty(2, 7, 26, 26, device="meta")
        weights, bias = window_products.weight_and_bias_diff(images, diff, (5, 5), (1, 1))
        assert weights.shape == (7, channels, 5, 5) and bias.shape == (7,)


def test_the_choice_depends_only_on_kind_device_and_vectors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = torch.zeros(1, 3, 7, 7)
    for wide_vectors in (False, True):
        monkeypatch.setattr(avx512, "available", lambda found=wide_vectors: found)
        assert window_products.suits(images, (3, 3), False)
        assert window_products.suits(images, (3, 3), True) == wide_vectors
    assert not window_products.suits(images.bfloat16(), (3, 3), False)
    assert not window_products.suits(images[..., 0], (3, 3), False)
    on_gpu = images.to("meta")
    assert not window_products.suits(on_gpu, (3, 3), False)
    assert not window_products.suits(on_gpu, (5, 3), False)
    assert window_products.suits(on_gpu, (5, 5), False)
    assert window_products.suits(on_gpu, (5, 5), True)


@pytest.mark.parametrize("pad", ["", "pad: 2", "pad_h: 0 pad_w: 1"])
def test_a_convolution_through_gathered_windows_passes_down_the_same_diff(
    pad: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Padding is included; the CPU then takes a GPU's path."""
    parameters = f"convolution_param {{ num_output: 4 kernel_size: 5 stride: 2 {pad} {GAUSSIAN} }}"
    (tmp_path / "net.prototxt").write_text(one("Convolution", parameters, (2, 3, 11, 9)))
    found = []
    for chosen in (False, True):
        monkeypatch.setattr(window_products, "suits", lambda *given, chosen=chosen: chosen)
        caffe.set_random_seed(1)
        net = caffe.Net(tmp_path / "net.prototxt", caffe.TRAIN)
        net.forward(**x_of((2, 3, 11, 9)))
        net.blobs["y"].diff[...] = net.blobs["y"].data
        net.backward()
        (blobs,) = net.params.values()
        found.append([net.blobs["x"].diff, *(blob.diff for blob in blobs)])
    for expected, values in zip(*found):
        np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-5)
