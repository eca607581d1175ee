"""Scores of hand-made probabilities, and those of real Caffe's layers on random ones."""

from __future__ import annotations

import numpy as np
import pytest

from tests.conftest import run_python
from tinynet.predict import metrics

CAFFE_SCORES = """
import sys
import numpy as np
import caffe
arrays = np.load(sys.argv[1])
count, classes = arrays["p"].shape
open(sys.argv[2] + ".prototxt", "w").write('''
layer { name: "i" type: "Input" top: "p" top: "label"
  input_param { shape { dim: %d dim: %d } shape { dim: %d } } }
layer { name: "s" type: "Split" bottom: "p" top: "a" top: "b" top: "c" top: "d" }
layer { name: "1" type: "Accuracy" bottom: "a" bottom: "label" top: "top1" }
layer { name: "5" type: "Accuracy" bottom: "b" bottom: "label" top: "top5"
  accuracy_param { top_k: 5 } }
layer { name: "m" type: "ArgMax" bottom: "c" top: "argmax" }
layer { name: "l" type: "MultinomialLogisticLoss" bottom: "d" bottom: "label" top: "loss" }
''' % (count, classes, count))
net = caffe.Net(sys.argv[2] + ".prototxt", caffe.TEST)
net.blobs["p"].data[...] = arrays["p"]
net.blobs["label"].data[...] = arrays["labels"]
net.forward()
np.savez(sys.argv[2], **{name: net.blobs[name].data.copy() for name in net.blobs})
"""


def test_scores_equal_those_of_real_caffe_ties_included(caffe_python, tmp_path):
    """Coarse probabilities tie often; the accuracies and the class chosen must agree exactly."""
    generator = np.random.default_rng(1)
    p = generator.multinomial(16, np.ones(12) / 12, 400).astype(np.float32) / 16
    labels = generator.integers(0, 12, 400)
    p[np.arange(400), labels] += np.float32(1 / 64)  # MultinomialLogisticLoss has another floor
    np.savez(tmp_path / "in.npz", p=p, labels=labels)
    (tmp_path / "script.py").write_text(CAFFE_SCORES)
    run_python(caffe_python, tmp_path / "script.py", tmp_path / "in.npz", tmp_path / "out.npz")
    theirs = np.load(tmp_path / "out.npz")
    ours = metrics.score(p, labels)
    assert ours.top1 == pytest.approx(float(theirs["top1"]), abs=1e-7)
    assert ours.top5 == pytest.approx(float(theirs["top5"]), abs=1e-7)
    assert ours.loss == pytest.approx(float(theirs["loss"]), rel=1e-5)
    np.testing.assert_array_equal(metrics.predicted_class(p), theirs["argmax"].ravel())


def test_a_tie_counts_against_the_prediction():
    p = np.array([[0.5, 0.5, 0], [0.5, 0.25, 0.25]], np.float32)
    assert metrics.score(p, np.array([0, 0])).top1 == 0.5
    assert metrics.rank_of_label(p, np.array([1, 2])).tolist() == [1, 2]


def test_six_equal_classes_are_all_outside_the_top_five():
    p = np.full((1, 6), 1 / 6, np.float32)
    assert metrics.score(p, np.array([0])).top5 == 0
    assert metrics.score(p[:, :5] * 1.2, np.array([0])).top5 == 1


def test_the_loss_of_an_impossible_label_saturates_at_87_3365():
    p = np.array([[1, 0], [1, 0]], np.float32)
    assert metrics.score(p, np.array([1, 1])).loss == pytest.approx(87.3365, abs=1e-4)
    assert metrics.score(p, np.array([0, 0])).loss == 0
