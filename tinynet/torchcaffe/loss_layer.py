"""LossLayer: base of the layers that compare predictions with labels or targets.

Source: Caffe's src/caffe/layers/loss_layer.cpp.  The normalization modes are LossParameter's, which
SoftmaxWithLoss and SigmoidCrossEntropyLoss read.
"""

from __future__ import annotations

import torch

from tinynet.caffeformat import schema
from tinynet.torchcaffe.layer import Blobs, Layer

_MODES = schema.LossParameter
LOG_THRESHOLD = 1e-20  # smaller probabilities count as this one (kLOG_THRESHOLD)


class LossLayer(Layer):
    """A scalar top with loss weight 1, from predictions (bottom 0) and labels (bottom 1)."""

    num_bottom = (2, 2)
    auto_top = True
    works_in_place = False
    default_loss_weight = 1.0

    def allow_force_backward(self, bottom_index: int) -> bool:
        return bottom_index != 1

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        first, second = bottom[0].shape, bottom[1].shape
        self.require(
            len(first) > 0 and first[:1] == second[:1],
            f"data and label must have the same first dimension; got shapes {first} and {second}",
        )
        top[0].resize(())

    def refuse_label_gradient(self, propagate_down: list[bool]) -> None:
        self.require(not propagate_down[1], "cannot backpropagate to label inputs")


def normalization_mode(param: schema.LossParameter, default: int) -> int:
    """The mode in a LossParameter: its ``normalization``, or the older ``normalize``."""
    if param.HasField("normalization"):
        return param.normalization
    if param.HasField("normalize"):
        return _MODES.VALID if param.normalize else _MODES.BATCH_SIZE
    return default


def normalizer(
    mode: int, outer: int, inner: int, valid: torch.Tensor | None
) -> float | torch.Tensor:
    """The divisor of the sum of ``outer`` × ``inner`` losses; at least 1.

    VALID is the number of labels that are not ignored (``valid``; None: all), FULL the number of
    all labels, BATCH_SIZE the number of images (``outer``), and NONE is 1.
    """
    if mode == _MODES.NONE:
        return 1.0
    if mode == _MODES.BATCH_SIZE:
        return max(1.0, float(outer))
    if mode == _MODES.FULL or valid is None:
        return max(1.0, float(outer * inner))
    return valid.sum().clamp(min=1).to(torch.float32)
