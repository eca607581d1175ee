"""SoftmaxWithLoss (src/caffe/layers/softmax_loss_layer.cpp).

    loss = −Σ ln max(p_label, FLT_MIN) / normalizer

The floor FLT_MIN makes the loss saturate at 87.3365 instead of becoming infinite.  The normalizer
is the number of labels not ignored (VALID, the default), of all labels (FULL), of the batch
(BATCH_SIZE) or 1 (NONE), and at least 1.
"""

from __future__ import annotations

import math

import torch

from tinynet.caffeformat import schema
from tinynet.torchcaffe.blob import shaped
from tinynet.torchcaffe.layer import Blobs, by_shapes, register
from tinynet.torchcaffe.loss_layer import LossLayer, normalization_mode, normalizer

_FLT_MIN = torch.finfo(torch.float32).tiny


@register("SoftmaxWithLoss")
class SoftmaxWithLoss(LossLayer):
    num_top = (1, 2)

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        param = self.param.loss_param
        self.ignore_label = param.ignore_label if param.HasField("ignore_label") else None
        self.mode = normalization_mode(param, schema.LossParameter.VALID)

    @by_shapes
    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        super().reshape(bottom, top)
        scores, labels = bottom[0].shape, bottom[1].shape
        self.axis = self.canonical_axis(self.param.softmax_param.axis, len(scores))
        self.classes = scores[self.axis]
        outer, inner = math.prod(scores[: self.axis]), math.prod(scores[self.axis + 1 :])
        self.rows = (outer, inner)
        # outer × classes × inner, with one label for each pair of outer and inner
        self._probabilities = (outer, self.classes, inner) if inner != 1 else (outer, self.classes)
        self._indices = (outer, 1, inner) if inner != 1 else (outer, 1)
        self.require(
            outer * inner == math.prod(labels),
            f"number of labels must match number of predictions; scores have shape {scores} with "
            f"softmax axis {self.axis}, labels {labels}",
        )
        if len(top) > 1:
            top[1].resize(scores)

    def _labels(self, bottom: Blobs) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Labels as indices of classes, and which of them count (None: all)."""
        labels = bottom[1].tensor.to(torch.int64).reshape(self._indices)
        if self.ignore_label is None:
            return labels, None
        valid = labels != self.ignore_label
        return torch.where(valid, labels, 0), valid

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        prob = torch.softmax(bottom[0].tensor, self.axis)
        self._prob = prob
        labels, valid = self._labels(bottom)
        self.require_labels(labels, self.classes)
        picked = shaped(prob, self._probabilities).gather(1, labels)
        losses = -picked.clamp(min=_FLT_MIN).log()
        if valid is not None:
            losses = losses * valid
        top[0].set_data(losses.sum() / normalizer(self.mode, *self.rows, valid))
        if len(top) > 1:
            top[1].set_data(prob)

    def backward(self, top: Blobs, propagate_down: list[bool], bottom: Blobs) -> None:
        self.refuse_label_gradient(propagate_down)
        if not propagate_down[0]:
            return
        labels, valid = self._labels(bottom)
        diff = shaped(self._prob, self._probabilities).clone()
        diff.scatter_(1, labels, -1.0, reduce="add")
        if valid is not None:
            diff *= valid
        diff *= top[0].grad / normalizer(self.mode, *self.rows, valid)
        bottom[0].set_diff(shaped(diff, bottom[0].shape))
