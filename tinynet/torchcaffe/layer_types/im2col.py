"""Im2col: every window of a blob as a column (src/caffe/layers/im2col_layer.cpp).

    channels × sizes → channels·kernel… × windows

``convolution_param`` describes the window; its num_output, group, bias and fillers have no effect.
Backward sums the diffs of each value over all of its windows.
"""

from __future__ import annotations

import math

from tinynet.torchcaffe.layer import Blobs, Layer, register
from tinynet.torchcaffe.window_columns import Columns, require_window


@register("Im2col")
class Im2col(Layer):
    works_in_place = False

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        shape = bottom[0].shape
        self.axis = self.canonical_axis(self.param.convolution_param.axis, len(shape))
        self.spatial = len(shape) - self.axis - 1
        self.require(
            self.spatial >= 1, f"needs a spatial axis after axis {self.axis}; got shape {shape}"
        )
        self.window = require_window(self, self.spatial)

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        shape = bottom[0].shape
        self.require(
            len(shape) == self.axis + 1 + self.spatial,
            f"the number of the bottom's axes must not change; got shape {shape}",
        )
        self._columns = Columns(self.window, shape[self.axis + 1 :])
        self.require(
            min(self._columns.windows) > 0,
            f"kernel {list(self.window.kernel)} does not fit into the padded bottom {shape}",
        )
        channels = shape[self.axis] * math.prod(self.window.kernel)
        top[0].resize((*shape[: self.axis], channels, *self._columns.windows))

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        values = bottom[0].tensor
        columns = self._columns.gather(values.reshape(-1, *values.shape[self.axis :]))
        top[0].set_data(columns.reshape(top[0].shape))

    def backward(self, top: Blobs, propagate_down: list[bool], bottom: Blobs) -> None:
        if not propagate_down[0]:
            return
        above, shape = top[0].grad, bottom[0].shape
        images = math.prod(shape[: self.axis])
        columns = above.reshape(images, shape[self.axis], -1, *self._columns.windows)
        bottom[0].set_diff(self._columns.scatter(columns).reshape(shape))
