"""Caffe's random numbers on the CPU, bit for bit: mt19937 with the distributions of Boost.

Every number comes from one of these 32-bit streams:

* the **main stream** of a thread, ``Mt19937(random_seed)``: fillers, dropout, and seeds for others;
* a **transformer stream** per data layer that crops or mirrors at random, seeded by one draw of
  the main stream: mirrors and crops, and nothing else.

A prefetch thread has a main stream too, seeded by a third draw, but a Data layer never uses it.

The whole order of draws from the main stream over a solver's life, with ``random_seed`` S:

1. ``Solver::Init`` seeds: ``main = Mt19937(S)`` (Caffe keeps the low 32 bits; on several GPUs each
   solver adds its rank).  Without ``random_seed`` the stream goes on wherever it was; a thread that
   has never been seeded takes 32 bits of the system's entropy.
2. The train net is set up, layer after layer in net order, each in ``LayerSetUp``:

   * Data: ``prefetching_layer(main, needs_random(transform_param, phase))`` (``needs_random`` is in
     data_transformer.py), which is a draw that is thrown away and the transformer's seed, both only
     if it mirrors (in any phase) or crops in TRAIN; then always one draw for the thread.
   * ImageData, WindowData: the same, with draws of their own after the first.  ImageData: one for
     ``shuffle``'s seed, then one for ``rand_skip``, each only if it is set.
   * MemoryData: ``transformer(main, …)`` alone, since it has no thread.
   * Convolution, InnerProduct, Embed, Scale, Bias, PReLU …: ``fillers.fill`` for the weights, then
     for the bias if there is one.  Constant and bilinear fillers draw nothing.  A layer whose
     parameters are shared by name fills its own copy all the same, and it is then dropped; one
     whose ``blobs`` stand in the prototxt draws nothing.
   * DummyData: constant fillers only; the others draw at every forward, the first included.
3. Each test net is set up likewise, in order.  Its fillers draw too, though the train net's weights
   replace what they made.  Its Data layer draws once (three times if it mirrors).
4. Every forward of a TRAIN net, layers in order: Dropout draws ``dropout_mask``, one number per
   element in C order; DummyData fills.  ``iter_size`` forwards make one iteration.  TEST nets draw
   nothing (but a non-constant DummyData).  Backward, updates, snapshots, restore draw nothing.

Within a data layer's own stream the order is image after image, and for one image mirror, then row
offset, then column offset (data_transformer.py).  A stream is never rewound: it belongs to images,
not to epochs.

On a GPU Caffe's Dropout draws from cuRAND instead (fillers and crops stay as above).

Source: Caffe's util/math_functions.cpp, util/rng.hpp, common.cpp, solver.cpp, internal_thread.cpp,
layers/base_data_layer.cpp, layers/dropout_layer.cpp; the distributions as Boost documents them
(Bernoulli, uniform_real, normal_distribution, the latter by the ziggurat method since 1.56).
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from tinynet.torchcaffe import ziggurat
from tinynet.torchcaffe.errors import check

_WORD_MAX = 0xFFFFFFFF
# float32(word) / 2^32 reaches 1 from this word on: Boost then draws again
_ROUNDS_TO_ONE = 0xFFFFFF80
_F = np.float32
# words per pass of the gaussian: few enough that all its temporaries stay in the cache
_BLOCK = 1 << 16


class Mt19937:
    """boost::mt19937: a stream of 32-bit words from a 32-bit seed."""

    def __init__(self, seed: int) -> None:
        """Start the stream of ``seed``, of which, as in C++, the low 32 bits count."""
        key = np.empty(624, np.uint32)
        word = seed & _WORD_MAX
        for index in range(624):
            key[index] = word
            word = (1812433253 * (word ^ (word >> 30)) + index + 1) & _WORD_MAX
        # numpy wants a seed of its own kind; it is replaced at once
        self._bits = np.random.MT19937(0)
        self._generator = np.random.Generator(self._bits)
        self.set_state(key, 624)

    def next_uint32(self) -> int:
        """The next word, as ``caffe_rng_rand()`` returns it."""
        return int(self._bits.random_raw())

    def uint32s(self, count: int) -> np.ndarray:
        """The next ``count`` words, uint32 (count,)."""
        # over the full range numpy hands the words on as they are, as the tests make sure
        return self._generator.integers(0, _WORD_MAX, count, dtype=np.uint32, endpoint=True)

    def get_state(self) -> tuple[np.ndarray, int]:
        """All of the state: key (624,) uint32 and position in it (0…624), to resume exactly."""
        state = self._bits.state["state"]
        return np.array(state["key"], np.uint32), int(state["pos"])

    def set_state(self, key: np.ndarray, position: int) -> None:
        """Go on from a state that ``get_state`` returned."""
        key = np.asarray(key, np.uint32)
        check(
            key.shape == (624,) and 0 <= position <= 624,
            "the state of a random stream is 624 words and a position from 0 to 624; "
            f"this one has shape {key.shape} and position {position}",
        )
        self._bits.state = {"bit_generator": "MT19937", "state": {"key": key, "pos": int(position)}}


def to_json(state: tuple[np.ndarray, int]) -> dict[str, Any]:
    """A state of ``Mt19937.get_state`` as JSON holds it: the 624 words in hex, and the position."""
    key, position = state
    return {"key": key.astype("<u4").tobytes().hex(), "position": position}


def from_json(stored: Any) -> tuple[np.ndarray, int]:
    """The state that ``to_json`` wrote.  Raises CaffeError where it is none."""
    try:
        key = np.frombuffer(bytes.fromhex(stored["key"]), "<u4").astype(np.uint32)
        position = int(stored["position"])
    except (KeyError, TypeError, ValueError):
        key, position = np.empty(0, np.uint32), -1
    check(
        key.shape == (624,) and 0 <= position <= 624,
        "the state of a random stream is 624 words in hex and a position from 0 to 624",
    )
    return key, position


def transformer(main: Mt19937, needs_random: bool) -> Mt19937 | None:
    """The stream of a new data transformer: seeded by one draw of ``main`` where it needs one."""
    return Mt19937(main.next_uint32()) if needs_random else None


def prefetching_layer(main: Mt19937, needs_random: bool) -> Mt19937 | None:
    """All draws of a Data layer's set-up, in order; returns the stream of its transformer.

    Two draws if ``needs_random``, of which the second counts (Caffe prepares the transformer when
    the layer is set up, and again when the thread starts), and one for the thread.
    """
    transformer(main, needs_random)
    stream = transformer(main, needs_random)
    main.next_uint32()
    return stream


def rng_bernoulli(
    stream: Mt19937, count: int, p: float, precision: type = np.float64
) -> np.ndarray:
    """``caffe_rng_bernoulli``: bool (count,), true with probability ``p`` in [0, 1].

    Boost compares word ≤ p · (2³² − 1) in the type of p: ``precision`` is float64 for Dropout
    (which passes ``1. - ratio``), float32 for sparse fillers.  One word each; none if p is 0.
    """
    check(0 <= p <= 1, f"the probability of a Bernoulli draw must be between 0 and 1, not {p}")
    if p == 0:
        return np.zeros(count, bool)
    words = stream.uint32s(count)
    if precision is np.float64:
        return words <= np.uint32(p * float(_WORD_MAX))
    return words.astype(precision) <= precision(p) * precision(_WORD_MAX)


def dropout_mask(stream: Mt19937, count: int, ratio: float) -> np.ndarray:
    """The mask of Dropout's forward, bool (count,) in C order: true where an element is kept.

    ``ratio`` is dropout_ratio, the probability of dropping.  Kept elements are multiplied by
    ``dropout_scale(ratio)``.
    """
    return rng_bernoulli(stream, count, 1.0 - float(_F(ratio)))


def dropout_scale(ratio: float) -> float:
    """1 / (1 − ratio), rounded to float32 as Dropout's ``scale_`` is."""
    return float(_F(1.0 / (1.0 - float(_F(ratio)))))


def rng_uniform(stream: Mt19937, count: int, low: float, high: float) -> np.ndarray:
    """``caffe_rng_uniform<float>``: float32 (count,), uniform over [low, high].

    One word per element, and one more for each result that rounding pushes over ``high``.
    """
    check(low <= high, f"a uniform draw needs min <= max; they are {low} and {high}")
    end = np.nextafter(_F(high), np.finfo(_F).max, dtype=_F)
    return _uniform(stream, count, _F(low), end)


def _uniform(stream: Mt19937, count: int, low: np.float32, end: np.float32) -> np.ndarray:
    """Boost's uniform_real over [low, end), in float32."""
    half = _F(0.5)
    if end * half - low * half > np.finfo(_F).max * half:
        return _F(2) * _uniform(stream, count, low * half, end * half)
    result = np.empty(count, _F)
    done = 0
    while done < count:
        values = stream.uint32s(count - done).astype(_F)
        values *= _F(2.0**-32)
        values *= end - low
        values += low
        below = values < end
        if not below.all():
            values = values[below]
        result[done : done + len(values)] = values
        done += len(values)
    return result


def rng_gaussian(stream: Mt19937, count: int, mean: float, std: float) -> np.ndarray:
    """``caffe_rng_gaussian<float>``: float32 (count,), normal with ``mean`` and ``std`` > 0.

    One word per element where the ziggurat accepts at once (98.8 %); other elements take more.
    """
    check(std > 0, f"the standard deviation of a gaussian draw must be positive, not {std}")
    result = np.empty(count, _F)
    done = 0
    while done < count:
        # An element takes at least one word, so as many words as elements are missing never
        # reach beyond what Caffe would have drawn: nothing has to be put back.
        values = _normal_values(stream, min(_BLOCK, count - done))
        result[done : done + len(values)] = values
        done += len(values)
    result *= _F(std)
    result += _F(mean)
    return result


class _Tables:
    """A ziggurat's numbers, rounded to float32 exactly where Boost rounds."""

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        self.edge = x.astype(_F)
        self.height = y.astype(_F)
        self.rise = (y[1:] - y[:-1]).astype(_F)
        self.step = (x[:-1] - x[1:]).astype(_F)


class _Normal(_Tables):
    """What a normal draw looks up besides."""

    def __init__(self) -> None:
        x, y = ziggurat.normal()
        super().__init__(x, y)
        self.convex = x >= 1
        # by the low byte of a word: bit 0 is the sign, bits 1 to 7 are the strip
        strip = np.arange(256) >> 1
        sign = np.where(np.arange(256) & 1, _F(1), _F(-1))
        self.factor = sign * self.edge[strip] * _F(2.0**-24)
        # A word is accepted at once if float32(fraction · edge) < the next edge, a double.  This is
        # a limit on its upper 24 bits, sought around the quotient.
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


def _normal_values(stream: Mt19937, count: int) -> np.ndarray:
    """The standard normal values that ``count`` words yield, at most ``count`` of them.

    All of the words are used up, and more are drawn if the last value needs them.
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
    # Each slow value uses the word after it.  Where that word looks like a slow value itself, or
    # where more words are used, step through in order to see which of them start a value at all.
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
    """For each index in ``slow``: is its value accepted, given the height in the word after it?

    Second result: where this can't be told so, because it lies in the tail, because the word after
    it rounds to 1, or because there is none.
    """
    last = len(words) - 1
    strip = (words[slow] & np.uint32(255)) >> np.uint32(1)
    following = words[np.minimum(slow + 1, last)]
    special = (strip == 0) | (following >= _ROUNDS_TO_ONE) | (slow == last)
    fraction = following.astype(_F) * _F(2.0**-32)
    return _under_curve(table, strip, np.abs(values[slow]), fraction), special


def _under_curve(table: _Normal, strip, x, fraction):  # type: ignore[no-untyped-def]
    """Is the point at ``x`` and at ``fraction`` of the strip's height under exp(−x²/2)?

    Arrays or float32 scalars.  The tangent at the strip's outer edge and the chord to its inner
    edge decide most cases, and which of the two bounds from above depends on the curvature.
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
    """exp in float32.  numpy's own is an ulp or two off; by way of double it is as good as libm."""
    return np.exp(np.asarray(x, np.float64)).astype(_F)


class _Words:
    """Reads the words from ``position`` on: what is left of a block, then the stream."""

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
        """Boost's uniform_01<float>: word / 2³², and another word if that rounds to 1."""
        while True:
            word = self()
            if word < _ROUNDS_TO_ONE:
                return _F(word) * _F(2.0**-32)


def _walk(
    table: _Normal, words: np.ndarray, index: int, stream: Mt19937
) -> tuple[np.float32 | None, int]:
    """The value that starts at word ``index``, None if it is rejected, and the next unused word."""
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
    """A normal value beyond R: exponential(R), thinned by another exponential draw."""
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
            # beyond R the exponential looks as it does from 0 on
            shift += inner
            continue
        fraction = read.fraction()
        height, top = table.height[strip], table.height[strip + 1]
        y = height + fraction * table.rise[strip]
        over_chord = table.step[strip] * fraction - (edge - x)
        over_tangent = y - (top + (inner - x) * top)
        if over_chord < 0 and (over_tangent < 0 or y < _exp(-x)):
            return shift + x
