"""The transformed 3×3 convolution is PyTorch's in float64, and rounds no worse than in float32."""

from __future__ import annotations

import pytest
import torch

from tests.torchcaffe.fast import plain_convolution
from tests.torchcaffe.fast.plain_convolution import drawn
from tinynet.torchcaffe import avx512
from tinynet.torchcaffe.fast import winograd

_KERNEL = (3, 3)
_SHAPES = [
    # count, channels, outputs, inputs
    (1, 1, 1, (4, 4)),
    (3, 5, 2, (6, 10)),
    (5, 8, 24, (12, 4)),
    (7, 16, 8, (8, 8)),
]


@pytest.mark.parametrize("shape", _SHAPES)
@pytest.mark.parametrize("budget", [1, 30_000, 12 << 20])
@pytest.mark.parametrize("order", [torch.channels_last, torch.contiguous_format])
def test_outputs_and_gradients_equal_the_plain_formula_for_any_number_of_images_at_a_time(
    shape, budget, order, monkeypatch
) -> None:
    given = drawn(*shape, _KERNEL)
    plain_convolution.assert_same(winograd, given, order, budget, monkeypatch, 1e-5)


def test_only_the_requested_gradients_are_computed() -> None:
    plain_convolution.assert_computes_only_the_requested(winograd, drawn(*_SHAPES[1], _KERNEL))


def test_with_the_channels_of_training_it_rounds_no_worse_than_the_plain_formula() -> None:
    given = drawn(4, 128, 128, (12, 12), _KERNEL)
    given = given._replace(images=given.images.relu())
    plain_convolution.assert_rounds_no_worse(winograd, given)


def test_the_choice_depends_only_on_shapes_device_and_vectors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(avx512, "available", lambda: False)
    images = torch.zeros(512, 128, 6, 6)
    assert winograd.suits(images, (512, 128, 4, 4), backward=False)
    assert winograd.suits(images[:, :64], (512, 64, 4, 4), backward=True)
    assert not winograd.suits(images[:, :64], (512, 64, 4, 4), backward=False)
    assert not winograd.suits(images, (512, 100, 4, 4), backward=True)
    assert not winograd.suits(images, (512, 128, 3, 4), backward=True)
    assert not winograd.suits(images[:1], (1, 128, 4, 4), backward=True)
    assert not winograd.suits(images.to("meta"), (512, 128, 4, 4), backward=True)
    assert not winograd.suits(images.bfloat16(), (512, 128, 4, 4), backward=True)
    monkeypatch.setattr(avx512, "available", lambda: True)
    assert not winograd.suits(images, (512, 128, 4, 4), backward=False)
