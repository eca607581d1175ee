"""Averages of members, and results that must not be averaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.predict.test_probabilities import some_probabilities
from tinynet.errors import TinynetError, UsageError
from tinynet.predict.ensemble import (
    Member,
    average,
    load_members,
    require_agreement,
)
from tinynet.predict.evaluate import EvaluationRequest
from tinynet.predict.probabilities import write_probabilities


def member(name="a", **changes) -> Member:
    base = some_probabilities()
    return Member(
        Path(name),
        some_probabilities(
            **{"labels": base.labels, "names": base.names, "wnids": base.wnids, **changes}
        ),
    )


def test_the_average_is_the_arithmetic_mean():
    members = [member(str(seed), seed=seed) for seed in range(3)]
    mean = average(members)
    p = [m.probabilities.probabilities.astype(np.float64) for m in members]
    np.testing.assert_array_equal(mean.probabilities, ((p[0] + p[1] + p[2]) / 3).astype(np.float32))
    mean.check()
    np.testing.assert_array_equal(mean.labels, members[0].probabilities.labels)


def test_one_crop_and_ten_crop_probabilities_are_not_mixed():
    with pytest.raises(TinynetError, match=r"^b: holds probabilities of 10 crops, not of one crop"):
        require_agreement([member("a"), member("b", crop="oversample")], oversample=False)
    with pytest.raises(TinynetError, match=r"^a: holds probabilities of one crop, not of 10"):
        require_agreement([member("a")], oversample=True)


def test_ten_crops_and_image_with_mirror_are_both_oversampling():
    require_agreement(
        [member("a", crop="oversample", views=10), member("b", crop="oversample", views=2)],
        oversample=True,
    )


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"names": np.array(["x"] * 6)}, "image 0 is x, but it is val_0.JPEG in a"),
        ({"wnids": np.array(["n1", "n2", "n3", "n4"])}, "class 0 is n1"),
        ({"labels": np.array([0, 1, 2, 3, -1, 0])}, "label"),
        ({"count": 5, "labels": np.zeros(5, int), "names": some_probabilities().names[:5]},
         "has 5 images, but there are 6"),
        ({"classes": 3, "labels": np.zeros(6, int), "wnids": some_probabilities().wnids[:3]},
         "has 3 classes, but there are 4"),
    ],
)  # fmt: skip
def test_members_of_other_images_or_classes_are_refused(changes, says):
    with pytest.raises(TinynetError) as caught:
        require_agreement([member("a"), member("b", **changes)], oversample=False)
    assert says in str(caught.value) and str(caught.value).startswith("b: ")


def test_a_run_named_twice_is_refused(tmp_path):
    with pytest.raises(UsageError, match="named twice"):
        load_members([EvaluationRequest(tmp_path / name) for name in ("a", "b", "b/../a")])


def test_what_is_neither_run_nor_file_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    for name, says in (
        ("absent", "no such run"),
        ("notes.txt", "neither a run directory nor an .npz"),
    ):
        with pytest.raises(UsageError, match=says):
            ask(tmp_path / name)


def test_a_file_of_another_split_than_was_asked_for_is_refused(tmp_path):
    for split in ("val", "test", ""):
        write_probabilities(tmp_path / f"{split}_.npz", some_probabilities(split=split))
    assert ask(tmp_path / "val_.npz").split == "val"
    assert ask(tmp_path / "_.npz").split == ""  # without a split: accepted as asked
    with pytest.raises(UsageError, match="is of the test split, not of val; give --split test"):
        ask(tmp_path / "test_.npz")


def ask(path):
    (found,) = load_members([EvaluationRequest(run=path)])
    return found.probabilities
