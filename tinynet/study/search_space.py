"""The space of a search: ranges of solver values, and the points that are drawn from them.

Points are taken from a scrambled Halton sequence on a logarithmic scale.  It fills the box more
evenly than random draws do, however few of its points are used.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tinynet.caffeformat import schema
from tinynet.errors import UsageError
from tinynet.experiment.solver_values import fault

SHRINK = 4.0  # the sides of a level's box over those of the next, in the logarithm


@dataclass(frozen=True)
class Range:
    """A solver field that is searched, between two positive bounds."""

    name: str
    low: float
    high: float

    def around(self, centre: float, level: int) -> Range:
        """The range of a later level: narrower by SHRINK for each level, within this one."""
        half = math.log(self.high / self.low) / 2 / SHRINK**level
        low = max(self.low, centre * math.exp(-half))
        high = min(self.high, centre * math.exp(half))
        return Range(self.name, low, high)

    def at(self, share: float) -> float:
        """The value that lies ``share`` (0 to 1) of the way up, in the logarithm."""
        return min(self.high, max(self.low, self.low * (self.high / self.low) ** share))


DEFAULT_RANGES = (Range("base_lr", 1e-3, 1e-1), Range("weight_decay", 1e-5, 1e-2))


def parse_range(text: str) -> Range:
    """Parse ``FIELD=LOW:HIGH``.  Raises UsageError unless FIELD is a float and 0 < LOW < HIGH."""
    name, _, bounds = text.partition("=")
    low, _, high = bounds.partition(":")
    known = schema.FIELDS["SolverParameter"].get(name)
    if known is None or known.kind != "float" or known.repeated:
        raise UsageError(f"--range {text}: '{name}' is not a solver field with one number")
    try:
        side = Range(name, float(low), float(high))
    except ValueError:
        raise UsageError(f"--range {text}: give FIELD=LOW:HIGH, as base_lr=0.001:0.1") from None
    if not 0 < side.low < side.high < math.inf:
        raise UsageError(f"--range {text}: needs 0 < LOW < HIGH")
    for bound in (side.low, side.high):
        if what := fault(name, bound):
            raise UsageError(f"--range {text}: {what}")
    return side


def draw(box: Sequence[Range], place: int, seed: Sequence[int]) -> dict[str, float]:
    """Point ``place`` (from 0) of the sequence that ``seed`` scrambles, by the ranges' names.

    It depends on nothing else, so every worker draws the same point at any time.
    """
    from scipy.stats import qmc

    sequence = qmc.Halton(len(box), scramble=True, seed=np.random.default_rng(seed))
    shares = sequence.random(place + 1)[place]
    return {side.name: side.at(float(share)) for side, share in zip(box, shares)}
