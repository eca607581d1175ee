"""InfogainLoss: a softmax loss in which a matrix H weights each class for each label.

    loss = −Σ over labels y, classes k of H[y, k] · ln max(p_k, 10⁻²⁰) / normalizer
    dx_k = (p_k · Σⱼ H[y, j] − H[y, k]) / normalizer

with p the softmax of bottom 0 along ``axis``.  H, classes × classes, comes from the file
``source`` (a BlobProto) or from bottom 2.  If H is the identity, this is SoftmaxWithLoss.
Source: Caffe's src/caffe/layers/infogain_loss_layer.cpp.
"""

from __future__ import annotations

import math

import torch

from tinynet.torchcaffe.class_labels import ClassLabels, ignore_label_of
from tinynet.torchcaffe.context import CONTEXT
from tinynet.torchcaffe.layer import Blobs, register
from tinynet.torchcaffe.loss_layer import LOG_THRESHOLD, LossLayer, normalizer
from tinynet.torchcaffe.snapshots import stored_blobs


@register("InfogainLoss")
class InfogainLoss(LossLayer):
    num_bottom = (2, 3)
    num_top = (1, 2)

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        param, loss = self.param.infogain_loss_param, self.param.loss_param
        self.ignore_label = ignore_label_of(loss)
        self.require(
            not loss.HasField("normalize"),
            "loss_param.normalize is no longer supported here; write normalization instead",
        )
        self.mode = loss.normalization
        self._stored: torch.Tensor | None = None
        if len(bottom) < 3:
            self.require(
                param.HasField("source"),
                "the matrix H must be given, by infogain_loss_param.source or as bottom 2",
            )
            stored = stored_blobs.read(param.source)
            self._stored = torch.from_numpy(stored).to(CONTEXT.device)

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        super().reshape(bottom, top)
        scores, axis = bottom[0].shape, self.param.infogain_loss_param.axis
        self._labels = ClassLabels(self, scores, bottom[1].shape, axis, self.ignore_label)
        self.rows, self.classes = self._labels.rows, self._labels.classes
        given = bottom[2].shape if self._stored is None else tuple(self._stored.shape)
        self.require(
            math.prod(given) == self.classes**2,
            f"H must have {self.classes} × {self.classes} values, one for each pair of classes; "
            f"got shape {given}",
        )
        if len(top) > 1:
            top[1].resize(scores)

    def _matrix(self, bottom: Blobs) -> torch.Tensor:
        values = bottom[2].tensor if self._stored is None else self._stored
        return values.reshape(self.classes, self.classes)

    def _indices(self, bottom: Blobs) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The labels as outer × inner indices, and which of them count (None: all)."""
        labels, valid = self._labels.indices(bottom[1].tensor)
        return labels.reshape(self.rows), None if valid is None else valid.reshape(self.rows)

    def _by_class(self, values: torch.Tensor) -> torch.Tensor:
        """``values`` as outer × classes × inner."""
        return values.reshape(self.rows[0], self.classes, self.rows[1])

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        self._prob = torch.softmax(bottom[0].tensor, self._labels.axis)
        labels, valid = self._indices(bottom)
        weights = self._matrix(bottom)[labels].transpose(1, 2)
        losses = weights * self._by_class(self._prob).clamp(min=LOG_THRESHOLD).log()
        if valid is not None:
            losses = losses * valid[:, None]
        top[0].set_data(-losses.sum() / normalizer(self.mode, *self.rows, valid))
        if len(top) > 1:
            top[1].set_data(self._prob)

    def backward(self, top: Blobs, propagate_down: list[bool], bottom: Blobs) -> None:
        self.refuse_label_gradient(propagate_down)
        self.require(
            len(bottom) < 3 or not propagate_down[2], "cannot backpropagate to the matrix H"
        )
        if not propagate_down[0]:
            return
        labels, valid = self._indices(bottom)
        matrix = self._matrix(bottom)
        diff = self._by_class(self._prob) * matrix.sum(1)[labels][:, None]
        diff -= matrix[labels].transpose(1, 2)
        if valid is not None:
            diff *= valid[:, None]
        diff *= top[0].grad / normalizer(self.mode, *self.rows, valid)
        bottom[0].set_diff(diff.reshape(bottom[0].shape))
