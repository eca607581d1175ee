"""The labels of scores: the true class along an axis, at each position of the others."""

from __future__ import annotations

import math

import torch

from tinynet.caffeformat import schema
from tinynet.torchcaffe.layer import Layer

Shape = tuple[int, ...]


def ignore_label_of(param: schema.LossParameter | schema.AccuracyParameter) -> int | None:
    """The label to ignore; None if there is none."""
    return param.ignore_label if param.HasField("ignore_label") else None


def require_labels(layer: Layer, labels: torch.Tensor, classes: int) -> None:
    """Raise CaffeError for a label that is not a class; a GPU's are not read, to avoid waiting."""
    if labels.device.type == "cpu" and labels.numel():
        low, high = int(labels.min()), int(labels.max())
        layer.require(
            low >= 0 and high < classes,
            f"labels must be in 0 … {classes - 1}; got {low if low < 0 else high}",
        )


class ClassLabels:
    """The layout of ``labels`` and ``scores``, whose axis ``axis`` counts the ``classes``.

    The scores are outer × classes × inner, with one label for each pair of outer and inner.
    ``rows`` is (outer, inner).  Raises CaffeError naming ``layer`` if the number of labels differs.
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
        #: the shape of the scores; that of the labels has 1 in place of the classes
        self.by_class = (outer, self.classes, inner) if inner != 1 else (outer, self.classes)
        self._places = (outer, 1, inner) if inner != 1 else (outer, 1)
        self._layer, self._ignore_label = layer, ignore_label

    def indices(self, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return the labels as int64 class indices, and a mask of those that count (None: all).

        The index of an ignored label is 0.  On a CPU, raises CaffeError for a label that is not a
        class.
        """
        found = labels.to(torch.int64).reshape(self._places)
        counted = None
        if self._ignore_label is not None:
            counted = found != self._ignore_label
            found = torch.where(counted, found, 0)
        require_labels(self._layer, found, self.classes)
        return found, counted
