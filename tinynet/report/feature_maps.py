"""Figure 4 of the paper: what the first layer makes of one image."""

from __future__ import annotations

import math

import numpy as np

from tinynet.predict.activations import Activations
from tinynet.report import canvas
from tinynet.report.filters import tile

_BRIGHTEST = 99.5  # percentile of a map's values that is drawn white: one peak hides nothing


@canvas.styled
def draw_feature_maps(found: Activations, path: canvas.Target, title: str) -> None:
    """Draw the image that the net saw, and every feature map by its own range."""
    count = len(found.maps)
    columns = max(1, math.ceil(math.sqrt(count * 1.5)))
    rows = -(-count // columns)
    left = 1.62
    side = canvas.WIDTH - left - 0.15
    height = max(side * rows / columns, 1.6) + 0.5
    made = canvas.empty(height=height)
    made.set_layout_engine("none")
    top = height - 0.45
    shown = made.add_axes((0.02, (top - 1.35) / height, 1.35 / canvas.WIDTH, 1.35 / height))
    shown.imshow(found.image, interpolation="nearest")
    shown.set_axis_off()
    sizes = f"{found.image.shape[0]}×{found.image.shape[1]} pixels seen"
    made.text(0.02, (top - 1.52) / height, sizes, fontsize=8)
    maps = made.add_axes(
        (left / canvas.WIDTH, 0.05 / height, side / canvas.WIDTH, (top - 0.05) / height)
    )
    maps.imshow(
        np.ma.masked_invalid(tile(scaled(found.maps)[:, None], columns, gap=2)[:, :, 0]),
        cmap="gray",
        vmin=0,
        vmax=1,
        interpolation="nearest",
    )
    maps.set_anchor("NW")
    maps.set_axis_off()
    made.text(0.02, 1 - 0.27 / height, title, fontsize=11)
    canvas.save(made, path)


def scaled(maps: np.ndarray) -> np.ndarray:
    """Every map (N×h×w) from 0, its lowest value, to 1; a map of one value is 0.

    What exceeds the 99.5th percentile of its map is 1 too, unless all lies at the bottom.
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
