"""The convolution by pairs of rows is PyTorch's in float64, and rounds no worse than in float32."""

from __future__ import annotations

import pytest
import torch

from tests.torchcaffe.fast import plain_convolution
from tests.torchcaffe.fast.plain_convolution import drawn
from tinynet.torchcaffe import avx512
from tinynet.torchcaffe.fast import winograd_rows

_SHAPES = [
    # count, channels, outputs, inputs, window
    (1, 1, 1, (6, 5), (5, 5)),
    (3, 5, 2, (8, 10), (5, 3)),
    (5, 8, 24, (14, 4), (5, 1)),
    (2, 3, 7, (10, 9), (5, 8)),
    (7, 16, 8, (10, 8), (5, 5)),
]


@pytest.mark.parametrize("shape", _SHAPES)
@pytest.mark.parametrize("budget", [1, 10_000, 12 << 20])
@pytest.mark.parametrize("order", [torch.channels_last, torch.contiguous_format])
def test_outputs_and_gradients_equal_the_plain_formula_for_any_number_of_images_at_a_time(
    shape, budget, order, monkeypatch
) -> None:
    plain_convolution.assert_same(winograd_rows, drawn(*shape), order, budget, monkeypatch)


def test_only_the_requested_gradients_are_computed() -> None:
    plain_convolution.assert_computes_only_the_requested(winograd_rows, drawn(*_SHAPES[1]))


@pytest.mark.parametrize("kept", [1.0, 0.25])
def test_with_the_channels_of_training_it_rounds_no_worse_than_the_plain_formula(
    kept: float,
) -> None:
    given = drawn(4, 50, 100, (18, 18), (5, 5))
    # a max pooling above leaves one diff of four
    left = torch.rand(given.diff.shape, generator=torch.Generator().manual_seed(2)) < kept
    given = given._replace(images=given.images.relu(), diff=given.diff * left)
    plain_convolution.assert_rounds_no_worse(winograd_rows, given)


def test_the_choice_depends_only_on_shapes_device_and_vectors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(avx512, "available", lambda: False)
    images = torch.zeros(32, 50, 30, 30)
    assert winograd_rows.suits(images, (32, 100, 26, 26), [5, 5])
    assert not winograd_rows.suits(images, (32, 100, 26, 28), [3, 5])
    assert not winograd_rows.suits(images[..., 1:, :], (32, 100, 25, 26), [5, 5])
    assert not winograd_rows.suits(images[:, :3], (32, 100, 26, 26), [5, 5])
    assert not winograd_rows.suits(images, (32, 16, 26, 26), [5, 5])
    assert not winograd_rows.suits(images[..., :14], (32, 100, 26, 10), [5, 5])
    assert not winograd_rows.suits(images[:1], (1, 100, 26, 26), [5, 5])
    assert not winograd_rows.suits(images.to("meta"), (32, 100, 26, 26), [5, 5])
    assert not winograd_rows.suits(images.bfloat16(), (32, 100, 26, 26), [5, 5])
    monkeypatch.setattr(avx512, "available", lambda: True)
    assert not winograd_rows.suits(images, (32, 100, 26, 26), [5, 5])
