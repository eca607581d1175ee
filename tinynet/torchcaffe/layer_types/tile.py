"""Tile: the bottom repeated along an axis (src/caffe/layers/tile_layer.cpp)."""

from __future__ import annotations

import math

from tinynet.torchcaffe.layer import Blobs, Layer, register


@register("Tile")
class Tile(Layer):
    works_in_place = False

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        param = self.param.tile_param
        shape = bottom[0].shape
        axis = self.canonical_axis(param.axis, len(shape))
        self.require(param.tiles > 0, f"tiles must be given and positive; got {param.tiles}")
        # the bottom's elements before the axis, the copies, its elements from the axis on
        self._copies = (math.prod(shape[:axis]), param.tiles, math.prod(shape[axis:]))
        top[0].resize((*shape[:axis], shape[axis] * param.tiles, *shape[axis + 1 :]))

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        outer, tiles, inner = self._copies
        copies = bottom[0].tensor.reshape(outer, 1, inner).repeat(1, tiles, 1)
        top[0].set_data(copies.reshape(top[0].shape))

    def backward(self, top: Blobs, propagate_down: list[bool], bottom: Blobs) -> None:
        if propagate_down[0]:
            sums = top[0].grad.reshape(self._copies).sum(1)
            bottom[0].set_diff(sums.reshape(bottom[0].shape))
