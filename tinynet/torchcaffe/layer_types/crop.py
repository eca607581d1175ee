"""Crop: the first bottom cut to the size of the second (src/caffe/layers/crop_layer.cpp).

Axes before ``axis`` stay whole.  ``offset`` says where the crop begins: one value for all axes from
``axis`` on, or one for each; 0 by default.  The second bottom's values are not used, and it gets no
diff.
"""

from __future__ import annotations

import torch

from tinynet.torchcaffe.layer import Blobs, Layer, register


@register("Crop")
class Crop(Layer):
    num_bottom = (2, 2)
    works_in_place = False

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        param = self.param.crop_param
        axes = len(bottom[0].shape)
        start = self.canonical_axis(param.axis, axes)
        self.require(
            len(param.offset) <= 1 or start + len(param.offset) == axes,
            f"offset must be given once, or once per axis from {start} on; got "
            f"{len(param.offset)} for {axes - start} axes",
        )

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        param = self.param.crop_param
        whole, size = bottom[0].shape, bottom[1].shape
        start = self.canonical_axis(param.axis, len(whole))
        self.require(
            len(size) >= len(whole),
            f"the second bottom must have at least as many axes as the first; got shapes {whole} "
            f"and {size}",
        )
        cropped = len(whole) - start
        given = list(param.offset) or [0]
        offsets = given if len(given) == cropped else given * cropped
        self._cut: list[slice] = [slice(None)] * start
        for axis, offset in enumerate(offsets, start):
            self.require(
                offset + size[axis] <= whole[axis],
                f"the crop of axis {axis} is out of bounds: offset {offset} and size {size[axis]} "
                f"of {whole[axis]}",
            )
            self._cut.append(slice(offset, offset + size[axis]))
        top[0].resize((*whole[:start], *size[start : len(whole)]))

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        top[0].set_data(bottom[0].tensor[tuple(self._cut)].clone())

    def backward(self, top: Blobs, propagate_down: list[bool], bottom: Blobs) -> None:
        if propagate_down[0]:
            diff = torch.zeros_like(bottom[0].tensor)
            diff[tuple(self._cut)] = top[0].grad
            bottom[0].set_diff(diff)
