"""Initial values of parameters: Caffe's fillers, which draw from the main stream as in Caffe.

Source: Caffe's include/caffe/filler.hpp.  All arithmetic is float32, in Caffe's order.
"""

from __future__ import annotations

import math
from typing import Callable

import numpy as np

from tinynet.caffeformat import schema
from tinynet.torchcaffe.errors import CaffeError, check
from tinynet.torchcaffe.random_numbers.mt19937 import Mt19937
from tinynet.torchcaffe.random_numbers.random import rng_bernoulli, rng_gaussian, rng_uniform

_F = np.float32
Filler = Callable[[schema.FillerParameter, "tuple[int, ...]", Mt19937], np.ndarray]


def fill(filler: schema.FillerParameter, shape: tuple[int, ...], stream: Mt19937) -> np.ndarray:
    """Return float32 values for a blob of ``shape``, drawn from ``stream``.

    Raises CaffeError for an unknown type, for ``sparse`` on a filler that does not have it, for an
    empty blob, and for parameters out of range.
    """
    if filler.type not in _FILLERS:
        raise CaffeError(
            f"unknown filler type '{filler.type}'; valid types: {', '.join(sorted(_FILLERS))}"
        )
    shape = tuple(int(size) for size in shape)
    check(math.prod(shape) > 0, f"a {filler.type} filler needs a blob that is not empty: {shape}")
    if filler.type != "gaussian":
        check(
            filler.sparse == -1,
            f"sparse is a field of the gaussian filler alone; a {filler.type} filler has it at "
            f"{filler.sparse}",
        )
    return _FILLERS[filler.type](filler, shape, stream).reshape(shape)


def _constant(
    filler: schema.FillerParameter, shape: tuple[int, ...], stream: Mt19937
) -> np.ndarray:
    return np.full(shape, filler.value, _F)


def _uniform(filler: schema.FillerParameter, shape: tuple[int, ...], stream: Mt19937) -> np.ndarray:
    return rng_uniform(stream, math.prod(shape), filler.min, filler.max)


def _gaussian(
    filler: schema.FillerParameter, shape: tuple[int, ...], stream: Mt19937
) -> np.ndarray:
    values = rng_gaussian(stream, math.prod(shape), filler.mean, filler.std)
    check(filler.sparse >= -1, f"sparse must be -1 (off) or more, not {filler.sparse}")
    if filler.sparse >= 0:
        # on average ``sparse`` non-zero weights per input, as caffe.proto says (a comment in
        # filler.hpp says per output)
        values *= rng_bernoulli(
            stream, len(values), _F(filler.sparse) / _F(shape[0]), precision=_F
        ).astype(_F)
    return values


def _positive_unitball(
    filler: schema.FillerParameter, shape: tuple[int, ...], stream: Mt19937
) -> np.ndarray:
    """Positive weights whose sum is 1 for each output."""
    values = rng_uniform(stream, math.prod(shape), 0, 1).reshape(shape[0], -1)
    # a running sum adds one value at a time, as Caffe does; numpy's sum adds pairwise
    return values / np.cumsum(values, axis=1, dtype=_F)[:, -1:]


def _xavier(filler: schema.FillerParameter, shape: tuple[int, ...], stream: Mt19937) -> np.ndarray:
    scale = np.sqrt(_F(3) / _fan(filler, shape))
    return rng_uniform(stream, math.prod(shape), -scale, scale)


def _msra(filler: schema.FillerParameter, shape: tuple[int, ...], stream: Mt19937) -> np.ndarray:
    return rng_gaussian(stream, math.prod(shape), 0, np.sqrt(_F(2) / _fan(filler, shape)))


def _fan(filler: schema.FillerParameter, shape: tuple[int, ...]) -> np.float32:
    """Inputs per output, outputs per input, or their mean, as ``variance_norm`` says."""
    count = math.prod(shape)
    fan_in = count // shape[0]
    fan_out = count // shape[1] if len(shape) > 1 else count
    if filler.variance_norm == filler.AVERAGE:
        return _F(fan_in + fan_out) / _F(2)
    return _F(fan_out if filler.variance_norm == filler.FAN_OUT else fan_in)


def _bilinear(
    filler: schema.FillerParameter, shape: tuple[int, ...], stream: Mt19937
) -> np.ndarray:
    """The same interpolation kernel for every channel, for upsampling by Deconvolution."""
    check(len(shape) == 4, f"a bilinear filler needs a blob of 4 axes, not of shape {shape}")
    check(shape[2] == shape[3], f"a bilinear filler needs square kernels, not of shape {shape}")
    factor = math.ceil(shape[3] / 2)
    centre = _F((shape[3] - 1) / (2.0 * factor))
    away = np.abs(np.arange(shape[3], dtype=_F) / _F(factor) - centre)
    kernel = (_F(1) - away)[None, :] * (_F(1) - away)[:, None]
    return np.broadcast_to(kernel, shape).copy()


_FILLERS: dict[str, Filler] = {
    "bilinear": _bilinear,
    "constant": _constant,
    "gaussian": _gaussian,
    "msra": _msra,
    "positive_unitball": _positive_unitball,
    "uniform": _uniform,
    "xavier": _xavier,
}
