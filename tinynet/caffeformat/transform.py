"""Caffe's transform of an image: mean subtraction, scaling, cropping and mirroring.

Everything that feeds a net shares this arithmetic: the Data layer on a CPU (DataTransformer) and on
a GPU (device_images.py), WindowData, and evaluation under both engines.

The worker imports this module: Python 3.6 syntax, numpy only.
"""

from typing import Any, List, Tuple

import numpy as np

from tinynet.errors import TinynetError


def subtract_and_scale(values: Any, mean: Any, scale: float) -> Any:
    """Compute (values − mean) · scale in place, in the order in which Caffe rounds to float32.

    ``values``: a float32 array or tensor; ``mean``: one that broadcasts over it, or None.
    Source: ``Transform`` of src/caffe/data_transformer.cpp.
    """
    if mean is not None:
        values -= mean
    if scale != 1:
        values *= scale
    return values


def over_pixels(mean: np.ndarray) -> np.ndarray:
    """A mean of one value per channel (C) as C×1×1; a mean image (C×H×W) unchanged."""
    return mean.reshape(-1, 1, 1) if mean.ndim == 1 else mean


def centre(size: Any, crop: int) -> Any:
    """The offset of the centre crop on an axis of ``size`` pixels: ⌊(size − crop) / 2⌋.

    It is the crop of the TEST phase (src/caffe/data_transformer.cpp); ``size`` may be an array.
    """
    return (size - crop) // 2


def window(
    images: np.ndarray, row: int, column: int, height: int, width: int, mirror: bool
) -> np.ndarray:
    """A view of the last two axes of ``images``, from (row, column) on, mirrored after the cut."""
    cut = images[..., row : row + height, column : column + width]
    return cut[..., ::-1] if mirror else cut


def crop_origins(height: int, width: int, size: int) -> List[Tuple[int, int]]:
    """Return the upper left corners (row, column) of Caffe's five crops of ``size``² pixels.

    They are the four corner crops, row by row, then the centre crop, as in ``oversample`` of
    Caffe's python/caffe/io.py.  Raises TinynetError if the image is smaller.
    """
    bottom, right = height - size, width - size
    if bottom < 0 or right < 0:
        raise TinynetError(f"a crop of {size}x{size} does not fit in images of {height}x{width}")
    corners = [(row, column) for row in (0, bottom) for column in (0, right)]
    return corners + [(centre(height, size), centre(width, size))]


def view_count(height: int, width: int, size: int, oversample: bool) -> int:
    """How many different views an image has: 1, or with ``oversample`` 10.

    If the crop is the whole image, only 2 of the 10 remain: the image and its mirror.
    """
    if not oversample:
        return 1
    return 2 if size in (0, height) and size in (0, width) else 10


def views(images: np.ndarray, size: int, oversample: bool) -> np.ndarray:
    """Return the views of N×C×H×W ``images`` as (N·V)×C×size×size, image by image.

    V is that of ``view_count``.  The order within an image is Caffe's: five crops, then the mirrors
    of those five.  If crop and image have the same size, the five are equal and occur once.
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
        place = row, column, crop_height, crop_width
        out[:, index] = window(images, *place, mirror=False)
        if oversample:
            out[:, len(origins) + index] = window(images, *place, mirror=True)
    return out.reshape(count * total, channels, crop_height, crop_width)
