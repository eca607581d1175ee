"""SPP: spatial pyramid pooling (src/caffe/layers/spp_layer.cpp).

Level i pools the whole image into 2^i × 2^i bins:

    kernel = stride = ⌈size / 2^i⌉        pad = ⌈(kernel · 2^i − size) / 2⌉

The bins of all levels make one row per image: channels · (1 + 4 + 16 + …) values.  A pyramid of one
level keeps the four axes of its pooling.
"""

from __future__ import annotations

import torch

from tinynet.caffeformat import schema
from tinynet.torchcaffe.blob import Blob
from tinynet.torchcaffe.layer import Blobs, Layer, register
from tinynet.torchcaffe.layer_types.pooling import Pooling


@register("SPP")
class SPP(Layer):
    works_in_place = False

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        shape = bottom[0].shape
        self._require_images(shape)
        self.require(min(shape[2:]) > 0, f"the image must not be empty; got shape {shape}")
        self.height = self.param.spp_param.pyramid_height
        self.require(self.height > 0, "pyramid_height must be given and positive")
        self._shape: tuple[int, ...] | None = None

    def _require_images(self, shape: tuple[int, ...]) -> None:
        self.require(len(shape) == 4, f"bottom must have 4 axes (N, C, H, W); got shape {shape}")

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        shape = bottom[0].shape
        self._require_images(shape)
        if shape != self._shape:
            self._shape = shape
            self._bins: list[Blob] = []
            self._levels: list[Pooling] = []
            for level in range(self.height):  # the first that does not fit is refused
                bins = Blob()
                self._levels.append(self._level(level, bottom, bins))
                self._bins.append(bins)
        if self.height == 1:
            top[0].resize(self._bins[0].shape)
        else:
            top[0].resize((shape[0], sum(self._widths)))

    @property
    def _widths(self) -> list[int]:
        """The number of values per image of each level."""
        return [bins.shape[1] * bins.shape[2] * bins.shape[3] for bins in self._bins]

    def _level(self, level: int, bottom: Blobs, bins: Blob) -> Pooling:
        param = schema.LayerParameter(name=self.name, type="Pooling")
        pooling = param.pooling_param
        method = schema.SPPParameter.PoolMethod.Name(self.param.spp_param.pool)
        pooling.pool = schema.PoolingParameter.PoolMethod.Value(method)
        count = 2**level
        for axis, size in zip("hw", bottom[0].shape[2:]):
            kernel = -(-size // count)
            padding = (kernel * count - size + 1) // 2
            self.require(
                padding < kernel,
                f"{count} bins, those of level {level} of the pyramid, are too many for an image "
                f"of shape {bottom[0].shape[2:]}",
            )
            setattr(pooling, f"kernel_{axis}", kernel)
            setattr(pooling, f"stride_{axis}", kernel)
            setattr(pooling, f"pad_{axis}", padding)
        layer = Pooling(param, schema.TRAIN)  # in every phase, as in Caffe
        layer.set_up(bottom, [bins])
        return layer

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        for level, bins in zip(self._levels, self._bins):
            level.forward(bottom, [bins])
        if self.height == 1:
            top[0].set_data(self._bins[0].tensor.clone())
        else:
            top[0].set_data(torch.cat([bins.tensor.flatten(1) for bins in self._bins], 1))

    def backward(self, top: Blobs, propagate_down: list[bool], bottom: Blobs) -> None:
        if not propagate_down[0]:
            return
        diffs = top[0].grad.reshape(len(bottom[0].tensor), -1).split(self._widths, 1)
        below = Blob(bottom[0].shape)  # each level's own part of the bottom's diff
        below.share_data(bottom[0])
        total = torch.zeros_like(bottom[0].tensor)
        for level, bins, diff in zip(self._levels, self._bins, diffs):
            bins.set_diff(diff.reshape(bins.shape))
            level.backward([bins], [True], [below])
            total += below.grad
        bottom[0].set_diff(total)
