"""Figure 4 of the paper: what the first layer makes of one image."""

from __future__ import annotations

import math
import textwrap

import numpy as np
from matplotlib.figure import Figure

from tinynet.predict.activations import Activations
from tinynet.report import canvas
from tinynet.report.filters import tile

# percentile of a map's values that is drawn white, so that one peak hides nothing
_BRIGHTEST = 99.5


@canvas.styled
def draw_feature_maps(found: Activations, title: str) -> Figure:
    """Draw the image that the net saw, and every feature map scaled by its own range.

    The maps are beside the image, or for a telephone below it.
    """
    count, shown = len(found.maps), 1.35  # inches of the image
    is_narrow = canvas.is_narrow()
    width = canvas.NARROW if is_narrow else canvas.WIDTH
    columns = max(1, math.ceil(math.sqrt(count * (1.0 if is_narrow else 1.5))))
    rows = -(-count // columns)
    title = textwrap.fill(title, 40) if is_narrow else title
    head = 0.28 + 0.18 * (title.count("\n") + 1)
    left = 0.1 if is_narrow else shown + 0.27
    side = width - left - (0.1 if is_narrow else 0.15)
    maps_height = side * rows / columns
    if is_narrow:
        height = head + shown + 0.35 + maps_height + 0.1
        maps_top = 0.1 + maps_height
    else:
        height = max(maps_height, shown + 0.25) + head + 0.05
        maps_top = height - head
    made = canvas.empty(height=height)
    made.set_layout_engine("none")
    top = height - head
    image = made.add_axes((0.1 / width, (top - shown) / height, shown / width, shown / height))
    image.imshow(found.image, interpolation="nearest")
    image.set_axis_off()
    sizes = f"{found.image.shape[0]}×{found.image.shape[1]} pixels seen"
    made.text(0.1 / width, (top - shown - 0.17) / height, sizes, fontsize=8)
    maps = made.add_axes((left / width, 0.05 / height, side / width, (maps_top - 0.05) / height))
    maps.imshow(
        np.ma.masked_invalid(tile(scaled(found.maps)[:, None], columns, gap=2)[:, :, 0]),
        cmap="gray",
        vmin=0,
        vmax=1,
        interpolation="nearest",
    )
    maps.set_anchor("NW")
    maps.set_axis_off()
    made.text(0.1 / width, 1 - 0.09 / height, title, fontsize=11, va="top")
    return made


def scaled(maps: np.ndarray) -> np.ndarray:
    """Scale every map (N×h×w) from 0, its lowest value, to 1; a constant map becomes 0.

    1 is the map's 99.5th percentile, or its maximum where that percentile is the lowest value.
    """
    low = maps.min(axis=(1, 2), keepdims=True)
    high = np.percentile(maps, _BRIGHTEST, axis=(1, 2), keepdims=True)
    high = np.where(high > low, high, maps.max(axis=(1, 2), keepdims=True))
    span = np.where(high > low, high - low, 1.0)
    return np.clip((maps - low) / span, 0, 1)


def describe(found: Activations) -> str:
    """The figure in words, for those who do not see it."""
    flat = found.maps.reshape(len(found.maps), -1)
    silent = int((flat.max(axis=1) - flat.min(axis=1) < 1e-6).sum())
    return (
        f"The image {found.name} and {len(flat)} grey images of {found.maps.shape[1]} by "
        f"{found.maps.shape[2]} pixels, each the response of one filter; {silent} of them are of "
        "one value throughout."
    )
