"""Checks of an algorithm for convolutions of stride 1 against PyTorch's convolution in float64.

``algorithm`` is a module with ``forward(images, weights, bias)`` and ``backward(images, diff,
weights, below, of_weights)``, such as ``winograd`` and ``winograd_rows``.
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import pytest
import torch
import torch.nn.functional as F

_SETTINGS = ([1, 1], [0, 0], [1, 1], False, [0, 0], 1)


class Drawn(NamedTuple):
    """A convolution's input, weights, bias and the diff of its outputs."""

    images: torch.Tensor
    weights: torch.Tensor
    bias: torch.Tensor
    diff: torch.Tensor

    def double(self) -> Drawn:
        return Drawn(*(tensor.double() for tensor in self))

    def results(self) -> tuple[torch.Tensor, ...]:
        """Outputs, and the diffs of images, weights and bias, by PyTorch's own convolution."""
        return (
            torch.convolution(self.images, self.weights, self.bias, *_SETTINGS),
            *torch.ops.aten.convolution_backward(
                self.diff,
                self.images,
                self.weights,
                [len(self.weights)],
                *_SETTINGS,
                [True, True, True],
            ),
        )

    def summed_in_order(self) -> tuple[torch.Tensor, ...]:
        """Outputs, and the diffs of images and weights, with products added one after the other.

        Rounding then does not depend on the processor: libraries sum in as many parts as it has
        vector lanes.
        """
        high, wide = (extent - 1 for extent in self.weights.shape[2:])
        around = F.pad(self.diff, (wide, wide, high, high))
        turned = self.weights.flip(2, 3).transpose(0, 1)
        return (
            _in_order(self.images, self.weights) + self.bias[:, None, None],
            _in_order(around, turned),
            _in_order(self.images.transpose(0, 1), self.diff.transpose(0, 1)).transpose(0, 1),
        )


def _in_order(images: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Compute a convolution of stride 1, adding term by term."""
    outputs, channels, high, wide = weights.shape
    rows, columns = images.shape[2] - high + 1, images.shape[3] - wide + 1
    total = torch.zeros(len(images), outputs, rows, columns)
    for c, y, x in itertools.product(range(channels), range(high), range(wide)):
        term = images[:, c, None, y : y + rows, x : x + columns]
        total.addcmul_(term, weights[:, c, y, x, None, None])
    return total


def drawn(
    count: int, channels: int, outputs: int, size: tuple[int, int], kernel: tuple[int, int]
) -> Drawn:
    generator = torch.Generator().manual_seed(count + channels)
    out = [s - k + 1 for s, k in zip(size, kernel)]
    return Drawn(
        torch.randn(count, channels, *size, generator=generator),
        torch.randn(outputs, channels, *kernel, generator=generator),
        torch.randn(outputs, generator=generator),
        torch.randn(count, outputs, *out, generator=generator),
    )


def _results(algorithm: Any, given: Drawn) -> tuple[torch.Tensor, ...]:
    forward = algorithm.forward(given.images, given.weights, given.bias)
    return forward, *algorithm.backward(given.images, given.diff, given.weights, True, True)


def assert_same(
    algorithm: Any,
    given: Drawn,
    order: torch.memory_format,
    budget: int,
    patch: pytest.MonkeyPatch,
    near: float = 3e-5,
) -> None:
    """Assert that outputs and gradients equal the plain formula for every chunk size.

    ``near`` is the absolute tolerance of an output.
    """
    patch.setattr(algorithm, "_BYTES", budget)
    images, diff = (t.contiguous(memory_format=order) for t in (given.images, given.diff))
    found = _results(algorithm, given._replace(images=images, diff=diff))
    for mine, reference, off in zip(found, given.double().results(), (near, *3 * (3e-5,))):
        assert mine.shape == reference.shape
        torch.testing.assert_close(mine.double(), reference, rtol=1e-5, atol=off)
    without = algorithm.forward(images, given.weights, None)
    torch.testing.assert_close(without + given.bias[:, None, None], found[0], rtol=1e-5, atol=near)


def assert_computes_only_the_requested(algorithm: Any, given: Drawn) -> None:
    """Assert that a diff that nobody needs is not computed, and that the others are unchanged."""
    operands = given.images, given.diff, given.weights
    both = algorithm.backward(*operands, True, True)
    below, weights_diff, bias_diff = algorithm.backward(*operands, False, True)
    assert below is None
    torch.testing.assert_close(weights_diff, both[1])
    torch.testing.assert_close(bias_diff, both[2])
    below, weights_diff, bias_diff = algorithm.backward(*operands, True, False)
    assert weights_diff is None and bias_diff is None
    torch.testing.assert_close(below, both[0])


def assert_rounds_no_worse(algorithm: Any, given: Drawn) -> None:
    """Assert a mean squared error of at most twice that of the plain formula's float32 sums."""
    everything = zip(given.double().results(), given.summed_in_order(), _results(algorithm, given))
    for reference, plain, transformed in everything:
        error = (transformed - reference).square().mean()
        assert error <= 2 * (plain - reference).square().mean()
