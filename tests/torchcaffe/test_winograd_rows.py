"""The convolution by pairs of rows is PyTorch's in float64, and rounds no worse than in float32."""

from __future__ import annotations

import pytest
import torch

from tinynet.torchcaffe import winograd_rows

_SETTINGS = ([1, 1], [0, 0], [1, 1], False, [0, 0], 1)

_SHAPES = [
    # count, channels, outputs, inputs, columns of a window
    (1, 1, 1, (6, 5), 5),
    (3, 5, 2, (8, 10), 3),
    (5, 8, 24, (14, 4), 1),
    (2, 3, 7, (10, 9), 8),
    (7, 16, 8, (10, 8), 5),
]


def _drawn(
    count: int, channels: int, outputs: int, size: tuple[int, int], columns: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Pictures, weights, bias and the diff of the outputs."""
    generator = torch.Generator().manual_seed(count + channels)
    return (
        torch.randn(count, channels, *size, generator=generator),
        torch.randn(outputs, channels, 5, columns, generator=generator),
        torch.randn(outputs, generator=generator),
        torch.randn(count, outputs, size[0] - 4, size[1] - columns + 1, generator=generator),
    )


def _plain_diffs(
    pictures: torch.Tensor, diff: torch.Tensor, weights: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    found: tuple[torch.Tensor, ...] = torch.ops.aten.convolution_backward(
        diff, pictures, weights, [len(weights)], *_SETTINGS, [True, True, True]
    )
    return found


@pytest.mark.parametrize(("count", "channels", "outputs", "size", "columns"), _SHAPES)
@pytest.mark.parametrize("budget", [1, 10_000, 12 << 20])
@pytest.mark.parametrize("order", [torch.channels_last, torch.contiguous_format])
def test_outputs_and_gradients_are_those_of_the_plain_formula_however_many_pictures_at_a_time(
    count, channels, outputs, size, columns, budget, order, monkeypatch
) -> None:
    monkeypatch.setattr(winograd_rows, "_BYTES", budget)
    pictures, weights, bias, diff = _drawn(count, channels, outputs, size, columns)
    ordered = [tensor.contiguous(memory_format=order) for tensor in (pictures, diff)]
    exact = [tensor.double() for tensor in (pictures, weights, bias, diff)]

    out = winograd_rows.forward(ordered[0], weights, bias)
    reference = torch.convolution(*exact[:3], *_SETTINGS)
    torch.testing.assert_close(out.double(), reference, rtol=1e-5, atol=3e-5)
    without = winograd_rows.forward(ordered[0], weights, None)
    torch.testing.assert_close(without + bias[:, None, None], out, rtol=1e-5, atol=3e-5)

    found = winograd_rows.backward(ordered[0], ordered[1], weights, True, True)
    for mine, reference in zip(found, _plain_diffs(exact[0], exact[3], exact[1])):
        assert mine.shape == reference.shape
        torch.testing.assert_close(mine.double(), reference, rtol=1e-5, atol=3e-5)


def test_only_what_is_asked_for_is_computed() -> None:
    pictures, weights, _, diff = _drawn(*_SHAPES[1])
    both = winograd_rows.backward(pictures, diff, weights, True, True)
    below, weights_diff, bias_diff = winograd_rows.backward(pictures, diff, weights, False, True)
    assert below is None
    torch.testing.assert_close(weights_diff, both[1])
    torch.testing.assert_close(bias_diff, both[2])
    below, weights_diff, bias_diff = winograd_rows.backward(pictures, diff, weights, True, False)
    assert weights_diff is None and bias_diff is None
    torch.testing.assert_close(below, both[0])


@pytest.mark.parametrize("kept", [1.0, 0.25])
def test_with_as_many_channels_as_in_training_it_rounds_no_worse_than_the_plain_formula(
    kept: float,
) -> None:
    pictures, weights, bias, diff = _drawn(4, 50, 100, (18, 18), 5)
    pictures = pictures.relu()
    # a max pooling above leaves one diff of four
    diff *= torch.rand(diff.shape, generator=torch.Generator().manual_seed(2)) < kept
    exact = [tensor.double() for tensor in (pictures, weights, bias, diff)]
    references = [
        torch.convolution(*exact[:3], *_SETTINGS),
        *_plain_diffs(exact[0], exact[3], exact[1])[:2],
    ]
    plain = [
        torch.convolution(pictures, weights, bias, *_SETTINGS),
        *_plain_diffs(pictures, diff, weights)[:2],
    ]
    ours = [
        winograd_rows.forward(pictures, weights, bias),
        *winograd_rows.backward(pictures, diff, weights, True, True)[:2],
    ]
    for reference, without, transformed in zip(references, plain, ours):
        error = (transformed - reference).square().mean()
        assert error <= 2 * (without - reference).square().mean()


def test_the_choice_depends_on_shapes_and_device_alone() -> None:
    pictures = torch.zeros(32, 50, 30, 30)
    assert winograd_rows.suits(pictures, (32, 100, 26, 26), [5, 5])
    assert not winograd_rows.suits(pictures, (32, 100, 26, 28), [3, 5])
    assert not winograd_rows.suits(pictures[..., 1:, :], (32, 100, 25, 26), [5, 5])
    assert not winograd_rows.suits(pictures[:, :3], (32, 100, 26, 26), [5, 5])
    assert not winograd_rows.suits(pictures, (32, 16, 26, 26), [5, 5])
    assert not winograd_rows.suits(pictures[..., :14], (32, 100, 26, 10), [5, 5])
    assert not winograd_rows.suits(pictures[:1], (1, 100, 26, 26), [5, 5])
    assert not winograd_rows.suits(pictures.to("meta"), (32, 100, 26, 26), [5, 5])
    assert not winograd_rows.suits(pictures.bfloat16(), (32, 100, 26, 26), [5, 5])
