"""Slice: one blob cut into several along one axis (src/caffe/layers/slice_layer.cpp).

The cuts are at each ``slice_point``; without any, all parts have the same size.
"""

from __future__ import annotations

import torch

from tinynet.torchcaffe.layer import Blobs, Layer, register


@register("Slice")
class Slice(Layer):
    num_top = (1, None)

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        param = self.param.slice_param
        both = param.HasField("axis") and param.HasField("slice_dim")
        self.require(not both, "give either axis or slice_dim; not both")
        self.require(
            len(top) == 1 or bottom[0] not in top, "cannot work in place with several tops"
        )

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        param, shape = self.param.slice_param, bottom[0].shape
        axis = param.slice_dim if param.HasField("slice_dim") else param.axis
        self.axis = axis = self.canonical_axis(axis, len(shape))
        self._sizes = self._part_sizes(list(param.slice_point), shape[axis], len(top))
        for above, size in zip(top, self._sizes):
            above.resize((*shape[:axis], size, *shape[axis + 1 :]))
        if len(top) == 1:
            top[0].share_data(bottom[0])
            top[0].share_diff(bottom[0])

    def _part_sizes(self, points: list[int], size: int, parts: int) -> list[int]:
        if not points:
            self.require(
                size % parts == 0,
                f"the number of tops must divide the sliced axis; got {parts} tops for {size}",
            )
            return [size // parts] * parts
        self.require(
            len(points) == parts - 1 and parts <= size,
            f"there must be one slice_point less than tops, and the sliced axis must have an "
            f"element for each top; got {len(points)} points, {parts} tops, an axis of {size}",
        )
        ends = [0, *points, size]
        sizes = [end - start for start, end in zip(ends, ends[1:])]
        self.require(
            min(sizes) > 0,
            f"slice_points must increase from 1 on and lie within the axis of {size}; "
            f"got {', '.join(map(str, points))}",
        )
        return sizes

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        if len(top) > 1:
            for above, part in zip(top, bottom[0].tensor.split(self._sizes, self.axis)):
                above.set_data(part.clone())

    def backward(self, top: Blobs, propagate_down: list[bool], bottom: Blobs) -> None:
        if propagate_down[0] and len(top) > 1:
            bottom[0].set_diff(torch.cat([above.grad for above in top], self.axis))
