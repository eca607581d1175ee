"""The windows of a blob as columns, and convolutions as matrix products with those columns.

This is Caffe's own method (src/caffe/util/im2col.cpp and a GEMM), for any number of spatial axes
and every window that Caffe accepts.  Im2col uses it; Convolution and Deconvolution use it for the
windows that PyTorch refuses (``needs_columns``):

- more than 3 spatial axes;
- dilation 0: every element of the kernel sees the window's first value;
- a kernel that reaches beyond the padded bottom by less than a stride (``Window.steps``): the
  values beyond count as zero.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import torch

from tinynet.caffeformat.convolution_window import Window, window_of
from tinynet.torchcaffe.errors import CaffeError
from tinynet.torchcaffe.layer import Layer

Index = tuple[slice, ...]
Diffs = tuple["torch.Tensor | None", ...]


def require_window(layer: Layer, spatial: int) -> Window:
    """The window of a layer's ``convolution_param``.  Raises CaffeError naming the layer."""
    try:
        return window_of(layer.param.convolution_param, spatial)
    except ValueError as error:
        raise CaffeError(f"{layer.type} layer {layer.name}: {error}") from None


def needs_columns(window: Window, sizes: Sequence[int]) -> bool:
    """Whether PyTorch cannot convolve a blob of these spatial ``sizes`` with this window."""
    moved = zip(sizes, window.extent, window.pad)
    return (
        len(sizes) > 3
        or 0 in window.dilation
        or any(extent > size + 2 * pad for size, extent, pad in moved)
    )


class Columns:
    """The windows in a blob of spatial ``sizes``; ``windows`` is their number along each axis."""

    def __init__(self, window: Window, sizes: Sequence[int]) -> None:
        self._window = window
        self.kernel = window.kernel
        self.sizes = tuple(sizes)
        self.windows = tuple(window.steps(sizes))

    def gather(self, values: torch.Tensor) -> torch.Tensor:
        """im2col: images × channels × sizes… → images × channels × kernel elements × windows…."""
        elements = math.prod(self.kernel)
        columns = values.new_zeros((*values.shape[:2], elements, *self.windows))
        for number, seen, where in self._elements():
            columns[:, :, number][where] = values[seen]
        return columns

    def scatter(self, columns: torch.Tensor) -> torch.Tensor:
        """col2im, the reverse: the sum over all windows that contain a value."""
        values = columns.new_zeros((*columns.shape[:2], *self.sizes))
        for number, seen, where in self._elements():
            values[seen] += columns[:, :, number][where]
        return values

    def _elements(self) -> Iterator[tuple[int, Index, Index]]:
        """For each kernel element: its number, the values it sees, and in which windows."""
        axes = [
            [self._seen(axis, offset) for offset in range(size)]
            for axis, size in enumerate(self.kernel)
        ]
        both = (slice(None), slice(None))  # images and channels
        for number, along in enumerate(itertools.product(*axes)):
            yield (
                number,
                (*both, *(seen for seen, _ in along)),
                (*both, *(where for _, where in along)),
            )

    def _seen(self, axis: int, offset: int) -> tuple[slice, slice]:
        """Along one axis: the values that an element sees, and in which windows."""
        size, stride = self.sizes[axis], self._window.stride[axis]
        start = offset * self._window.dilation[axis] - self._window.pad[axis]
        first = max(0, -(start // stride))
        last = min(self.windows[axis] - 1, (size - 1 - start) // stride)
        if first > last:
            return slice(0), slice(0)
        begin, end = start + first * stride, start + last * stride + 1
        return slice(begin, end, stride), slice(first, last + 1)


class ColumnProducts:
    """A Convolution, or if ``transposed`` a Deconvolution, of ``group`` groups by columns.

    ``sizes`` are the spatial sizes of the windowed blob: a Convolution's bottom, a Deconvolution's
    top.
    """

    def __init__(self, window: Window, sizes: Sequence[int], group: int, transposed: bool) -> None:
        self._columns = Columns(window, sizes)
        self._group, self._transposed = group, transposed

    def convolve(
        self, images: torch.Tensor, weights: torch.Tensor, bias: torch.Tensor | None
    ) -> torch.Tensor:
        """The top, images × channels × sizes…."""
        if self._transposed:
            out = self._spread(self._in_groups(weights).mT @ self._flat(images), images)
        else:
            out = self._in_groups(weights) @ self._gathered(images)
            out = out.reshape(len(images), -1, *self._columns.windows)
        return out if bias is None else out + bias.reshape(-1, *(1 for _ in self._columns.sizes))

    def diffs(self, images: torch.Tensor, diff: torch.Tensor, weights: torch.Tensor) -> Diffs:
        """The diffs of the images, the weights and the bias."""
        grouped = self._in_groups(weights)
        if self._transposed:
            above, below = self._gathered(diff), self._flat(images)
            to_images = (grouped @ above).reshape(images.shape)
        else:
            above, below = self._gathered(images), self._flat(diff)
            to_images = self._spread(grouped.mT @ below, diff)
        to_weights = (below @ above.mT).sum(0).reshape(weights.shape)
        return to_images, to_weights, diff.transpose(0, 1).flatten(1).sum(1)

    def _in_groups(self, weights: torch.Tensor) -> torch.Tensor:
        """groups × channels per group × (channels per group of the windowed blob · elements)."""
        return weights.reshape(self._group, weights.shape[0] // self._group, -1)

    def _flat(self, values: torch.Tensor) -> torch.Tensor:
        """images × groups × channels per group × windows, for the blob with a value per window."""
        return values.reshape(len(values), self._group, values.shape[1] // self._group, -1)

    def _gathered(self, values: torch.Tensor) -> torch.Tensor:
        """images × groups × (channels per group · elements) × windows, for the windowed blob."""
        rows = values.shape[1] // self._group * math.prod(self._columns.kernel)
        return self._columns.gather(values).reshape(len(values), self._group, rows, -1)

    def _spread(self, columns: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        """The reverse of ``_gathered``: the windowed blob."""
        elements = math.prod(self._columns.kernel)
        shape = (len(like), -1, elements, *self._columns.windows)
        return self._columns.scatter(columns.reshape(shape))
