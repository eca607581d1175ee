"""Losses other than SoftmaxWithLoss."""

from __future__ import annotations

import numpy as np

from tests.torchcaffe.layer_cases.case import Case, whole
from tests.torchcaffe.small_nets import normal

_SCORES = normal(1, (5, 4, 2, 1))
_LABELS = whole(2, (5,), 8)
_TARGETS = np.random.default_rng(3).random((5, 4, 2, 1)).astype(np.float32)
_MARKED = whole(4, (5, 4, 2, 1), 2, -1)
_LOGISTIC = {"x": _SCORES * 3, "t": _TARGETS}
_IGNORED = {"x": _SCORES * 3, "t": _MARKED}
_PASS = "propagate_down: true propagate_down: false"


def _logistic(parameters: str, inputs: dict[str, np.ndarray]) -> Case:
    return Case("SigmoidCrossEntropyLoss", f"{_PASS} {parameters}", dict(inputs))


LOSSES = {
    "euclidean": Case("EuclideanLoss", "", {"x": (3, 4, 2), "t": (3, 2, 4)}),
    "euclidean weighted": Case("EuclideanLoss", "loss_weight: 0.3", {"x": (3, 4), "t": (3, 4)}),
    "hinge": Case("HingeLoss", _PASS, {"x": _SCORES, "t": _LABELS}),
    "hinge l2": Case(
        "HingeLoss", f"{_PASS} hinge_loss_param {{ norm: L2 }}", {"x": _SCORES, "t": _LABELS}
    ),
    "hinge weighted": Case("HingeLoss", f"{_PASS} loss_weight: 3", {"x": _SCORES, "t": _LABELS}),
    "logistic": _logistic("", _LOGISTIC),
    "logistic saturated": _logistic("", {"x": _SCORES * 60, "t": _TARGETS}),
    "logistic weighted": _logistic("loss_weight: 0.2", _LOGISTIC),
    "logistic ignores": _logistic("loss_param { ignore_label: -1 }", _IGNORED),
    "logistic valid": _logistic("loss_param { ignore_label: -1 normalization: VALID }", _IGNORED),
    "logistic valid, all of it": _logistic("loss_param { normalization: VALID }", _LOGISTIC),
    "logistic full": _logistic("loss_param { ignore_label: -1 normalization: FULL }", _IGNORED),
    "logistic none": _logistic("loss_param { normalization: NONE }", _LOGISTIC),
    "logistic normalized, as older nets say it": _logistic(
        "loss_param { ignore_label: -1 normalize: true }", _IGNORED
    ),
    "logistic not normalized": _logistic(
        "loss_param { ignore_label: -1 normalize: false }", _IGNORED
    ),
}
