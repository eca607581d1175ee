"""BatchNorm: y = (x − mean) / √(variance + eps) (src/caffe/layers/batch_norm_layer.cpp).

In TRAIN, mean and variance are the batch's, and moving sums of them are kept, with fraction f:

    blobs[0] ← f · blobs[0] + mean
    blobs[1] ← f · blobs[1] + variance · m / (m − 1)      m: values per channel
    blobs[2] ← f · blobs[2] + 1

In TEST, or where ``use_global_stats`` says so, mean and variance are blobs[0] and blobs[1] divided
by blobs[2].  These blobs are statistics that no solver may change, so their lr_mult is 0.
"""

from __future__ import annotations

import torch

from tinynet.caffeformat import schema
from tinynet.torchcaffe.layer import Blobs, Layer, register


@register("BatchNorm")
class BatchNorm(Layer):
    def setup(self, bottom: Blobs, top: Blobs) -> None:
        param = self.param.batch_norm_param
        self.fraction, self.eps = param.moving_average_fraction, param.eps
        self.use_global_stats = self.phase == schema.TEST
        if param.HasField("use_global_stats"):
            self.use_global_stats = param.use_global_stats
        self.require(
            len(bottom[0].shape) >= 2,
            f"bottom must have at least 2 axes (N, C, …); got shape {bottom[0].shape}",
        )
        self.channels = bottom[0].shape[1]
        for shape in ((self.channels,), (self.channels,), (1,)):
            self.add_blob(shape)
        self.require(
            all(spec.lr_mult == 0 for spec in self.param.param),
            "batch normalization statistics cannot be learned: lr_mult must be 0",
        )
        while len(self.param.param) < len(self.blobs):
            self.param.param.add(lr_mult=0)

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        shape = bottom[0].shape
        self.require(
            len(shape) >= 2 and shape[1] == self.channels,
            f"bottom must have {self.channels} channels; got shape {shape}",
        )
        self._others = [axis for axis in range(len(shape)) if axis != 1]
        self._per_channel = (self.channels, *(1 for _ in shape[2:]))
        top[0].resize(shape)

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        values = bottom[0].tensor
        if self.use_global_stats:
            weight = self.blobs[2].tensor
            factor = torch.where(weight == 0, 0, 1 / weight)
            centred = values - (self.blobs[0].tensor * factor).reshape(self._per_channel)
            variance = self.blobs[1].tensor * factor
        else:
            mean = values.mean(self._others)
            centred = values - mean.reshape(self._per_channel)
            variance = centred.square().mean(self._others)
            self._keep_moving_sums(mean, variance, values.numel() // self.channels)
        self._deviation = (variance + self.eps).sqrt().reshape(self._per_channel)
        normalized = centred / self._deviation
        if not self.use_global_stats:
            # a copy, since later layers may work in place on the top
            self._normalized = normalized.clone()
        top[0].set_data(normalized)

    def _keep_moving_sums(self, mean: torch.Tensor, variance: torch.Tensor, count: int) -> None:
        correction = count / (count - 1) if count > 1 else 1.0
        self.blobs[0].tensor.mul_(self.fraction).add_(mean)
        self.blobs[1].tensor.mul_(self.fraction).add_(variance, alpha=correction)
        self.blobs[2].tensor.mul_(self.fraction).add_(1)

    def backward(self, top: Blobs, propagate_down: list[bool], bottom: Blobs) -> None:
        # Caffe ignores propagate_down here, and scripts can see the diff.
        above = top[0].grad
        if not self.use_global_stats:
            # dx = (g − mean(g) − mean(g·y) · y) / √(variance + eps)
            y = self._normalized
            along = (above * y).mean(self._others, keepdim=True)
            above = above - above.mean(self._others, keepdim=True) - along * y
        bottom[0].set_diff(above / self._deviation)
