"""MultinomialLogisticLoss: −ln of the probability of each image's label, averaged.

    loss = −Σ ln max(p_label, 10⁻²⁰) / N
    dp_label = −1 / (N · max(p_label, 10⁻²⁰)), all others 0

The bottom holds probabilities, for example the top of a Softmax.
Source: Caffe's src/caffe/layers/multinomial_logistic_loss_layer.cpp.
"""

from __future__ import annotations

import torch

from tinynet.torchcaffe.class_labels import require_labels
from tinynet.torchcaffe.layer import Blobs, register
from tinynet.torchcaffe.loss_layer import LOG_THRESHOLD, LossLayer


@register("MultinomialLogisticLoss")
class MultinomialLogisticLoss(LossLayer):
    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        super().reshape(bottom, top)
        labels = bottom[1]
        self.require(
            (labels.channels, labels.height, labels.width) == (1, 1, 1),
            f"labels must be one per image, N×1×1×1; got shape {labels.shape}",
        )
        self.classes = bottom[0].count // max(1, bottom[0].num)

    def _picked(self, bottom: Blobs) -> tuple[torch.Tensor, torch.Tensor]:
        """The labels, N×1 integers, and the probabilities that they pick, at least 10⁻²⁰."""
        labels = bottom[1].tensor.reshape(-1, 1).to(torch.int64)
        require_labels(self, labels, self.classes)
        picked = bottom[0].tensor.reshape(bottom[0].num, self.classes).gather(1, labels)
        return labels, picked.clamp(min=LOG_THRESHOLD)

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        _, picked = self._picked(bottom)
        top[0].set_data(-picked.log().sum() / bottom[0].num)

    def backward(self, top: Blobs, propagate_down: list[bool], bottom: Blobs) -> None:
        self.refuse_label_gradient(propagate_down)
        if not propagate_down[0]:
            return
        labels, picked = self._picked(bottom)
        diff = torch.zeros_like(bottom[0].tensor).reshape(bottom[0].num, self.classes)
        diff.scatter_(1, labels, (-top[0].grad / bottom[0].num) / picked)
        bottom[0].set_diff(diff.reshape(bottom[0].shape))
