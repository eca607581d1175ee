"""Times the search for the best subset of an ensemble, on drawn answers."""

from __future__ import annotations

import time

import numpy as np

from tinynet.bench.rounds import Row, Say


def row(count: int, images: int, rounds: int, say: Say) -> Row:
    """The row of scoring all subsets of ``count`` models; once in a round."""
    from tinynet.predict.subsets import score_subsets

    what = f"{2**count - 1:,} subsets of {count} models, {images:,} x 200"
    found = Row("subset search", what, "search")
    say(f"subset search: drawing the answers of {count} models")
    members, labels = draw_members(count, images, 200)
    for number in range(rounds):
        say(f"subset search: round {number + 1} of {rounds}, {count} models")
        start = time.perf_counter()
        score_subsets(members, labels)
        found.rates.append(1 / (time.perf_counter() - start))
    found.note = f"{1 / (found.rate or 1):.2f} s"
    return found


def draw_members(count: int, images: int, classes: int) -> tuple[list[np.ndarray], np.ndarray]:
    """Draw probabilities like an ensemble's: models err alike, on classes that resemble each other.

    A score is the sum of 1.2 for the label, the class's similarity to the label (12 hidden
    features), 1.5 times noise that all models share, and 0.8 times each model's own noise: about
    36 % right singly and 42 % averaged over 11.
    """
    generator = np.random.default_rng(0)
    labels = generator.integers(0, classes, images)
    features = generator.normal(size=(classes, 12))
    shared = 1.5 * generator.normal(size=(images, classes))
    shared += (features @ features.T / 12**0.5)[labels]
    shared[np.arange(images), labels] += 1.2
    members = []
    for _ in range(count):
        scores = shared + 0.8 * generator.normal(size=shared.shape)
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        members.append((scores / scores.sum(axis=1, keepdims=True)).astype(np.float32))
    return members, labels
