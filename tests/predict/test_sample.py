"""A sample is balanced and depends on nothing but the set; it is what an evaluation scores."""

from __future__ import annotations

import dataclasses
import hashlib
import random
from collections import Counter

import numpy as np
import pytest

from tests.cli.command import run as command
from tinynet.errors import TinynetError
from tinynet.predict import inputs
from tinynet.predict.evaluate import EvaluationRequest, evaluate, obtain, stored
from tinynet.predict.sample import chosen
from tinynet.run.paths import RunPaths

NAMES = [f"n{label:03d}_{number}.JPEG" for label in range(7) for number in range(30)]
LABELS = [label for label in range(7) for _ in range(30)]


@pytest.mark.parametrize("size", [1, 7, 50, 209])
def test_every_class_gives_equally_many_images_within_one(size: int) -> None:
    numbers = chosen(NAMES, LABELS, size)
    assert numbers == sorted(set(numbers)) and len(numbers) == size
    counts = Counter(LABELS[number] for number in numbers)
    per_class = [counts[label] for label in range(7)]
    assert max(per_class) - min(per_class) <= 1


def test_a_sample_does_not_depend_on_the_order_of_the_records() -> None:
    order = list(range(len(NAMES)))
    random.Random(3).shuffle(order)
    shuffled = [NAMES[n] for n in order], [LABELS[n] for n in order]
    sampled = {shuffled[0][n] for n in chosen(*shuffled, 50)}
    assert sampled == {NAMES[n] for n in chosen(NAMES, LABELS, 50)}
    # 50 = 7 * 7 + 1: by the rule, worked out another way
    by_class = {
        label: sorted(
            (n for n in NAMES if n.startswith(f"n{label:03d}_")),
            key=lambda name: hashlib.sha256(name.encode()).hexdigest(),
        )
        for label in range(7)
    }
    whole = {name for names in by_class.values() for name in names[:7]}
    eighth = min(
        (names[7] for names in by_class.values()),
        key=lambda name: hashlib.sha256(name.encode()).hexdigest(),
    )
    assert sampled == whole | {eighth}


def test_a_class_that_runs_out_leaves_its_share_to_the_others() -> None:
    labels = [0] * 2 + [1] * 20
    numbers = chosen([str(n) for n in range(22)], labels, 12)
    assert Counter(labels[n] for n in numbers) == {0: 2, 1: 10}


@pytest.mark.parametrize("size", [0, 210, 300])
def test_a_sample_of_no_or_of_all_images_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="have no sample"):
        chosen(NAMES, LABELS, size)


def test_an_evaluation_of_a_sample_equals_that_of_all_images_on_the_sample(
    run: RunPaths,
) -> None:
    whole = evaluate(EvaluationRequest(run.root, "train", cpu=True))
    asked = EvaluationRequest(run.root, "train", cpu=True, sample=48)
    part = evaluate(asked)
    assert asked.out.name == "train_sample48.npz"
    images = inputs.find_images(run, "train", sample=48)
    assert images.chosen == chosen(whole.names.tolist(), whole.labels.tolist(), 48)
    assert part.names.tolist() == whole.names[images.chosen].tolist()
    assert part.labels.tolist() == whole.labels[images.chosen].tolist()
    np.testing.assert_allclose(
        part.probabilities, whole.probabilities[images.chosen], rtol=0, atol=1e-5
    )
    # both lie there, and each is taken for what it is
    again = stored(asked)
    assert again is not None and again.names.tolist() == part.names.tolist()
    assert len(obtain(dataclasses.replace(asked, sample=0)).names) == 120
    with pytest.raises(TinynetError, match="holds 120 images, so there is no sample of 120; leave"):
        evaluate(dataclasses.replace(asked, sample=120))


def test_the_command_reports_that_it_used_a_sample(run: RunPaths) -> None:
    done = command("evaluate", run.root, "--split", "train", "--sample", 30, "--cpu")
    assert done.status == 0, done.stderr
    assert "train: a sample of 30 images, 1 crop each" in done.stdout
    assert str(run.root / "train_sample30.npz") in done.stdout
