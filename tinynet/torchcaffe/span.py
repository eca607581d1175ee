"""Span: how Scale and Bias broadcast a small blob over a larger one.

The small blob has the shape of some consecutive axes of the large one, from ``axis`` on, and is
repeated over the axes before (``outer`` times) and after (``inner`` times).
"""

from __future__ import annotations

import math

import torch

from tinynet.caffeformat import schema
from tinynet.torchcaffe.layer import Layer

Shape = tuple[int, ...]


def spanned_shape(
    layer: Layer, shape: Shape, param: schema.ScaleParameter | schema.BiasParameter
) -> Shape:
    """The shape of a learned blob: ``num_axes`` axes of ``shape`` (−1: all) from ``axis`` on.

    Raises CaffeError if there are not so many.
    """
    axis = layer.canonical_axis(param.axis, len(shape))
    layer.require(
        param.num_axes >= -1,
        f"num_axes must be non-negative, or -1 to extend to the end; got {param.num_axes}",
    )
    if param.num_axes == -1:
        return shape[axis:]
    layer.require(
        axis + param.num_axes <= len(shape),
        f"axis {axis} and num_axes {param.num_axes} extend past the bottom's shape {shape}",
    )
    return shape[axis : axis + param.num_axes]


class Span:
    """``small`` over ``large`` from ``axis`` on; raises CaffeError if it does not fit."""

    def __init__(self, layer: Layer, large: Shape, small: Shape, axis: int) -> None:
        # a scalar covers everything, whatever the axis
        start = layer.canonical_axis(axis, len(large)) if small else 0
        end = start + len(small)
        layer.require(
            large[start:end] == small,
            f"shape {small} does not match that of the bottom, {large}, from axis {start} on",
        )
        self.outer = math.prod(large[:start])
        self.size = math.prod(small)
        self.inner = math.prod(large[end:])
        self._small = small
        self._broadcast = (*small, *(1 for _ in large[end:]))

    def spread(self, small: torch.Tensor) -> torch.Tensor:
        """Return ``small`` in a shape that broadcasts over the large blob."""
        return small.reshape(self._broadcast)

    def collect(self, large: torch.Tensor) -> torch.Tensor:
        """Sum ``large`` over all that each element of the small blob covers."""
        sums = large.reshape(self.outer, self.size, self.inner).sum((0, 2))
        return sums.reshape(self._small)
