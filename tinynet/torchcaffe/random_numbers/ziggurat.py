"""Tables of the ziggurat method for the normal and the exponential distribution.

The area under a falling density f with f(0) = 1 is cut into n horizontal strips of equal area V.
Strip i reaches from height y[i] = f(x[i]) to y[i+1], and out to x[i].  The lowest strip includes
the tail beyond x[1] = R, and x[0] = V / f(R) is the width of a rectangle of its area.  Each edge
follows from the one before, f(x[i+1]) = f(x[i]) + V / x[i], and R is the number for which the last
strip ends at f = 1 exactly.

Boost stores these numbers rounded to double, and Caffe's gaussian fillers compare with them, so
they have to be right to the last bit: they are computed with 40 digits.

Source: G. Marsaglia and W. W. Tsang, "The Ziggurat Method for Generating Random Variables",
Journal of Statistical Software 5(8), 2000.
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from functools import cache
from typing import NamedTuple

import numpy as np

# start of the tail, R, and area of a strip, V; the tests compute both in another way
NORMAL_STRIPS = 128
NORMAL_TAIL = "3.442619855896652121424320491467339704338"
NORMAL_AREA = "0.00991256303533646107909568530581016219738"
EXPONENTIAL_STRIPS = 256
EXPONENTIAL_TAIL = "7.697117470131049714044628048015215499114"
EXPONENTIAL_AREA = "0.003949659822581557219977571956814861091913"


class Ziggurat(NamedTuple):
    """Edges ``x`` (falling, x[n] = 0) and heights ``y`` (rising, y[n] = 1), n + 1 float64 each."""

    x: np.ndarray
    y: np.ndarray


def _stack(strips: int, tail: str, area: str, normal: bool) -> Ziggurat:
    """Edges from the tail inwards for f(x) = exp(−x²/2) if ``normal``, else exp(−x)."""
    with localcontext() as context:
        context.prec = 40
        volume = Decimal(area)
        edge = Decimal(tail)
        height = (-edge * edge / 2 if normal else -edge).exp()
        edges, heights = [volume / height, edge], [Decimal(0), height]
        for _ in range(strips - 2):
            height += volume / edge
            edge = (-2 * height.ln()).sqrt() if normal else -height.ln()
            edges.append(edge)
            heights.append(height)
        edges.append(Decimal(0))
        heights.append(Decimal(1))
        return Ziggurat(
            np.array([float(edge) for edge in edges]),
            np.array([float(height) for height in heights]),
        )


@cache
def normal() -> Ziggurat:
    """The 128 strips of exp(−x²/2)."""
    return _stack(NORMAL_STRIPS, NORMAL_TAIL, NORMAL_AREA, normal=True)


@cache
def exponential() -> Ziggurat:
    """The 256 strips of exp(−x)."""
    return _stack(EXPONENTIAL_STRIPS, EXPONENTIAL_TAIL, EXPONENTIAL_AREA, normal=False)
