"""Reduction: the axes from ``axis`` on become one number (src/caffe/layers/reduction_layer.cpp).

SUM, MEAN, ASUM (of absolute values) or SUMSQ (of squares), times ``coeff``.
"""

from __future__ import annotations

import math

import torch

from tinynet.caffeformat import schema
from tinynet.torchcaffe.layer import Blobs, Layer, register

_OPERATIONS = schema.ReductionParameter


@register("Reduction")
class Reduction(Layer):
    works_in_place = False

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        param, shape = self.param.reduction_param, bottom[0].shape
        axis = self.canonical_axis(param.axis, len(shape))
        self.operation, self.coefficient = param.operation, param.coeff
        self._rows = math.prod(shape[:axis]), math.prod(shape[axis:])
        if self.operation == _OPERATIONS.MEAN and self.coefficient:
            # the mean of nothing is 0 · ∞, which is NaN; a coeff of 0 makes it 0 (see affine.py)
            count = self._rows[1]
            self.coefficient = self.coefficient / count if count else math.inf
        top[0].resize(shape[:axis])

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        values = bottom[0].tensor.reshape(self._rows)
        if self.operation == _OPERATIONS.ASUM:
            values = values.abs()
        elif self.operation == _OPERATIONS.SUMSQ:
            values = values.square()
        top[0].set_data((values.sum(1) * self.coefficient).reshape(top[0].shape))

    def backward(self, top: Blobs, propagate_down: list[bool], bottom: Blobs) -> None:
        if propagate_down[0]:
            above = (top[0].grad * self.coefficient).reshape(-1, 1)
            slope = self._slope(bottom[0].tensor.reshape(self._rows))
            bottom[0].set_diff((above * slope).reshape(bottom[0].shape))

    def _slope(self, values: torch.Tensor) -> torch.Tensor:
        if self.operation == _OPERATIONS.ASUM:
            return values.sign()
        if self.operation == _OPERATIONS.SUMSQ:
            return 2 * values
        return torch.ones_like(values)
