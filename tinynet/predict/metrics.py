"""Loss and accuracy as Caffe's SoftmaxWithLoss and Accuracy layers compute them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FLT_MIN = np.finfo(np.float32).tiny  # Caffe's lower bound of a probability: the loss is ≤ 87.3365
TOP_K = 5


@dataclass(frozen=True)
class Metrics:
    """Scores of one set of probabilities: mean loss in nats, accuracies from 0 to 1."""

    images: int
    loss: float
    top1: float
    top5: float


def rank_of_label(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How many other classes score at least as much as the label's; 0 if it alone scores highest.

    ``probabilities`` N×C, ``labels`` N in [0, C).  Ties count against the label, as in Caffe's
    accuracy_layer.cpp.  (Caffe compares scores.  Scores of more than 103 below the highest, as in a
    diverging net, all give a probability of 0 in float32, so they tie here.)
    """
    own = np.take_along_axis(probabilities, labels[:, None], axis=1)
    return (probabilities >= own).sum(axis=1) - 1


def is_right(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """For each image (float64, N) 1 if the label's class alone scores highest, else 0."""
    return (rank_of_label(probabilities, labels) < 1).astype(np.float64)


def metrics_of(own: np.ndarray, rank: np.ndarray) -> Metrics:
    """The scores of N images, N ≥ 1, from their labels' probabilities and ``rank_of_label``.

    The loss is the mean of -ln max(p, FLT_MIN) (softmax_loss_layer.cpp).
    """
    return Metrics(
        images=len(own),
        loss=float(-np.log(np.maximum(own, FLT_MIN), dtype=np.float64).mean()),
        top1=float((rank < 1).mean()),
        top5=float((rank < TOP_K).mean()),
    )


def score(probabilities: np.ndarray, labels: np.ndarray) -> Metrics:
    """Score N×C probabilities against N known labels, N ≥ 1."""
    own = np.take_along_axis(probabilities, labels[:, None], axis=1)[:, 0]
    return metrics_of(own, rank_of_label(probabilities, labels))


def predicted_class(probabilities: np.ndarray) -> np.ndarray:
    """The class with the highest probability in each row; the last of equals, as Caffe's ArgMax."""
    return probabilities.shape[1] - 1 - np.argmax(probabilities[:, ::-1], axis=1)
