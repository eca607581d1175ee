"""Confidence intervals of accuracies that are measured on a sample of images, from a few seeds.

There are two sources of chance, and each has its interval:

by image    The images are a sample.  The paired bootstrap draws the same images anew for both
            nets, whose per-image results are averaged over the seeds first.
by seed     Each seed is a draw of initial weights, order, crops and masks.  The interval is
            Student's t over the seeds' values; for a gain, over the differences of nets trained
            from the same seed.

Neither includes the other's chance.  Accuracies on different images cannot be paired: they are two
independent samples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, stdev

import numpy as np

LEVEL = 0.95
DRAWS = 10_000
_NORMAL = 1.959964  # two-sided 95 %
_SEED = 2015  # fixed, so that the same input has the same result
_BLOCK = 200  # draws made together


def bootstrap_mean(values: np.ndarray, draws: int = DRAWS) -> tuple[float, float]:
    """95 % percentile bootstrap interval of the mean of N ``values``, from ``draws`` draws of N.

    Drawing images with replacement is a multinomial draw of how often each is taken.  For a paired
    comparison ``values`` are the images' differences.
    """
    values = np.asarray(values, dtype=np.float64)
    count = len(values)
    generator = np.random.default_rng(_SEED)
    # images of equal value are interchangeable: few distinct values make a small multinomial
    distinct, occurrences = np.unique(values, return_counts=True)
    means = np.empty(draws)
    for start in range(0, draws, _BLOCK):
        size = min(_BLOCK, draws - start)
        taken = generator.multinomial(count, occurrences / count, size=size)
        means[start : start + size] = taken @ distinct / count
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)


def unpaired_interval(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """95 % interval of mean(``first``) - mean(``second``), of values of different images.

    Normal approximation of two independent samples: the variances of the two means add.
    """
    difference = float(np.mean(first) - np.mean(second))
    half = _NORMAL * float(np.sqrt(np.var(first) / len(first) + np.var(second) / len(second)))
    return difference - half, difference + half


def half_width(share: float, count: int) -> float:
    """Half of the 95 % interval of a share of ``count`` images (1 or more), by the normal law."""
    return _NORMAL * math.sqrt(share * (1 - share) / count)


def deviation_interval(deviation: float, count: int) -> tuple[float, float]:
    """95 % interval of the deviation of ``count`` normal values (2 or more), by chi-square."""
    from scipy.stats import chi2

    more, tail = count - 1, (1 - LEVEL) / 2
    low, high = (deviation * math.sqrt(more / chi2.ppf(p, more)) for p in (1 - tail, tail))
    return low, high


def t_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Student's 95 % t interval of the mean of ``values``; None with fewer than two of them."""
    if len(values) < 2:
        return None
    from scipy import stats

    mean = fmean(values)
    half = stats.t.ppf((1 + LEVEL) / 2, len(values) - 1) * stdev(values) / len(values) ** 0.5
    return mean - half, mean + half
