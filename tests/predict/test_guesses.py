"""Guesses give the same scores as the probabilities; a damaged file is refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.predict.test_probabilities import some_probabilities
from tinynet.errors import TinynetError
from tinynet.predict.guesses import guesses, read_guesses, read_predictions, write_guesses
from tinynet.predict.metrics import predicted_class, rank_of_label
from tinynet.predict.probabilities import Probabilities, read_probabilities, write_probabilities
from tinynet.run.paths import RunPaths


def drawn(seed: int, ties: bool = False) -> Probabilities:
    """40 labelled images of 12 classes; with ``ties``, many probabilities are equal."""
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(12, 0.3), 40)
    if ties:
        p = rng.integers(0, 3, (40, 12)) + 1e-3
        p /= p.sum(axis=1, keepdims=True)
    return Probabilities(
        probabilities=p.astype(np.float32),
        labels=rng.integers(0, 12, 40),
        names=np.array([f"val_{n}.JPEG" for n in range(40)]),
        wnids=np.array([f"n{n:08d}" for n in range(12)]),
        crop="center",
        split="val",
    )


@pytest.mark.parametrize("ties", [False, True], ids=["drawn", "with-ties"])
def test_scores_of_guesses_equal_those_of_the_probabilities(tmp_path: Path, ties: bool) -> None:
    whole = drawn(3, ties)
    path = tmp_path / "val_guesses.npz"
    write_guesses(path, guesses(whole))
    kept = read_guesses(path, "remedy")
    assert kept.metrics == whole.metrics
    np.testing.assert_array_equal(kept.right, whole.right)
    np.testing.assert_array_equal(kept.best, predicted_class(whole.probabilities))
    np.testing.assert_array_equal(kept.rank, rank_of_label(whole.probabilities, whole.labels))
    np.testing.assert_array_equal(kept.names, whole.names)
    # the K guesses are the K highest, best first
    highest = -np.sort(-whole.probabilities, axis=1)[:, :5]
    np.testing.assert_allclose(kept.shares, highest, rtol=2**-11, atol=1e-7)


def test_guesses_are_preferred_and_probabilities_used_where_there_are_none(tmp_path: Path) -> None:
    run = RunPaths(tmp_path)
    whole = drawn(4)
    write_probabilities(run.probabilities("val"), whole)
    assert isinstance(read_predictions(run, "val", False, "remedy"), Probabilities)
    write_guesses(run.guesses("val"), guesses(whole))
    assert read_predictions(run, "val", False, "remedy").metrics == whole.metrics
    with pytest.raises(FileNotFoundError):
        read_predictions(run, "test", False, "remedy")


def test_float16_probabilities_are_widened_and_keep_their_average(tmp_path: Path) -> None:
    whole = drawn(5)
    write_probabilities(tmp_path / "half.npz", whole, half=True)
    kept = read_probabilities(tmp_path / "half.npz")
    assert kept.probabilities.dtype == np.float32
    # float16 has 11 bits: half of the last one, and 2⁻²⁵ where numbers are subnormal
    np.testing.assert_allclose(kept.probabilities, whole.probabilities, rtol=2**-11, atol=2**-25)


@given(st.data())
def test_a_damaged_file_is_one_line_that_names_it(tmp_path_factory, data) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path_factory.mktemp("damage") / "val_guesses.npz"
    write_guesses(path, guesses(drawn(6)))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(1, len(content)))])
    try:
        read_guesses(path, "remedy")
    except TinynetError as error:
        assert str(error).startswith(f"{path}: no usable file of guesses (")
        assert str(error).endswith("; remedy") and "\n" not in str(error)


def test_guesses_of_unlabelled_images_are_refused() -> None:
    unlabelled = some_probabilities(labels=np.array([-1, 0, 1, 2, 3, 0]))
    with pytest.raises((ValueError, IndexError)):
        guesses(unlabelled).check()
