"""Accuracy (src/caffe/layers/accuracy_layer.cpp).

A row is right if fewer than top_k other classes score at least as high as the true one: ties count
against the prediction.  A comparison with NaN is false, so NaN scores count as right.
"""

from __future__ import annotations

import math

import torch

from tinynet.torchcaffe.blob import shaped
from tinynet.torchcaffe.layer import Blobs, Layer, by_shapes, register


@register("Accuracy")
class Accuracy(Layer):
    num_bottom = (2, 2)
    num_top = (1, 2)

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        param = self.param.accuracy_param
        self.top_k = param.top_k
        self.ignore_label = param.ignore_label if param.HasField("ignore_label") else None
        # how many labels there are, as tensors that stay: a recorded pass reads them where they lie
        self._counts: dict[int, torch.Tensor] = {}

    @by_shapes
    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        scores, labels = bottom[0].shape, bottom[1].shape
        axis = self.canonical_axis(self.param.accuracy_param.axis, len(scores))
        self.classes = scores[axis]
        outer, inner = math.prod(scores[:axis]), math.prod(scores[axis + 1 :])
        # outer × classes × inner, with one label for each pair of outer and inner
        self._scores = (outer, self.classes, inner) if inner != 1 else (outer, self.classes)
        self._labels = (outer, 1, inner) if inner != 1 else (outer, 1)
        self.require(
            outer * inner == math.prod(labels),
            f"number of labels must match number of predictions; scores have shape {scores} with "
            f"axis {axis}, labels {labels}",
        )
        self.require(
            self.top_k <= self.classes,
            f"top_k must be at most the number of classes; got {self.top_k} of {self.classes}",
        )
        top[0].resize(())
        if len(top) > 1:
            top[1].resize((self.classes,))

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        scores = shaped(bottom[0].tensor, self._scores)
        labels = bottom[1].tensor.to(torch.int64).reshape(self._labels)
        counted: torch.Tensor | None = None  # all of them
        if self.ignore_label is not None:
            counted = labels != self.ignore_label
            labels = torch.where(counted, labels, 0)
        if labels.device.type == "cpu" and labels.numel():
            self.require(
                int(labels.min()) >= 0 and int(labels.max()) < self.classes,
                f"labels must be in 0 … {self.classes - 1}; got {int(labels.min())} … "
                f"{int(labels.max())}",
            )
        # of the classes at least as good as the true one, that is one itself, unless it is NaN
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
        if count not in self._counts:  # a tensor, since a GPU divides by a number in another way
            self._counts[count] = torch.full((), max(1.0, count), device=labels.device)
        return self._counts[count]
