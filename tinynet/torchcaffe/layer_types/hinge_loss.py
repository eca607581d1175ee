"""HingeLoss: one-versus-all margins (src/caffe/layers/hinge_loss_layer.cpp).

loss = Σ max(0, 1 − δ·x)^p / N      δ: 1 for the label's score, −1 for the others; p: the norm
"""

from __future__ import annotations

import torch

from tinynet.caffeformat import schema
from tinynet.torchcaffe.class_labels import require_labels
from tinynet.torchcaffe.layer import Blobs, register
from tinynet.torchcaffe.loss_layer import LossLayer


@register("HingeLoss")
class HingeLoss(LossLayer):
    def setup(self, bottom: Blobs, top: Blobs) -> None:
        self.squared = self.param.hinge_loss_param.norm == schema.HingeLossParameter.L2

    def _signs(self, bottom: Blobs) -> torch.Tensor:
        """−δ, of shape N × classes."""
        rows = bottom[0].num
        labels = bottom[1].tensor.reshape(-1)[:rows].to(torch.int64)
        scores = bottom[0].tensor.reshape(rows, -1)
        require_labels(self, labels, scores.shape[1])
        return torch.ones_like(scores).scatter_(1, labels[:, None], -1.0)

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        signs = self._signs(bottom)
        margins = (1 + signs * bottom[0].tensor.reshape(signs.shape)).clamp(min=0)
        # Caffe keeps the margins in the bottom's diff until backward, and scripts see them there
        bottom[0].set_diff(margins.reshape(bottom[0].shape))
        total = margins.square().sum() if self.squared else margins.sum()
        top[0].set_data(total / bottom[0].num)

    def backward(self, top: Blobs, propagate_down: list[bool], bottom: Blobs) -> None:
        self.refuse_label_gradient(propagate_down)
        if propagate_down[0]:
            signs = self._signs(bottom)
            margins = bottom[0].grad.reshape(signs.shape)
            slope = 2 * margins if self.squared else margins.sign()
            diff = signs * slope * (top[0].grad / bottom[0].num)
            bottom[0].set_diff(diff.reshape(bottom[0].shape))
