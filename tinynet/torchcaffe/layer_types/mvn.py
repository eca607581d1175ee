"""MVN: mean-variance normalization of each image (src/caffe/layers/mvn_layer.cpp).

    y = (x − mean) / (√variance + eps)

over each channel of each image, or over each image with ``across_channels``.  Without
``normalize_variance`` it is only x − mean.  The top always has four axes.  As in Caffe the gradient
takes eps as near 0: dx = (dy − mean(dy) − y · mean(y · dy)) / (√variance + eps).

In place with ``normalize_variance``, Caffe's backward reads diffs that it has overwritten.  Here
the gradient is right, and a warning says so.
"""

from __future__ import annotations

import torch

from tinynet.torchcaffe import glog
from tinynet.torchcaffe.blob import Blob
from tinynet.torchcaffe.layer import Blobs, Layer, register


@register("MVN")
class MVN(Layer):
    def setup(self, bottom: Blobs, top: Blobs) -> None:
        param = self.param.mvn_param
        self.eps, self.scales = param.eps, param.normalize_variance
        if top[0] is bottom[0] and self.scales:
            glog.warning(
                f"MVN layer {self.name} works in place: its gradient is right here, but not in "
                "Caffe; give its top a name of its own for the same in both",
            )

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        shape = bottom[0].shape
        self.require(len(shape) <= 4, f"bottom must have at most 4 axes; got shape {shape}")
        top[0].resize((*shape, 1, 1, 1, 1)[:4])

    def _rows(self, blob: Blob, values: torch.Tensor) -> torch.Tensor:
        """``values`` of a blob as rows, one per mean."""
        one_each = self.param.mvn_param.across_channels
        return values.reshape(blob.num if one_each else blob.num * blob.channels, -1)

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        rows = self._rows(bottom[0], bottom[0].tensor)
        rows = rows - rows.mean(1, keepdim=True)
        if self.scales:
            self._spread = rows.square().mean(1, keepdim=True).sqrt_().add_(self.eps)
            rows.div_(self._spread)
        top[0].set_data(rows.reshape(top[0].shape))

    def backward(self, top: Blobs, propagate_down: list[bool], bottom: Blobs) -> None:
        if not propagate_down[0]:
            return
        above = self._rows(top[0], top[0].grad)
        diff = above - above.mean(1, keepdim=True)
        if self.scales:
            y = self._rows(top[0], top[0].tensor)
            diff.sub_(y * (y * above).mean(1, keepdim=True)).div_(self._spread)
        bottom[0].set_diff(diff.reshape(bottom[0].shape))
