"""SigmoidCrossEntropyLoss: logistic loss of scores x with targets t in 0 … 1.

    loss = Σ (max(x, 0) − x·t + ln(1 + exp(−|x|))) / normalizer
    dx = (sigmoid(x) − t) / normalizer

The normalizer is the batch size unless ``loss_param`` states another mode.  Source: Caffe's
src/caffe/layers/sigmoid_cross_entropy_loss_layer.cpp.
"""

from __future__ import annotations

import math

import torch

from tinynet.caffeformat import schema
from tinynet.torchcaffe.class_labels import ignore_label_of
from tinynet.torchcaffe.layer import Blobs, register
from tinynet.torchcaffe.layer_types.sigmoid import sigmoid
from tinynet.torchcaffe.loss_layer import LossLayer, normalization_mode, normalizer


@register("SigmoidCrossEntropyLoss")
class SigmoidCrossEntropyLoss(LossLayer):
    def setup(self, bottom: Blobs, top: Blobs) -> None:
        param = self.param.loss_param
        self.ignore_label = ignore_label_of(param)
        self.mode = normalization_mode(param, schema.LossParameter.BATCH_SIZE)

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        super().reshape(bottom, top)
        scores, targets = bottom[0].shape, bottom[1].shape
        self.require(
            math.prod(scores) == math.prod(targets),
            f"scores and targets must have the same count; got shapes {scores} and {targets}",
        )

    def _targets(self, bottom: Blobs) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The targets in the shape of the scores, and which of them count (None: all)."""
        targets = bottom[1].tensor.reshape(bottom[0].shape)
        if self.ignore_label is None:
            return targets, None
        return targets, targets.to(torch.int64) != self.ignore_label

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        scores = bottom[0].tensor
        targets, valid = self._targets(bottom)
        losses = scores.clamp(min=0) - scores * targets + (1 + (-scores.abs()).exp()).log()
        if valid is not None:
            losses = losses * valid
        shape = bottom[0].shape
        self._normalizer = normalizer(self.mode, shape[0], math.prod(shape[1:]), valid)
        top[0].set_data(losses.sum() / self._normalizer)

    def backward(self, top: Blobs, propagate_down: list[bool], bottom: Blobs) -> None:
        self.refuse_label_gradient(propagate_down)
        if propagate_down[0]:
            targets, valid = self._targets(bottom)
            diff = sigmoid(bottom[0].tensor) - targets
            if valid is not None:
                diff = diff * valid
            bottom[0].set_diff(diff * (top[0].grad / self._normalizer))
