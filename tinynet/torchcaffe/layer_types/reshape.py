"""Reshape: the same values in another shape (src/caffe/layers/reshape_layer.cpp).

``shape`` takes the place of the ``num_axes`` axes (−1: all) from ``axis`` on; in it 0 copies the
bottom's axis and −1, once, stands for what is left.  Top and bottom share data and diff.
"""

from __future__ import annotations

import math

from tinynet.torchcaffe.layer import Blobs, Layer, register


@register("Reshape")
class Reshape(Layer):
    works_in_place = False

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        self._dims = list(self.param.reshape_param.shape.dim)
        self.require(self._dims.count(-1) <= 1, f"shape may have one -1; got {self._dims}")

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        shape = bottom[0].shape
        start, end = self._replaced_axes(len(shape))
        new = []
        for i, dim in enumerate(self._dims, start):
            self.require(
                dim != 0 or i < len(shape),
                f"shape {self._dims} has a 0 where the bottom, of shape {shape}, has no axis",
            )
            new.append(dim or shape[i])
        result = [*shape[:start], *new, *shape[end:]]
        if -1 in self._dims:
            inferred = start + self._dims.index(-1)
            rest = math.prod(result[:inferred] + result[inferred + 1 :])
            self.require(
                rest > 0 and bottom[0].count % rest == 0,
                f"the product of the given dimensions, {rest}, must divide the bottom's count, "
                f"{bottom[0].count}",
            )
            result[inferred] = bottom[0].count // rest
        self.require(
            min(result, default=0) >= 0 and math.prod(result) == bottom[0].count,
            f"the top must have the bottom's count; the shapes are {tuple(result)} and {shape}",
        )
        top[0].resize(tuple(result))
        top[0].share_data(bottom[0])
        top[0].share_diff(bottom[0])

    def _replaced_axes(self, axes: int) -> tuple[int, int]:
        """First and end of the bottom's axes that ``shape`` replaces; −1 is the very end."""
        param = self.param.reshape_param
        start = param.axis if param.axis >= 0 else axes + param.axis + 1
        self.require(0 <= start <= axes, f"axis {param.axis} is outside of a {axes}-axis blob")
        self.require(param.num_axes >= -1, f"num_axes must be at least -1; got {param.num_axes}")
        end = axes if param.num_axes == -1 else start + param.num_axes
        self.require(
            end <= axes,
            f"axis {param.axis} and num_axes {param.num_axes} reach beyond a {axes}-axis blob",
        )
        return start, end

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        """The data is shared."""

    def backward(self, top: Blobs, propagate_down: list[bool], bottom: Blobs) -> None:
        """The diff is shared."""
