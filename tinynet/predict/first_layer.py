"""The first layer of a trained net, small enough to be kept with its results.

Its filters are figure 3 of the paper, its feature maps for an image figure 4.  It is a convolution
with a few thousand weights, which numpy computes in a moment, so the weights of the whole net are
not needed.

``first_layer.npz`` (no pickle) holds ``layer``; ``filters`` float16 N×3×h×w and ``bias`` float32 N,
channels as the net was trained (B, G, R); ``stride``, ``pad`` and ``dilation``, each (vertical,
horizontal); ``slope``, of the ReLU for negative values, 1 if no ReLU follows, NaN if another layer
does; ``mean``, ``scale`` and ``crop_size`` of the TEST phase; ``iteration`` and ``model_sha256`` of
the weights.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinynet.caffeformat import blob_proto, schema, upgrade
from tinynet.caffeformat.convolution_window import window_of
from tinynet.caffeformat.phases import layers_of
from tinynet.caffeformat.transform import over_pixels, subtract_and_scale, views
from tinynet.errors import TinynetError
from tinynet.predict import inputs
from tinynet.predict.array_file import arrays_of, read_arrays, refusing, write_arrays
from tinynet.predict.inputs import Weights
from tinynet.run.paths import RunPaths


@dataclass(frozen=True, eq=False)
class FirstLayer:
    """The arrays that the module's docstring lists; ``filters`` are float32 here."""

    layer: str
    filters: np.ndarray
    bias: np.ndarray
    stride: tuple[int, int]
    pad: tuple[int, int]
    dilation: tuple[int, int]
    slope: float
    mean: np.ndarray
    scale: float
    crop_size: int
    iteration: int
    model_sha256: str

    def check(self) -> None:
        """Raise ValueError, saying what is wrong, unless the arrays agree."""
        if self.filters.ndim != 4 or self.filters.shape[1] != 3 or not self.filters.size:
            raise ValueError(f"filters are {self.filters.shape}, not N×3×h×w")
        if self.bias.shape != (len(self.filters),):
            raise ValueError(f"{self.bias.shape} biases for {len(self.filters)} filters")
        if not (np.isfinite(self.filters).all() and np.isfinite(self.bias).all()):
            raise ValueError("a weight is not finite; the run had diverged")

    def seen(self, pixels: np.ndarray) -> np.ndarray:
        """The centre crop of an image (3×H×W, B, G, R), which the net sees; the type is kept.

        Raises TinynetError if the image is smaller than the crop.
        """
        return views(pixels[None], self.crop_size, oversample=False)[0]

    def maps(self, pixels: np.ndarray) -> np.ndarray:
        """The feature maps (float32, N×h×w) of an image (uint8, 3×H×W, B, G, R).

        Computed as in Caffe (conv_layer.cpp, relu_layer.cpp), except for the order of the sums.
        Raises TinynetError if the image is too small, or if another layer than a ReLU follows.
        """
        if math.isnan(self.slope):
            raise TinynetError(
                f"{self.layer} is followed by more than a ReLU, so that its feature maps need the "
                "whole net: name the run directory"
            )
        mean, scale = over_pixels(self.mean), np.float32(self.scale)
        x = self.seen(subtract_and_scale(pixels.astype(np.float32), mean, scale))
        (top, left), kernel = self.pad, self.filters.shape[2:]
        x = np.pad(x, ((0, 0), (top, top), (left, left)))
        extent = [d * (k - 1) + 1 for k, d in zip(kernel, self.dilation)]
        if any(size < needed for size, needed in zip(x.shape[1:], extent)):
            raise TinynetError(f"an image of {pixels.shape[1]}×{pixels.shape[2]} is too small")
        windows = np.lib.stride_tricks.sliding_window_view(x, extent, axis=(1, 2))
        windows = windows[:, :: self.stride[0], :: self.stride[1]]
        windows = windows[..., :: self.dilation[0], :: self.dilation[1]]
        found = np.tensordot(self.filters, windows, axes=((1, 2, 3), (0, 3, 4)))
        found += self.bias[:, None, None]
        return np.where(found > 0, found, np.float32(self.slope) * found)


def first_layer(run: RunPaths, weights: Weights) -> FirstLayer:
    """Read the first layer, a convolution, from a run directory.

    Raises TinynetError if the net begins with another layer, or if its files do not fit together.
    """
    net = upgrade.read_net(run.deploy)
    layers = [x for x in layers_of(net, schema.TEST) if x.type != "Input"]
    if not layers or layers[0].type != "Convolution":
        raise TinynetError(f"{run.deploy}: does not begin with a convolution")
    first = layers[0]
    held = {layer.name: layer for layer in upgrade.read_model(weights.path).layer}
    if first.name not in held or not held[first.name].blobs:
        raise TinynetError(f"{weights.path}: holds no weights of {first.name}")
    what = f"{weights.path}: layer {first.name}"
    blobs = [blob_proto.decode(blob, what) for blob in held[first.name].blobs]
    try:
        window = window_of(first.convolution_param, 2)
    except ValueError as error:
        raise TinynetError(f"{run.deploy}: layer {first.name}: {error}") from None
    transform = inputs.read_transform(run)
    bias = blobs[1].reshape(-1) if len(blobs) > 1 else np.zeros(len(blobs[0]), np.float32)
    found = FirstLayer(
        layer=first.name,
        filters=blobs[0],
        bias=bias,
        stride=_pair(window.stride),
        pad=_pair(window.pad),
        dilation=_pair(window.dilation),
        slope=_slope(layers, first.top[0]),
        mean=transform.mean_of(3),
        scale=transform.scale,
        crop_size=transform.crop_size,
        iteration=weights.iteration,
        model_sha256=weights.sha256,
    )
    try:
        found.check()
    except ValueError as error:
        raise TinynetError(f"{weights.path}: {first.name}: {error}") from None
    return found


def _pair(values: tuple[int, ...]) -> tuple[int, int]:
    return values[0], values[-1]


def _slope(layers: list[schema.LayerParameter], blob: str) -> float:
    """The slope for negative values of what follows in place; NaN if it is not a ReLU."""
    after = [x for x in layers[1:] if list(x.bottom) == [blob] == list(x.top)]
    after = [x for x in after if x.type != "Dropout"]  # an identity in the TEST phase
    if not after:
        return 1.0
    if len(after) == 1 and after[0].type == "ReLU":
        return float(after[0].relu_param.negative_slope)
    return math.nan


def write_first_layer(path: Path, found: FirstLayer) -> None:
    """Write the file atomically, with the filters and a mean image in float16."""
    arrays = arrays_of(found)
    arrays["filters"] = arrays["filters"].astype(np.float16)
    if found.mean.ndim == 3:  # a mean image, with values from 0 to 255
        arrays["mean"] = arrays["mean"].astype(np.float16)
    write_arrays(path, arrays)


def read_first_layer(path: Path, remedy: str) -> FirstLayer:
    """Read and validate a file.

    Raises OSError if it cannot be opened, TinynetError with the reason and ``remedy`` if it is not
    valid.
    """
    with refusing(path, "first layer", remedy):
        arrays = read_arrays(path, FirstLayer)
        for name in ("filters", "mean"):
            arrays[name] = arrays[name].astype(np.float32)
        found = FirstLayer(**arrays)
        found.check()
    return found
