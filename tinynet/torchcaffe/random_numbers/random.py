"""Caffe's random numbers on the CPU, bit for bit: mt19937 with the distributions of Boost.

Every number comes from one of these 32-bit streams:

* the **main stream** of a thread, ``Mt19937(random_seed)``: fillers, dropout, and seeds for others;
* a **transformer stream** per data layer that crops or mirrors at random, seeded by one draw of
  the main stream: mirrors and crops, and nothing else.

A prefetch thread also has a main stream, seeded by a third draw, but a Data layer never uses it.

The whole order of draws from the main stream over a solver's life, with ``random_seed`` S:

1. ``Solver::Init`` seeds: ``main = Mt19937(S)`` (Caffe keeps the low 32 bits; on several GPUs each
   solver adds its rank).  Without ``random_seed`` the stream continues from where it was; a thread
   that has never been seeded takes 32 bits of the system's entropy.
2. The train net is set up, layer after layer in net order, each in ``LayerSetUp``:

   * Data: ``prefetching_layer(main, needs_random(transform_param, phase))`` (``needs_random`` is in
     data_transformer.py), which is a draw that is discarded and the transformer's seed, both only
     if it mirrors (in any phase) or crops in TRAIN; then always one draw for the thread.
   * ImageData, WindowData: the same, with draws of their own after the first.  ImageData: one for
     ``shuffle``'s seed, then one for ``rand_skip``, each only if it is set.  WindowData: one for
     the seed of the stream that chooses and mirrors windows.
   * MemoryData: only ``transformer(main, …)``, since it has no thread.
   * Convolution, InnerProduct, Embed, Scale, Bias, PReLU …: ``fillers.fill`` for the weights, then
     for the bias if there is one.  Constant and bilinear fillers draw nothing.  A layer whose
     parameters are shared by name also fills its own copy, which is then dropped; one whose
     ``blobs`` are in the prototxt draws nothing.
   * DummyData: only constant fillers; the others draw at every forward, including the first.
3. Each test net is set up in the same way, in order.  Its fillers draw too, though the train net's
   weights replace their values.  Its Data layer draws once (three times if it mirrors).
4. In every forward of a TRAIN net, in the order of the layers: Dropout draws ``dropout_mask``, one
   number per element in C order; stochastic pooling (which Caffe has only on GPUs)
   ``rng_uniform``, one number per window in C order; DummyData fills.  An iteration has
   ``iter_size`` forwards.  TEST nets draw nothing (except a non-constant DummyData).  Backward,
   updates, snapshots and restoring draw nothing.

Within a data layer's own stream the order is image after image, and for one image mirror, then row
offset, then column offset (data_transformer.py).  A stream is never rewound at the end of an epoch.

On a GPU Caffe's Dropout draws from cuRAND instead (fillers and crops stay as above).

Source: Caffe's util/math_functions.cpp, util/rng.hpp, common.cpp, solver.cpp, internal_thread.cpp,
layers/base_data_layer.cpp, layers/dropout_layer.cpp; the distributions as Boost documents them
(Bernoulli, uniform_real, normal_distribution, the latter by the ziggurat method since 1.56).
"""

from __future__ import annotations

import math

import numpy as np

from tinynet.torchcaffe.errors import check
from tinynet.torchcaffe.random_numbers import boost_normal
from tinynet.torchcaffe.random_numbers.mt19937 import WORD_MAX, Mt19937

_F = np.float32
# words per pass of the gaussian: few enough that all its temporaries stay in the cache
_BLOCK = 1 << 16


def transformer(main: Mt19937, needs_random: bool) -> Mt19937 | None:
    """The stream of a new data transformer, seeded by one draw of ``main``, if it needs one."""
    return Mt19937(main.next_uint32()) if needs_random else None


def prefetching_layer(
    main: Mt19937, needs_random: bool, own: int = 0
) -> tuple[Mt19937 | None, list[int]]:
    """Make all draws of a prefetching layer's set-up, in order.

    Returns the stream of its transformer and the ``own`` words that the layer draws for itself.
    If ``needs_random``, the transformer draws twice, and the second draw counts: Caffe initializes
    it when the layer is set up, before the layer's own draws, and again when the thread starts.
    The thread's start takes one more draw.
    """
    transformer(main, needs_random)
    words = [main.next_uint32() for _ in range(own)]
    stream = transformer(main, needs_random)
    main.next_uint32()
    return stream, words


def shuffle(stream: Mt19937, order: list[int]) -> None:
    """Shuffle in place as Caffe's ``shuffle`` (util/rng.hpp): Fisher-Yates, from the end.

    Element i is exchanged with one of 0…i, drawn by Boost's uniform_int: a word divided by
    ⌊2³² / (i + 1)⌋, or another word if the quotient is more than i.
    """
    words = iter(stream.uint32s(max(0, len(order) - 1)).tolist())
    for last in range(len(order) - 1, 0, -1):
        bucket = (WORD_MAX + 1) // (last + 1)
        other = last + 1
        while other > last:
            word = next(words, None)
            other = (stream.next_uint32() if word is None else word) // bucket
        order[last], order[other] = order[other], order[last]


def rng_bernoulli(
    stream: Mt19937, count: int, p: float, precision: type = np.float64
) -> np.ndarray:
    """``caffe_rng_bernoulli``: bool (count,), true with probability ``p`` in [0, 1].

    Boost compares word ≤ p · (2³² − 1) in p's type: ``precision`` is float64 for Dropout (which
    passes ``1. - ratio``) and float32 for sparse fillers.  It takes one word each; none if p is 0.
    """
    check(0 <= p <= 1, f"the probability of a Bernoulli draw must be between 0 and 1, not {p}")
    if p == 0:
        return np.zeros(count, bool)
    words = stream.uint32s(count)
    if precision is np.float64:
        return words <= np.uint32(p * float(WORD_MAX))
    return words.astype(precision) <= precision(p) * precision(WORD_MAX)


def dropout_mask(stream: Mt19937, count: int, ratio: float) -> np.ndarray:
    """Draw Dropout's mask, bool (count,) in C order: true where an element is kept.

    ``ratio`` is dropout_ratio, the probability of dropping.  Kept elements are multiplied by
    ``dropout_scale(ratio)``.
    """
    return rng_bernoulli(stream, count, 1.0 - float(_F(ratio)))


def dropout_scale(ratio: float) -> float:
    """1 / (1 − ratio), rounded to float32 like Dropout's ``scale_``; infinity if ratio is 1."""
    kept = 1.0 - float(_F(ratio))
    return float(_F(1.0 / kept)) if kept else math.inf


def rng_uniform(stream: Mt19937, count: int, low: float, high: float) -> np.ndarray:
    """``caffe_rng_uniform<float>``: float32 (count,), uniform over [low, high].

    It takes one word per element, and one more for each result that is rounded above ``high``.
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

    It takes one word per element if the ziggurat accepts at once (98.8 %), and more otherwise.
    """
    check(std > 0, f"the standard deviation of a gaussian draw must be positive, not {std}")
    result = np.empty(count, _F)
    done = 0
    while done < count:
        # An element takes at least one word.  So as many words as there are elements left are
        # never more than Caffe draws, and none has to be put back.
        values = boost_normal.standard_values(stream, min(_BLOCK, count - done))
        result[done : done + len(values)] = values
        done += len(values)
    result *= _F(std)
    result += _F(mean)
    return result
