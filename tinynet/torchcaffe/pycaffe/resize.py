"""Resizing images as pycaffe's ``caffe.io.resize_image`` does, as two matrix products.

pycaffe calls scikit-image (1 or 3 channels) or scipy (other numbers).  Neither is needed here:
linear interpolation, and the Gaussian blur before an image shrinks, act on rows and columns
separately.  Each is a matrix of weights, new size × old size.
"""

from __future__ import annotations

import numpy as np


def resize_like_skimage(image: np.ndarray, size: tuple[int, int], order: int) -> np.ndarray:
    """Resize as ``skimage.transform.resize(mode="constant")`` of release 0.15 and later.

    ``image``: float H×W×K.  Pixels are areas: the new pixel i lies at (i + ½)·old/new − ½.
    Everything beyond the border is 0, which darkens the edges of an image that grows.  An image
    that shrinks is blurred first.  The result stays within the range of the input.
    """
    rows, columns = (
        _interpolation(_area_positions(old, new), old, order) @ _blur(old, (old / new - 1) / 2)
        for old, new in zip(image.shape[:2], size)
    )
    return np.clip(_apply(rows, columns, image), image.min(), image.max())


def resize_like_zoom(image: np.ndarray, size: tuple[int, int], order: int) -> np.ndarray:
    """Resize as ``scipy.ndimage.zoom``: the corner pixels of old and new image coincide."""
    rows, columns = (
        _interpolation(np.linspace(0, old - 1, new), old, order)
        for old, new in zip(image.shape[:2], size)
    )
    return _apply(rows, columns, image)


def _apply(rows: np.ndarray, columns: np.ndarray, image: np.ndarray) -> np.ndarray:
    return np.einsum("ih,hwk,jw->ijk", rows, image, columns, optimize=True)


def _area_positions(old: int, new: int) -> np.ndarray:
    return (np.arange(new) + 0.5) * old / new - 0.5


def _interpolation(positions: np.ndarray, old: int, order: int) -> np.ndarray:
    """The weights of the ``old`` pixels at each position; values outside of them count as 0."""
    if order not in (0, 1):
        raise ValueError(f"interp_order must be 0 (nearest) or 1 (linear); got {order}")
    if order == 0:
        positions = np.floor(positions + 0.5)
    # the weight of a pixel falls linearly to 0 at distance 1
    return np.maximum(0.0, 1.0 - np.abs(positions[:, None] - np.arange(old)))


def _blur(size: int, sigma: float) -> np.ndarray:
    """A Gaussian of ``sigma`` pixels, cut off at 4 sigma, with zeros beyond the border."""
    if sigma <= 0:
        return np.eye(size)
    radius = int(4 * sigma + 0.5)
    distance = np.abs(np.arange(size)[:, None] - np.arange(size))
    offsets = np.arange(-radius, radius + 1)
    total = np.exp(-0.5 * (offsets / sigma) ** 2).sum()
    return np.where(distance <= radius, np.exp(-0.5 * (distance / sigma) ** 2) / total, 0.0)
