"""Im2col: every window of a blob as a column (src/caffe/layers/im2col_layer.cpp).

    channels × sizes → channels·kernel… × places of the window

with the window of ``convolution_param``, of which num_output, group, bias and fillers mean nothing
here.  Backward adds up what each value had in all of its windows.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch.nn.functional import pad

from tinynet.torchcaffe.layer import Blobs, Layer, register
from tinynet.torchcaffe.window import Window


@register("Im2col")
class Im2col(Layer):
    works_in_place = False

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        param = self.param.convolution_param
        shape = bottom[0].shape
        self.axis = self.canonical_axis(param.axis, len(shape))
        self.spatial = len(shape) - self.axis - 1
        self.require(
            self.spatial >= 1, f"needs a spatial axis after axis {self.axis}; got shape {shape}"
        )
        self.window = Window(self, param, self.spatial)

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        shape = bottom[0].shape
        self.require(
            len(shape) == self.axis + 1 + self.spatial,
            f"the number of the bottom's axes must not change; got shape {shape}",
        )
        self._places = self.window.steps(shape[self.axis + 1 :])
        self.require(
            min(self._places) > 0,
            f"kernel {self.window.kernel} does not fit into the padded bottom {shape}",
        )
        channels = shape[self.axis] * math.prod(self.window.kernel)
        top[0].resize((*shape[: self.axis], channels, *self._places))

    @property
    def _padding(self) -> list[int]:
        """As ``pad`` wants it: of the last axis first, at both ends."""
        return [amount for amount in reversed(self.window.pad) for _ in range(2)]

    def _seen(self, padded: torch.Tensor, offsets: tuple[int, ...]) -> torch.Tensor:
        """The values of (images, channels, padded sizes…) at one element of every window."""
        for axis, (offset, places) in enumerate(zip(offsets, self._places), 2):
            start = offset * self.window.dilation[axis - 2]
            stride = self.window.stride[axis - 2]
            index = [slice(None)] * padded.dim()
            index[axis] = slice(start, start + stride * (places - 1) + 1, stride)
            padded = padded[tuple(index)]
        return padded

    def _elements(self) -> itertools.product[tuple[int, ...]]:
        return itertools.product(*(range(size) for size in self.window.kernel))

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        values = bottom[0].tensor
        padded = pad(values.reshape(-1, *values.shape[self.axis :]), self._padding)
        columns = [self._seen(padded, offsets) for offsets in self._elements()]
        top[0].set_data(torch.stack(columns, 2).reshape(top[0].shape))

    def backward(self, top: Blobs, propagate_down: list[bool], bottom: Blobs) -> None:
        if not propagate_down[0]:
            return
        above, below = top[0].grad, bottom[0]
        images = math.prod(below.shape[: self.axis])
        padded = pad(above.new_zeros((images, *below.shape[self.axis :])), self._padding)
        columns = above.reshape(images, below.shape[self.axis], -1, *self._places)
        for number, offsets in enumerate(self._elements()):
            self._seen(padded, offsets).add_(columns[:, :, number])
        diff = pad(padded, [-amount for amount in self._padding])
        below.set_diff(diff.reshape(below.shape))
