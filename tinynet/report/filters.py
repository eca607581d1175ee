"""Figure 3 of the paper: the filters of the first convolutional layer, read from a .caffemodel.

The paper scales all filters by the range of all their values, and finds its figure low in contrast
because some filters are peaked.  Two more views avoid that: one scales by the range of all but the
most extreme values, the other scales each filter by its own range.
"""

from __future__ import annotations

import math
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from tinynet.caffeformat import blob_proto, upgrade
from tinynet.errors import TinynetError
from tinynet.report import canvas

_OUTSIDE = 1.0  # percent of the values that the robust range cuts off at either end


def first_filters(model: Path) -> tuple[str, np.ndarray]:
    """Name and filters (float32, N×3×k×k, channels R, G, B) of the first layer that reads colours.

    The file's own channels are B, G, R, as Caffe's are.  Raises TinynetError if no convolution
    reads three channels, or where the filters are not finite.
    """
    net = upgrade.read_model(model)
    for layer in net.layer:
        if layer.type == "Convolution" and layer.blobs:
            filters = blob_proto.decode(layer.blobs[0], f"{model}: layer {layer.name}")
            if filters.ndim == 4 and filters.shape[1] == 3 and filters.size:
                if not np.isfinite(filters).all():
                    raise TinynetError(
                        f"{model}: layer {layer.name} holds values that are not finite; the run "
                        "had diverged"
                    )
                return layer.name, filters[:, ::-1]
    raise TinynetError(f"{model}: has no convolution that reads three channels, so no filters")


def views(filters: np.ndarray) -> dict[str, np.ndarray]:
    """The filters as images (float, N×3×k×k, from 0 to 1), by the name of their scaling."""
    low, high = np.percentile(filters, [_OUTSIDE, 100 - _OUTSIDE])
    reach = max(abs(low), abs(high))
    own = np.abs(filters).max(axis=(1, 2, 3), keepdims=True)
    return {
        "one range for all values\n(as in the paper)": _scaled(
            filters, filters.min(), filters.max()
        ),
        f"range of {100 - 2 * _OUTSIDE:g} % of the values\n(grey is 0)": _scaled(
            filters, -reach, reach
        ),
        "each filter by its own range\n(grey is 0)": _scaled(filters, -own, own),
    }


def _scaled(values: np.ndarray, low: Any, high: Any) -> np.ndarray:
    span = np.maximum(high - low, np.finfo(np.float32).tiny)
    return np.clip((values - low) / span, 0, 1)


def tile(images: np.ndarray, columns: int, gap: int = 1) -> np.ndarray:
    """One image (H×W×C, gaps NaN) made of N×C×h×w ones, row by row."""
    count, channels, height, width = images.shape
    rows = -(-count // columns)
    size = (rows * (height + gap) - gap, columns * (width + gap) - gap, channels)
    out = np.full(size, np.nan)
    for number, image in enumerate(images):
        top, left = (number // columns) * (height + gap), (number % columns) * (width + gap)
        out[top : top + height, left : left + width] = image.transpose(1, 2, 0)
    return out


def transparent(pixels: np.ndarray) -> np.ndarray:
    """RGBA of an H×W×3 image, transparent where it is NaN."""
    hole = np.isnan(pixels).any(axis=2, keepdims=True)
    return np.concatenate([np.nan_to_num(pixels), np.where(hole, 0.0, 1.0)], axis=2)


@canvas.styled
def draw_filters(filters: np.ndarray, title: str) -> Figure:
    """Draw N×3×k×k filters (channels R, G, B) in the three views, side by side.

    For a telephone the views are one above the other.
    """
    count, _, high, wide = filters.shape
    columns = math.ceil(math.sqrt(count))
    rows = -(-count // columns)
    title = f"{title}: {count} filters of {high}×{wide} pixels"
    if canvas.is_narrow():
        title = textwrap.fill(title, 42)
        made = canvas.empty(height=0.9 + 3 * (0.5 + 2.7 * rows / columns))
        axes = made.subplots(3, 1).tolist()
    else:
        made, axes = canvas.figure(height=0.75 + 2.2 * rows / columns, columns=3)
    for part, (name, images) in zip(axes, views(filters).items()):
        part.imshow(transparent(tile(images, columns)), interpolation="nearest")
        part.set_title(name, fontsize=9)
        part.set_axis_off()
    made.suptitle(title, x=0.022, ha="left", size=11)
    made.get_layout_engine().set(h_pad=0.1)  # type: ignore[union-attr, call-arg]
    return made


def describe(filters: np.ndarray) -> str:
    """The figure in words, for those who do not see it."""
    size = np.abs(filters).max(axis=(1, 2, 3))
    low, high = np.percentile(filters, [_OUTSIDE, 100 - _OUTSIDE])
    weak = int((size < 0.1 * size.max()).sum())
    return (
        f"{len(filters)} small colour images, three times: scaled together, by a robust range, "
        f"and each by itself. The weights run from {filters.min():.3g} to {filters.max():.3g}, "
        f"{100 - 2 * _OUTSIDE:g} % of them from {low:.3g} to {high:.3g}; {weak} of the filters "
        "stay below a tenth of the strongest."
    )
