"""Maps between the pixel coordinates of two blobs, and the Crop that aligns one blob with another.

A map (axis, scale, shift) means output coordinate = scale · input coordinate + shift, from ``axis``
on (None, in the identity: for every axis).  A Convolution with kernel k (dilated:
1 + dilation·(k − 1)), stride s and pad p computes its output i around the input
s·i − p + (k − 1)/2, so its map is (axis, 1/s, (p − (k − 1)/2)/s).  A Deconvolution's map is
(axis, s, (k − 1)/2 − p).

Behaviour: ``python/caffe/coord_map.py``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Optional

import numpy as np

from tinynet.torchcaffe.pycaffe.net_spec import Function, Top
from tinynet.torchcaffe.pycaffe.net_spec import layers as L

# axis, scale, shift; scale and shift are a number, or one number per spatial axis
Map = tuple[Optional[int], Any, Any]

IDENTITY: Map = (None, 1, 0)
PASS_THROUGH_LAYERS = [
    "AbsVal",
    "BatchNorm",
    "Bias",
    "BNLL",
    "Dropout",
    "Eltwise",
    "ELU",
    "Log",
    "LRN",
    "Exp",
    "MVN",
    "Power",
    "ReLU",
    "PReLU",
    "Scale",
    "Sigmoid",
    "Split",
    "TanH",
    "Threshold",
]
_SEPARATE_AXES = [f"{what}_{axis}" for what in ("pad", "kernel", "stride") for axis in "hw"]


class UndefinedMapException(Exception):
    """The layer has no coordinate map."""


class AxisMismatchException(Exception):
    """Two maps that start at different axes cannot be composed."""


def conv_params(fn: Function) -> tuple[int, np.ndarray, np.ndarray, np.ndarray]:
    """Axis, stride, dilated kernel size and pad of a Convolution, Deconvolution or Pooling.

    Raises KeyError without kernel_size, AssertionError if kernel_h, stride_w or the like are given.
    """
    params = fn.params.get("convolution_param", fn.params)
    kernel = np.array(params["kernel_size"], ndmin=1)
    separate = [name for name in _SEPARATE_AXES if name in fn.params]
    assert not separate, f"cropping does not support legacy _h/_w params; got {separate}"
    stride, pad, dilation = (
        np.array(params.get(name, default), ndmin=1)
        for name, default in (("stride", 1), ("pad", 0), ("dilation", 1))
    )
    return params.get("axis", 1), stride, (kernel - 1) * dilation + 1, pad


def crop_params(fn: Function) -> tuple[int, np.ndarray]:
    """Axis and offset of a Crop."""
    params = fn.params.get("crop_param", fn.params)
    return params.get("axis", 2), np.array(params.get("offset", 0), ndmin=1)


def coord_map(fn: Function) -> Map:
    """The map of one layer.  Raises UndefinedMapException if it has none."""
    if fn.type_name in PASS_THROUGH_LAYERS:
        return IDENTITY
    if fn.type_name in ("Convolution", "Pooling", "Im2col"):
        axis, stride, kernel, pad = conv_params(fn)
        return axis, 1 / stride, (pad - (kernel - 1) / 2) / stride
    if fn.type_name == "Deconvolution":
        axis, stride, kernel, pad = conv_params(fn)
        return axis, stride, (kernel - 1) / 2 - pad
    if fn.type_name == "Crop":
        first_cropped, offset = crop_params(fn)
        return first_cropped - 1, 1, -offset
    raise UndefinedMapException(f"{fn.type_name} layers have no coordinate map")


def compose(base_map: Map, next_map: Map) -> Map:
    """The map that applies ``next_map`` first, then ``base_map``.

    Raises AxisMismatchException if they name different axes.
    """
    base_axis, base_scale, base_shift = base_map
    next_axis, next_scale, next_shift = next_map
    named = {axis for axis in (base_axis, next_axis) if axis is not None}
    if len(named) > 1:
        raise AxisMismatchException(
            f"cannot compose maps from axis {base_axis} and from axis {next_axis}"
        )
    axis = named.pop() if named else None
    return axis, base_scale * next_scale, base_scale * next_shift + base_shift


def inverse(coord_map: Map) -> Map:
    """The inverse map."""
    axis, scale, shift = coord_map
    return axis, 1 / scale, -shift / scale


def coord_map_from_to(top_from: Top, top_to: Top) -> Map:
    """The map from ``top_from`` to ``top_to``, through a blob from which both are computed.

    Raises RuntimeError if no such blob is connected to both by spatial layers.
    """
    from_maps = dict(_maps_to_sources(top_from))
    for source, to_map in _maps_to_sources(top_to):
        if source in from_maps:
            return compose(to_map, inverse(from_maps[source]))
    raise RuntimeError("Could not compute map between tops; are they connected by spatial layers?")


def _maps_to_sources(top: Top) -> Iterator[tuple[Top, Map]]:
    """Every blob from which layers with maps compute ``top``: itself first, then nearest first."""
    todo: list[tuple[Top, Map]] = [(top, IDENTITY)]
    seen = {top}
    while todo:
        current, to_current = todo.pop(0)
        yield current, to_current
        # only the size of a Crop's second bottom matters
        bottoms = current.fn.inputs[: 1 if current.fn.type_name == "Crop" else None]
        new = [bottom for bottom in bottoms if bottom not in seen]
        with contextlib.suppress(UndefinedMapException):
            todo += [(bottom, compose(to_current, coord_map(current.fn))) for bottom in new]
        seen.update(new)


def crop(top_from: Top, top_to: Top) -> Any:
    """Make the Crop of ``top_from`` to the part that lies over ``top_to``, as a NetSpec top.

    Raises AssertionError if the blobs differ in scale, or the offset is negative or no integer.
    """
    axis, scale, shift = coord_map_from_to(top_from, top_to)
    scale, shift = np.array(scale, ndmin=1), np.array(shift, ndmin=1)
    assert (scale == 1).all(), f"scale mismatch on crop (a = {scale})"
    assert (shift <= 0).all(), f"cannot crop negative offset (b = {shift})"
    assert (np.round(shift) == shift).all(), f"cannot crop noninteger offset (b = {shift})"
    if axis is None:
        raise TypeError("nothing spatial lies between the two tops, so there is nothing to crop")
    offset = [int(value) for value in -np.round(shift)]
    return L.Crop(top_from, top_to, crop_param={"axis": axis + 1, "offset": offset})
