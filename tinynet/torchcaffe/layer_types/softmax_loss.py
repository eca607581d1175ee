"""SoftmaxWithLoss (src/caffe/layers/softmax_loss_layer.cpp).

    loss = −Σ ln max(p_label, FLT_MIN) / normalizer

The floor FLT_MIN makes the loss saturate at 87.3365 instead of becoming infinite.  The normalizer
is the number of labels that are not ignored (VALID, the default), of all labels (FULL) or of images
(BATCH_SIZE), or 1 (NONE); it is at least 1.
"""

from __future__ import annotations

import torch

from tinynet.caffeformat import schema
from tinynet.torchcaffe.blob import shaped
from tinynet.torchcaffe.class_labels import ClassLabels, ignore_label_of
from tinynet.torchcaffe.layer import Blobs, by_shapes, register
from tinynet.torchcaffe.loss_layer import LossLayer, normalization_mode, normalizer

_FLT_MIN = torch.finfo(torch.float32).tiny


@register("SoftmaxWithLoss")
class SoftmaxWithLoss(LossLayer):
    num_top = (1, 2)

    def setup(self, bottom: Blobs, top: Blobs) -> None:
        param = self.param.loss_param
        self.ignore_label = ignore_label_of(param)
        self.mode = normalization_mode(param, schema.LossParameter.VALID)

    @by_shapes
    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        super().reshape(bottom, top)
        scores, axis = bottom[0].shape, self.param.softmax_param.axis
        self._labels = ClassLabels(self, scores, bottom[1].shape, axis, self.ignore_label)
        if len(top) > 1:
            top[1].resize(scores)

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        prob = torch.softmax(bottom[0].tensor, self._labels.axis)
        self._prob = prob
        labels, valid = self._labels.indices(bottom[1].tensor)
        picked = shaped(prob, self._labels.by_class).gather(1, labels)
        losses = -picked.clamp(min=_FLT_MIN).log()
        if valid is not None:
            losses = losses * valid
        top[0].set_data(losses.sum() / normalizer(self.mode, *self._labels.rows, valid))
        if len(top) > 1:
            top[1].set_data(prob)

    def backward(self, top: Blobs, propagate_down: list[bool], bottom: Blobs) -> None:
        self.refuse_label_gradient(propagate_down)
        if not propagate_down[0]:
            return
        labels, valid = self._labels.indices(bottom[1].tensor)
        diff = shaped(self._prob, self._labels.by_class).clone()
        diff.scatter_(1, labels, -1.0, reduce="add")
        if valid is not None:
            diff *= valid
        diff *= top[0].grad / normalizer(self.mode, *self._labels.rows, valid)
        bottom[0].set_diff(shaped(diff, bottom[0].shape))
