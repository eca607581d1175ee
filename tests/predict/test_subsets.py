"""The subset search against an exhaustive one in exact arithmetic, ties included."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinynet.errors import UsageError
from tinynet.predict import subsets
from tinynet.predict.subsets import members_of, score_subsets


def exact_count(members, labels, chosen) -> int:
    """Number of right answers of a subset, in exact arithmetic, image by image."""
    right = 0
    for i, label in enumerate(labels):
        sums = [
            sum(Fraction(float(members[m][i, c])) for m in chosen)
            for c in range(members[0].shape[1])
        ]
        right += all(sums[label] > other for c, other in enumerate(sums) if c != label)
    return right


def softmax(values: np.ndarray) -> np.ndarray:
    values = np.exp(values - values.max(axis=-1, keepdims=True))
    return (values / values.sum(axis=-1, keepdims=True)).astype(np.float32)


def some_members(count, images, classes, seed=0):
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, images)
    common = 1.5 * generator.normal(size=(images, classes))
    common[np.arange(images), labels] += 1.5
    noise = generator.normal(size=(count, images, classes))
    return list(softmax(common + noise)), labels


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(1, 5),
    images=st.integers(1, 8),
    classes=st.integers(2, 5),
    steps=st.sampled_from([2, 4, 16, 0]),
    seed=st.integers(0, 10**6),
)
def test_every_subset_counts_as_in_exact_arithmetic(count, images, classes, steps, seed):
    """Multiples of 1/2, 1/4 and 1/16 tie often; steps = 0 gives ordinary softmax outputs."""
    generator = np.random.default_rng(seed)
    shape = (count, images)
    if steps:
        p = generator.multinomial(steps, np.ones(classes) / classes, shape) / np.float32(steps)
    else:
        p = softmax(4 * generator.normal(size=(*shape, classes)))
    members = list(p.astype(np.float32))
    labels = generator.integers(0, classes, images)
    scores = score_subsets(members, labels)
    assert scores.correct[0] == 0
    for size in range(1, count + 1):
        for chosen in combinations(range(count), size):
            mask = sum(1 << m for m in chosen)
            assert scores.correct[mask] == exact_count(members, labels, chosen), chosen


def test_all_subsets_of_nine_models_agree_with_averaging_each_of_them():
    members, labels = some_members(9, 2500, 30)  # more than one block, more than the low half
    scores = score_subsets(members, labels)
    stack = np.stack(members).astype(np.float64)
    for mask in range(1, 512):
        mean = stack[members_of(mask)].sum(axis=0)
        assert scores.correct[mask] == (mean.argmax(axis=1) == labels).sum()
    best = scores.best_of_size(4)
    assert scores.correct[best] == max(
        scores.correct[mask] for mask in range(512) if len(members_of(mask)) == 4
    )
    assert scores.sizes[best] == 4 and scores.accuracy(best) == scores.correct[best] / 2500


def test_equal_models_score_the_same_in_every_subset():
    """In floating point, sums of the same numbers in another order may differ."""
    (member,), labels = some_members(1, 400, 10, seed=5)
    scores = score_subsets([member] * 7, labels)
    assert len(set(scores.correct[1:].tolist())) == 1


def test_the_order_of_the_members_does_not_matter():
    members, labels = some_members(6, 300, 12, seed=2)
    forwards, backwards = score_subsets(members, labels), score_subsets(members[::-1], labels)
    mirrored = [int(f"{mask:06b}"[::-1], 2) for mask in range(64)]
    np.testing.assert_array_equal(forwards.correct, backwards.correct[mirrored])


def test_pruning_does_not_change_the_result(monkeypatch):
    members, labels = some_members(5, 300, 40, seed=3)
    pruned = score_subsets(members, labels)
    monkeypatch.setattr(subsets, "_STRONGEST", 0)
    np.testing.assert_array_equal(pruned.correct, score_subsets(members, labels).correct)


def test_progress_ends_at_its_total():
    members, labels = some_members(5, 300, 12, seed=4)
    counts: list[tuple[int, int]] = []
    score_subsets(members, labels, lambda more, total: counts.append((more, total)))
    assert counts and sum(more for more, _ in counts) == counts[0][1] > 0


def test_twenty_members_are_searched():
    """A million subsets, few images; sampled ones against averaging."""
    members, labels = some_members(20, 12, 8, seed=6)
    scores = score_subsets(members, labels)
    stack = np.stack(members).astype(np.float64)
    for mask in np.random.default_rng(0).integers(1, 1 << 20, 200).tolist():
        mean = stack[members_of(mask)].sum(axis=0)
        assert scores.correct[mask] == (mean.argmax(axis=1) == labels).sum()


def test_more_members_than_can_be_searched_are_refused_with_their_number_of_subsets():
    members, labels = some_members(21, 2, 3)
    with pytest.raises(UsageError, match="21 members have 2,097,151 subsets"):
        score_subsets(members, labels)
