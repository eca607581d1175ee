"""Caffe's views of an image: the centre crop, or the ten crops of its oversampling.

The worker imports this module: Python 3.6 syntax, numpy only.
"""

from typing import List, Tuple

import numpy as np

from tinynet.errors import TinynetError


def crop_origins(height: int, width: int, size: int) -> List[Tuple[int, int]]:
    """Return the upper left corners (row, column) of Caffe's five crops: four corners, centre.

    The order (row by row, then the centre) is that of ``oversample`` in Caffe's
    python/caffe/io.py; the centre, ``(H - size) // 2``, is also the TEST crop of the Data layer
    (src/caffe/data_transformer.cpp).  A crop of 0 means the whole image, as in prototxt.
    """
    size = size or min(height, width)
    bottom, right = height - size, width - size
    if bottom < 0 or right < 0:
        raise TinynetError(f"a crop of {size}x{size} does not fit in images of {height}x{width}")
    corners = [(row, column) for row in (0, bottom) for column in (0, right)]
    return corners + [(bottom // 2, right // 2)]


def view_count(height: int, width: int, size: int, oversample: bool) -> int:
    """How many different views an image has: 1, or with ``oversample`` 10.

    Only 2 (the image and its mirror) remain of the 10 where the crop is the whole image.
    """
    if not oversample:
        return 1
    return 2 if size in (0, height) and size in (0, width) else 10


def views(images: np.ndarray, size: int, oversample: bool) -> np.ndarray:
    """Return the views of N×C×H×W ``images`` as (N·V)×C×size×size, image by image.

    V is :func:`view_count`'s; the order within an image is Caffe's: five crops, then the mirrors
    of those five.  Where crop and image have one size, the five are equal and stand once.
    """
    count, channels, height, width = images.shape
    total = view_count(height, width, size, oversample)
    if size == 0:
        crop_height, crop_width = height, width
    else:
        crop_height = crop_width = size
    origins = crop_origins(height, width, size) if size else [(0, 0)]
    if total != 10:
        origins = origins[-1:]
    out = np.empty((count, total, channels, crop_height, crop_width), dtype=images.dtype)
    for index, (row, column) in enumerate(origins):
        crop = images[:, :, row : row + crop_height, column : column + crop_width]
        out[:, index] = crop
        if oversample:
            out[:, len(origins) + index] = crop[:, :, :, ::-1]
    return out.reshape(count * total, channels, crop_height, crop_width)
