"""The window that Convolution, Deconvolution and Im2col slide over the spatial axes of a blob.

Source: LayerSetUp of Caffe's src/caffe/layers/base_conv_layer.cpp and im2col_layer.cpp.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import trunc

from tinynet.caffeformat import schema

Sizes = tuple[int, ...]

_NAMED_AXES = ("h", "w")


@dataclass(frozen=True)
class Window:
    """Kernel, stride, padding and dilation, one value for each spatial axis."""

    kernel: Sizes
    stride: Sizes
    pad: Sizes
    dilation: Sizes

    @property
    def extent(self) -> Sizes:
        """The size of the dilated kernel along each axis."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation))

    def steps(self, sizes: Sequence[int]) -> list[int]:
        """(size + 2·pad − extent) / stride + 1: the number of window positions along each axis.

        The quotient is rounded toward zero, as in C++: a kernel that reaches beyond the padded
        sizes by less than a stride has one position.
        """
        moved = zip(sizes, self.extent, self.stride, self.pad)
        return [
            trunc((size + 2 * pad - extent) / stride) + 1 for size, extent, stride, pad in moved
        ]

    def covered(self, sizes: Sequence[int]) -> list[int]:
        """stride·(size − 1) + extent − 2·pad: the sizes that so many windows cover together."""
        moved = zip(sizes, self.extent, self.stride, self.pad)
        return [stride * (size - 1) + extent - 2 * pad for size, extent, stride, pad in moved]


def window_of(param: schema.ConvolutionParameter, axes: int) -> Window:
    """The window of a ConvolutionParameter over ``axes`` spatial axes.

    Raises ValueError if a field has the wrong number of values, or a zero that is not allowed.
    """
    kernel = _per_axis(param, axes, "kernel", "kernel_size", None)
    stride = _per_axis(param, axes, "stride", "stride", 1)
    pad = _per_axis(param, axes, "pad", "pad", 0)
    dilation = _per_axis(param, axes, "dilation", "dilation", 1)
    if not all(kernel):
        raise ValueError(f"kernel_size must be nonzero; got {list(kernel)}")
    if not all(stride):
        raise ValueError(f"stride must be nonzero; got {list(stride)}")
    return Window(kernel, stride, pad, dilation)


def _per_axis(
    param: schema.ConvolutionParameter, axes: int, word: str, field: str, default: int | None
) -> Sizes:
    """One value per spatial axis, from ``field`` (once, or per axis) or WORD_h and WORD_w."""
    values = tuple(getattr(param, field))
    names = [f"{word}_{axis}" for axis in _NAMED_AXES]
    if word != "dilation" and any(schema.is_set(param, name) for name in names):
        if axes != 2:
            raise ValueError(f"{names[0]} and {names[1]} are for 2-D convolution only")
        if values:
            raise ValueError(f"give either {field} or {names[0]}/{names[1]}; not both")
        return tuple(getattr(param, name) for name in names)
    if not values and default is not None:
        values = (default,)
    if len(values) not in (1, axes):
        raise ValueError(
            f"{field} must be given once, or once per spatial axis; got {len(values)} for {axes} "
            "axes"
        )
    return values * axes if len(values) == 1 else values
