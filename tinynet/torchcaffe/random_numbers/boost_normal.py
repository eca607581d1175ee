"""Boost's standard normal distribution in float32, bit for bit: the ziggurat method since 1.56.

98.8 % of the values take one word of the stream.  For the others it has to be found out which words
start a value and which belong to the value before, so that a block can be computed as arrays.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from tinynet.torchcaffe.random_numbers import ziggurat
from tinynet.torchcaffe.random_numbers.mt19937 import Mt19937

# from this word on float32(word) / 2^32 is 1, and Boost draws again
_ROUNDS_TO_ONE = 0xFFFFFF80
_F = np.float32


class _Tables:
    """A ziggurat's numbers, rounded to float32 where Boost rounds."""

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        self.edge = x.astype(_F)
        self.height = y.astype(_F)
        self.rise = (y[1:] - y[:-1]).astype(_F)
        self.step = (x[:-1] - x[1:]).astype(_F)


class _Normal(_Tables):
    """The tables of the normal distribution, with what only it looks up."""

    def __init__(self) -> None:
        x, y = ziggurat.normal()
        super().__init__(x, y)
        self.convex = x >= 1
        # indexed by a word's low byte: bit 0 is the sign, bits 1 to 7 are the strip
        strip = np.arange(256) >> 1
        sign = np.where(np.arange(256) & 1, _F(1), _F(-1))
        self.factor = sign * self.edge[strip] * _F(2.0**-24)
        # A word is accepted at once if float32(fraction · edge) < the next edge, a double.  That
        # limits its upper 24 bits; the limit is near the quotient of the edges.
        nearby = (x[1:] / x[:-1] * 2**24).astype(np.int64)[:, None] + np.arange(-8, 9)
        product = nearby.astype(_F) * _F(2.0**-24) * self.edge[:-1, None]
        limit = nearby[:, 0] + (product < x[1:, None]).sum(axis=1)
        limit[-1] = 0  # the top strip ends at 0, and nothing lies below that
        self.limit = limit[strip].astype(np.uint32)


@cache
def _normal() -> _Normal:
    return _Normal()


@cache
def _exponential() -> _Tables:
    return _Tables(*ziggurat.exponential())


def standard_values(stream: Mt19937, count: int) -> np.ndarray:
    """Return the standard normal values that ``count`` words yield, at most ``count`` of them.

    All the words are used, and more are drawn if the last value needs them.
    """
    table = _normal()
    words = stream.uint32s(count)
    low = words.astype(np.uint8).astype(np.intp)
    high = words >> np.uint32(8)
    values = high.astype(_F)
    values *= table.factor[low]
    keep = high < table.limit[low]
    slow = np.flatnonzero(~keep)
    if not len(slow):
        return values
    accepted, special = _judge(table, words, slow, values)
    # Each slow value uses the word after it.  If that word looks like a slow value itself, or if
    # more words are used, go through them in order to see which of them start a value.
    starts = np.ones(len(slow), bool)
    entangled = special.copy()
    entangled[:-1] |= slow[1:] == slow[:-1] + 1
    for number in np.flatnonzero(entangled).tolist():
        if not starts[number]:
            continue
        index = int(slow[number])
        free = index + 2  # the first word that this value leaves unused
        if special[number]:
            value, free = _walk(table, words, index, stream)
            accepted[number] = value is not None
            if value is not None:
                values[index] = value
            keep[index + 1 : free] = False
        number += 1
        while number < len(slow) and slow[number] < free:
            starts[number] = False
            number += 1
    keep[slow] = accepted & starts
    keep[slow[starts & ~special] + 1] = False
    return values[keep]


def _judge(
    table: _Normal, words: np.ndarray, slow: np.ndarray, values: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Whether the value at each index in ``slow`` is accepted, given the height in the next word.

    The second result marks where this does not decide: in the tail, where the next word rounds to
    1, and where there is no next word.
    """
    last = len(words) - 1
    strip = (words[slow] & np.uint32(255)) >> np.uint32(1)
    following = words[np.minimum(slow + 1, last)]
    special = (strip == 0) | (following >= _ROUNDS_TO_ONE) | (slow == last)
    fraction = following.astype(_F) * _F(2.0**-32)
    return _under_curve(table, strip, np.abs(values[slow]), fraction), special


def _under_curve(table: _Normal, strip, x, fraction):  # type: ignore[no-untyped-def]
    """Whether the point at ``x`` and at ``fraction`` of the strip's height is under exp(−x²/2).

    Takes arrays or float32 scalars.  The tangent at the strip's outer edge and the chord to its
    inner edge decide most cases; which of the two is the upper bound depends on the curvature.
    """
    edge, height = table.edge[strip], table.height[strip]
    inwards = edge - x
    y = height + fraction * table.rise[strip]
    over_chord = table.step[strip] * fraction - inwards
    over_tangent = y - (height + inwards * height * edge)
    convex = table.convex[strip]
    upper = np.where(convex, over_chord, over_tangent)
    lower = np.where(convex, over_tangent, over_chord)
    return (upper < 0) & ((lower < 0) | (y < _exp(-(x * x / _F(2)))))


def _exp(x):  # type: ignore[no-untyped-def]
    """exp in float32.  numpy's is off by an ulp or two; computed in double it agrees with libm."""
    return np.exp(np.asarray(x, np.float64)).astype(_F)


class _Words:
    """Reads words from ``position`` on: the rest of a block, then the stream."""

    def __init__(self, words: np.ndarray, position: int, stream: Mt19937) -> None:
        self._words = words
        self._stream = stream
        self.position = position

    def __call__(self) -> int:
        self.position += 1
        if self.position <= len(self._words):
            return int(self._words[self.position - 1])
        return self._stream.next_uint32()

    def fraction(self) -> np.float32:
        """Boost's uniform_01<float>: word / 2³², or another word if that rounds to 1."""
        while True:
            word = self()
            if word < _ROUNDS_TO_ONE:
                return _F(word) * _F(2.0**-32)


def _walk(
    table: _Normal, words: np.ndarray, index: int, stream: Mt19937
) -> tuple[np.float32 | None, int]:
    """Return the value that starts at word ``index`` (None: rejected) and the next unused word."""
    read = _Words(words, index, stream)
    word = read()
    strip = (word & 255) >> 1
    sign = _F(1) if word & 1 else _F(-1)
    if strip == 0:
        return sign * _normal_tail(read), read.position
    x = _F(word >> 8) * _F(2.0**-24) * table.edge[strip]
    accept = _under_curve(table, strip, x, read.fraction())
    return (sign * x if accept else None), read.position


def _normal_tail(read: _Words) -> np.float32:
    """Draw a normal value beyond R: exponential with rate R, accepted by a second exponential."""
    start = _normal().edge[1]
    while True:
        x = _exponential_value(read) / start
        y = _exponential_value(read)
        if _F(2) * y > x * x:
            return x + start


def _exponential_value(read: _Words) -> np.float32:
    """Boost's exponential_distribution<float> with lambda 1: a ziggurat of 256 strips."""
    table = _exponential()
    shift = _F(0)
    while True:
        word = read()
        strip = word & 255
        edge, inner = table.edge[strip], table.edge[strip + 1]
        x = _F(word >> 8) * _F(2.0**-24) * edge
        if x < inner:
            return shift + x
        if strip == 0:
            # the exponential beyond R has the shape that it has from 0 on
            shift += inner
            continue
        fraction = read.fraction()
        height, top = table.height[strip], table.height[strip + 1]
        y = height + fraction * table.rise[strip]
        over_chord = table.step[strip] * fraction - (edge - x)
        over_tangent = y - (top + (inner - x) * top)
        if over_chord < 0 and (over_tangent < 0 or y < _exp(-x)):
            return shift + x
