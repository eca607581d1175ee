"""The intervals agree with scipy's and have the stated coverage."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tinynet.study.statistics import (
    bootstrap_mean,
    deviation_interval,
    half_width,
    t_interval,
    unpaired_interval,
)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_bootstrap_agrees_with_scipys_percentile_bootstrap(seed: int) -> None:
    generator = np.random.default_rng(seed)
    # differences of right answers, averaged over three seeds: many equal values
    values = generator.integers(-3, 4, 400) / 3
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=10_000, method="percentile", rng=generator
    ).confidence_interval
    error = values.std() / 400**0.5
    # both quantiles carry Monte Carlo noise of about 3 % of the standard error
    assert bootstrap_mean(values) == pytest.approx(tuple(theirs), abs=0.15 * error)


def test_the_paired_interval_is_narrower_than_that_of_independent_images() -> None:
    generator = np.random.default_rng(5)
    easy = generator.random(1000)
    before = (easy > 0.5).astype(float)
    after = (easy > 0.45).astype(float)  # right wherever `before` is, and on some more
    low, high = bootstrap_mean(after - before)
    unpaired = 2 * 1.96 * np.hypot(before.std(), after.std()) / 1000**0.5
    assert 0 < low < (after - before).mean() < high
    assert high - low < unpaired / 2


def test_the_bootstrap_covers_the_true_mean_in_nineteen_of_twenty() -> None:
    generator = np.random.default_rng(6)
    covered = 0
    for _ in range(300):
        low, high = bootstrap_mean((generator.random(300) < 0.4).astype(float), draws=1000)
        covered += low <= 0.4 <= high
    assert stats.binomtest(covered, 300, 0.95).pvalue > 0.001


def test_the_interval_of_different_images_agrees_with_scipys_two_sample_bootstrap() -> None:
    generator = np.random.default_rng(7)
    first, second = generator.integers(0, 4, 900) / 3, generator.integers(0, 3, 400) / 3

    def difference(a: np.ndarray, b: np.ndarray, axis: int) -> np.ndarray:
        return a.mean(axis=axis) - b.mean(axis=axis)

    theirs = stats.bootstrap(
        (first, second), difference, n_resamples=10_000, method="percentile", rng=generator
    )
    found = unpaired_interval(first, second)
    ends = tuple(theirs.confidence_interval)
    assert found == pytest.approx(ends, abs=0.1 * theirs.standard_error)
    assert np.mean(found) == pytest.approx(first.mean() - second.mean())


@pytest.mark.parametrize("values", [[0.4, 0.42], [0.1, 0.5, 0.3, 0.35], [0.2, 0.2, 0.2001]])
def test_the_interval_over_seeds_agrees_with_scipys_t_interval(values: list[float]) -> None:
    theirs = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert t_interval(values) == pytest.approx(tuple(theirs))


def test_the_interval_over_three_seeds_by_hand() -> None:
    # mean 2, deviation 1, t(0.975, 2) = 4.3027
    low, high = t_interval([1.0, 2.0, 3.0]) or (0, 0)
    assert (low, high) == pytest.approx((2 - 4.3027 / 3**0.5, 2 + 4.3027 / 3**0.5), abs=1e-4)


def test_one_seed_has_no_interval() -> None:
    assert t_interval([0.4]) is None


def test_a_deviation_and_a_share_have_their_textbook_intervals() -> None:
    # chi-square with 10 degrees of freedom: 3.247 and 20.483 leave 2.5 % at either end
    assert deviation_interval(2.0, 11) == pytest.approx(
        (2 * (10 / 20.483) ** 0.5, 2 * (10 / 3.247) ** 0.5), rel=1e-4
    )
    assert half_width(0.5, 10_000) == pytest.approx(0.0098, rel=1e-4)
