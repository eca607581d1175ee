"""Concat: blobs joined along one axis (src/caffe/layers/concat_layer.cpp)."""

from __future__ import annotations

import torch

from tinynet.torchcaffe.layer import Blobs, Layer, register


@register("Concat")
class Concat(Layer):
    num_bottom = (1, None)

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        param = self.param.concat_param
        both = param.HasField("axis") and param.HasField("concat_dim")
        self.require(not both, "give either axis or concat_dim; not both")
        self.require(
            len(bottom) == 1 or top[0] not in bottom, "cannot work in place on several bottoms"
        )

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        param = self.param.concat_param
        shapes = [below.shape for below in bottom]
        axis = param.concat_dim if param.HasField("concat_dim") else param.axis
        self.axis = axis = self.canonical_axis(axis, len(shapes[0]))
        self.require(
            len({(shape[:axis], shape[axis + 1 :], len(shape)) for shape in shapes}) == 1,
            f"bottoms must have the same shape, except for axis {axis}; "
            f"got {', '.join(map(str, shapes))}",
        )
        self._sizes = [shape[axis] for shape in shapes]
        top[0].resize((*shapes[0][:axis], sum(self._sizes), *shapes[0][axis + 1 :]))
        if len(bottom) == 1:
            top[0].share_data(bottom[0])
            top[0].share_diff(bottom[0])

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        if len(bottom) > 1:
            top[0].set_data(torch.cat([below.tensor for below in bottom], self.axis))

    def backward(self, top: Blobs, propagate_down: list[bool], bottom: Blobs) -> None:
        if len(bottom) > 1:
            parts = top[0].grad.split(self._sizes, self.axis)
            for below, down, part in zip(bottom, propagate_down, parts):
                if down:
                    below.set_diff(part.clone())
