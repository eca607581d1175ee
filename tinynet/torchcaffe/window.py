"""Window: the kernel that Convolution, Deconvolution and Im2col move over the spatial axes.

Source: LayerSetUp of Caffe's src/caffe/layers/base_conv_layer.cpp and im2col_layer.cpp.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import trunc

from tinynet.caffeformat import schema
from tinynet.torchcaffe.layer import Layer

_NAMED_AXES = ("h", "w")


class Window:
    """``kernel``, ``stride``, ``pad`` and ``dilation``: of each one value per spatial axis.

    They are read from a ConvolutionParameter, for ``layer`` to name in a CaffeError where they are
    given too often or too seldom, or where one is zero that must not be.
    """

    def __init__(self, layer: Layer, param: schema.ConvolutionParameter, spatial: int) -> None:
        self._layer, self._param, self._spatial = layer, param, spatial
        self.kernel = self._per_axis("kernel", "kernel_size", None)
        self.stride = self._per_axis("stride", "stride", 1)
        self.pad = self._per_axis("pad", "pad", 0)
        self.dilation = self._per_axis("dilation", "dilation", 1)
        layer.require(all(self.kernel), f"kernel_size must be nonzero; got {self.kernel}")
        layer.require(all(self.stride), f"stride must be nonzero; got {self.stride}")

    def _per_axis(self, word: str, field: str, default: int | None) -> list[int]:
        """One value per spatial axis, from ``field`` (once, or per axis) or WORD_h and WORD_w."""
        layer, param = self._layer, self._param
        values = list(getattr(param, field))
        names = [f"{word}_{axis}" for axis in _NAMED_AXES]
        if word != "dilation" and any(schema.is_set(param, name) for name in names):
            layer.require(
                self._spatial == 2, f"{names[0]} and {names[1]} are for 2-D convolution only"
            )
            layer.require(not values, f"give either {field} or {names[0]}/{names[1]}; not both")
            return [getattr(param, name) for name in names]
        if not values and default is not None:
            values = [default]
        layer.require(
            len(values) in (1, self._spatial),
            f"{field} must be given once, or once per spatial axis; got {len(values)} "
            f"for {self._spatial} axes",
        )
        return values * self._spatial if len(values) == 1 else values

    @property
    def extent(self) -> list[int]:
        """What the dilated kernel covers of each axis."""
        return [d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation)]

    def steps(self, sizes: Sequence[int]) -> list[int]:
        """(size + 2·pad − extent) / stride + 1: the number of the window's places along each axis.

        The quotient is rounded toward zero, as C++ does it: a kernel that reaches beyond the padded
        sizes by less than a stride has one place.
        """
        moved = zip(sizes, self.extent, self.stride, self.pad)
        return [
            trunc((size + 2 * pad - extent) / stride) + 1 for size, extent, stride, pad in moved
        ]

    def covered(self, sizes: Sequence[int]) -> list[int]:
        """stride·(size − 1) + extent − 2·pad: what windows in ``sizes`` places cover together."""
        moved = zip(sizes, self.extent, self.stride, self.pad)
        return [stride * (size - 1) + extent - 2 * pad for size, extent, stride, pad in moved]
