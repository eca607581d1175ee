"""Labels beside scores: which of the classes along an axis is the true one, at every place.

For the layers that compare the two.
"""

from __future__ import annotations

import math

import torch

from tinynet.caffeformat import schema
from tinynet.torchcaffe.layer import Layer

Shape = tuple[int, ...]


def ignore_label_of(param: schema.LossParameter | schema.AccuracyParameter) -> int | None:
    """The label that does not count; None where every one does."""
    return param.ignore_label if param.HasField("ignore_label") else None


def require_labels(layer: Layer, labels: torch.Tensor, classes: int) -> None:
    """Refuse a label that is none of the ``classes``; on a GPU nobody waits to look."""
    if labels.device.type == "cpu" and labels.numel():
        low, high = int(labels.min()), int(labels.max())
        layer.require(
            low >= 0 and high < classes,
            f"labels must be in 0 … {classes - 1}; got {low if low < 0 else high}",
        )


class ClassLabels:
    """How ``labels`` lie beside ``scores``, whose axis ``axis`` has the ``classes``.

    The scores are outer × classes × inner, with one label for each pair of outer and inner.
    ``rows`` is (outer, inner).  Raises CaffeError, naming ``layer``, where there are more labels or
    fewer.
    """

    def __init__(
        self, layer: Layer, scores: Shape, labels: Shape, axis: int, ignore_label: int | None
    ) -> None:
        self.axis = axis = layer.canonical_axis(axis, len(scores))
        self.classes = scores[axis]
        outer, inner = self.rows = math.prod(scores[:axis]), math.prod(scores[axis + 1 :])
        layer.require(
            outer * inner == math.prod(labels),
            f"number of labels must match number of predictions; scores have shape {scores} with "
            f"classes along axis {axis}, labels {labels}",
        )
        #: the scores' shape; the labels' has 1 for the classes
        self.by_class = (outer, self.classes, inner) if inner != 1 else (outer, self.classes)
        self._places = (outer, 1, inner) if inner != 1 else (outer, 1)
        self._layer, self._ignore_label = layer, ignore_label

    def indices(self, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Labels as indices of classes, int64, and which of them count (None: all).

        One that does not count is 0.  Raises CaffeError for one that is no class, on a CPU.
        """
        found = labels.to(torch.int64).reshape(self._places)
        counted = None
        if self._ignore_label is not None:
            counted = found != self._ignore_label
            found = torch.where(counted, found, 0)
        require_labels(self._layer, found, self.classes)
        return found, counted
