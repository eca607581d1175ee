"""Accuracy: the fraction of labels among the top_k scores (src/caffe/layers/accuracy_layer.cpp).

A prediction is right if fewer than top_k other classes score at least as high as the true one: ties
count against the prediction.  A comparison with NaN is false, so NaN scores count as right.
"""

from __future__ import annotations

import torch

from tinynet.torchcaffe.blob import shaped
from tinynet.torchcaffe.class_labels import ClassLabels, ignore_label_of
from tinynet.torchcaffe.layer import Blobs, Layer, by_shapes, register


@register("Accuracy")
class Accuracy(Layer):
    num_bottom = (2, 2)
    num_top = (1, 2)

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        param = self.param.accuracy_param
        self.top_k = param.top_k
        self.ignore_label = ignore_label_of(param)
        # number of labels → the same as a tensor, kept since a recorded pass reads its memory
        self._counts: dict[int, torch.Tensor] = {}

    @by_shapes
    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        axis = self.param.accuracy_param.axis
        self._labels = ClassLabels(self, bottom[0].shape, bottom[1].shape, axis, self.ignore_label)
        self.classes = self._labels.classes
        self.require(
            self.top_k <= self.classes,
            f"top_k must be at most the number of classes; got {self.top_k} of {self.classes}",
        )
        top[0].resize(())
        if len(top) > 1:
            top[1].resize((self.classes,))

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        scores = shaped(bottom[0].tensor, self._labels.by_class)
        labels, counted = self._labels.indices(bottom[1].tensor)
        # the count includes the true class itself, unless its score is NaN
        right = (scores >= scores.gather(1, labels)).sum(1, keepdim=True) <= self.top_k
        if counted is not None:
            right &= counted
        top[0].set_data(right.sum() / self._total(labels, counted))
        if len(top) > 1:
            if counted is None:
                counted = torch.ones_like(right)
            index = labels.reshape(-1)
            per_class = torch.zeros(2, self.classes, device=scores.device)
            per_class[0].scatter_add_(0, index, right.reshape(-1).to(torch.float32))
            per_class[1].scatter_add_(0, index, counted.reshape(-1).to(torch.float32))
            top[1].set_data(per_class[0] / per_class[1].clamp(min=1))

    def _total(self, labels: torch.Tensor, counted: torch.Tensor | None) -> torch.Tensor:
        """How many labels count, at least 1 (with none, the accuracy is 0): float32, 0-d."""
        if counted is not None:
            return counted.sum().to(torch.float32).clamp(min=1)
        count = labels.numel()
        if count not in self._counts:  # a tensor, since a GPU divides differently by a number
            self._counts[count] = torch.full((), max(1.0, count), device=labels.device)
        return self._counts[count]
