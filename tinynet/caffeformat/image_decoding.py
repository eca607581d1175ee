"""Decodes and resizes images as OpenCV does, to which Caffe leaves both.

``decode`` gives the same bits as ``cv::imread`` and ``cv::imdecode`` of OpenCV 4.5.1 (Debian's
Caffe) for JPEG (gray, colour with any chroma subsampling, progressive, CMYK), PNG (1 to 16 bits,
gray, colour, palette, with and without alpha), BMP, TIFF and PPM.  Differences elsewhere:

* A JPEG's colour depends on the library below OpenCV.  libjpeg-turbo and the IJG's library up to
  6b, which every distribution's OpenCV and opencv-python use, interpolate subsampled chroma as
  Pillow and simplejpeg do here.  The IJG's releases from 7 on, of which the wheel kendryte-caffe
  has 9d, scale it by another transform: on 81 images like Tiny ImageNet's, with 4:2:0 subsampling,
  a value differs by up to 75 of 255.  Luminance, and so ``gray``, is the same.
* The EXIF orientation of a JPEG or TIFF is applied to ``color`` and ``gray``, as in OpenCV from 3.1
  on.  OpenCV 2.4, with which Caffe was built until about 2016, ignores it.
* A TIFF's alpha is left out; OpenCV multiplies by it.  A CMYK TIFF may differ by 1, and so may the
  gray of a PNG with 16 bits for each colour.  "native" reads a BMP of 32 bits, and a CMYK TIFF, as
  three channels; OpenCV as four.
* A truncated image is refused.  OpenCV fills the rest of a JPEG with gray, and warns.
* GIF and whatever else Pillow reads is decoded; OpenCV 4.5.1 refuses it.
"""

from __future__ import annotations

import io
import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np

from tinynet.errors import TinynetError

if TYPE_CHECKING:
    from PIL import Image


LARGEST = 1 << 26  # pixels: 8192×8192
# what Pillow raises for bytes that are not an image
_BAD = (OSError, SyntaxError, ValueError, IndexError, TypeError, KeyError, EOFError,
        struct.error, zlib.error, OverflowError, MemoryError)  # fmt: skip
# conversion to gray, by format: the weights of blue, green and red, what is added before the shift,
# and the shift
_GRAY = {
    "PNG": ((3737, 19234, 9797), 0, 15),  # libpng's own, which rounds down
    "WEBP": ((3735, 19235, 9798), 1 << 14, 15),  # cv::cvtColor's
}
_OTHER_GRAY = ((1868, 9617, 4899), 1 << 13, 14)  # that of OpenCV's own readers
_ORIENTATION = 0x112  # a tag of EXIF
_DEEP = ("I;16", "I;16B", "I;16L", "I;16N", "I")


def decode(data: bytes, colour: str) -> np.ndarray:
    """Decode an image to pixels, uint8 C×H×W.

    ``colour`` is "color" (three channels, BGR), "gray" (one), or "native": one, three (BGR) or four
    (BGRA) channels, as in the file.  Raises TinynetError with the reason if the bytes are not an
    image, if it is too large, or, with "native", if it has more than 8 bits, which Caffe refuses.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data)) as image:
            # before any pixel is decoded: a header of 100 bytes can ask for gigabytes
            if image.width * image.height > LARGEST:
                raise ValueError(f"it is {image.width}×{image.height}, too large")
            gray = colour == "gray"
            kind = image.format or ""
            if gray and image.format == "JPEG":
                image.draft("L", image.size)  # luminance, as libjpeg itself gives it
            if colour == "native":
                if is_deep(image):
                    raise ValueError("it has more than 8 bits per value")
                pixels = _native(image)
            else:
                pixels = _bgr(upright(image))
    except UnidentifiedImageError:  # its own message names an object in memory
        raise TinynetError(f"its {len(data)} bytes are not an image") from None
    except (*_BAD, Image.DecompressionBombError) as error:
        raise TinynetError(str(error)) from None
    if gray and pixels.shape[2] == 3:
        pixels = _gray(pixels, kind)
    elif colour == "color" and pixels.shape[2] == 1:
        pixels = np.repeat(pixels, 3, axis=2)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def is_deep(image: Image.Image) -> bool:
    """Whether an opened image has more than 8 bits per value, which Pillow cuts in colours."""
    # a tile's fourth part is its raw mode, with other things; before Pillow 11 it has no names
    tiles = getattr(image, "tile", ())
    return image.mode in _DEEP or any(";16" in str(tile[3]) for tile in tiles)


def upright(image: Image.Image) -> Image.Image:
    """A JPEG or TIFF turned as its EXIF orientation says; any other image as it is.

    Damaged EXIF data turns nothing.
    """
    if image.format not in ("JPEG", "TIFF"):
        return image
    try:
        orientation = image.getexif().get(_ORIENTATION)
    except (*_BAD, AttributeError):
        return image
    from PIL import Image

    way = Image.Transpose
    ways = (way.FLIP_LEFT_RIGHT, way.ROTATE_180, way.FLIP_TOP_BOTTOM, way.TRANSPOSE,
            way.ROTATE_270, way.TRANSVERSE, way.ROTATE_90)  # fmt: skip
    if isinstance(orientation, int) and 2 <= orientation <= 8:
        return image.transpose(ways[orientation - 2])
    return image


def _native(image: Image.Image) -> np.ndarray:
    """H×W×C with the file's own channels; alpha, or a palette's transparency, is the fourth."""
    has_key = "transparency" in image.info and image.mode in ("RGB", "P")
    if image.mode in ("LA", "PA", "RGBA", "RGBa") or has_key:
        return np.asarray(image.convert("RGBA"))[..., [2, 1, 0, 3]]
    return _bgr(image)


def _bgr(image: Image.Image) -> np.ndarray:
    """H×W×1 for a gray image, H×W×3 (blue, green, red) for any other; without alpha."""
    if image.mode in _DEEP:
        return (np.asarray(image).astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)[..., None]
    if image.mode in ("1", "L", "LA"):
        return np.asarray(image.convert("L"))[..., None]
    if image.mode == "CMYK":
        # OpenCV's formula for the stored values, which Pillow has inverted
        ink = 255 - np.asarray(image).astype(np.int32)
        key = ink[..., 3:]
        return (key - ((255 - ink[..., 2::-1]) * key >> 8)).astype(np.uint8)
    return np.asarray(image.convert("RGB"))[..., ::-1]


def _gray(bgr: np.ndarray, kind: str) -> np.ndarray:
    """Convert H×W×3 pixels to gray, H×W×1, as OpenCV does for a file of format ``kind``."""
    weights, rounding, shift = _GRAY.get(kind, _OTHER_GRAY)
    total = bgr.astype(np.int32) @ np.array(weights, np.int32)
    return ((total + rounding) >> shift).astype(np.uint8)[..., None]


_COEFFICIENT_BITS = 11  # of cv::resize's weights for bytes


def resize(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize uint8 C×H×W to C×height×width as ``cv::resize`` with its default, INTER_LINEAR.

    Pixels are areas, so pixel i of the result lies at (i + ½)·old/new − ½.  The border is repeated,
    and nothing is blurred.  The arithmetic is OpenCV's, in integers: weights of 11 bits, columns
    blended before rows.  Exactly half the size is the mean of 2×2 pixels, as in OpenCV.
    OpenCV builds that use Intel's IPP (opencv-python on x86) may differ by 1.
    """
    _, rows, columns = pixels.shape
    if (rows, columns) == (height, width):
        return pixels
    if (rows, columns) == (2 * height, 2 * width):
        wide = pixels.astype(np.uint16)
        total = wide[:, ::2, ::2] + wide[:, ::2, 1::2] + wide[:, 1::2, ::2] + wide[:, 1::2, 1::2]
        return ((total + 2) >> 2).astype(np.uint8)
    left, right, weight = _places(columns, width)
    inside = (left >= 0) & (left < columns - 1)
    weight = np.where(inside, weight, np.float32(0))
    left, right = left.clip(0, columns - 1), right.clip(0, columns - 1)
    near, far = _whole(weight)
    wide = pixels.astype(np.int32)
    blended = wide[:, :, left] * near + wide[:, :, right] * far
    above, below, weight = _places(rows, height)
    near, far = (part[:, None] for part in _whole(weight))
    blended >>= 4
    upper = (blended[:, above.clip(0, rows - 1)] * near) >> 16
    lower = (blended[:, below.clip(0, rows - 1)] * far) >> 16
    return ((upper + lower + 2) >> 2).clip(0, 255).astype(np.uint8)


def _places(old: int, new: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The two old pixels around each new one, and the weight of the second, float32."""
    scale = 1.0 / (new / old)
    position = ((np.arange(new) + 0.5) * scale - 0.5).astype(np.float32)
    first = np.floor(position)
    return first.astype(np.int64), first.astype(np.int64) + 1, position - first


def _whole(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The weights of both neighbours in 11 bits, rounded half to even."""
    unit = np.float32(1 << _COEFFICIENT_BITS)
    parts = ((np.float32(1) - weight) * unit, weight * unit)
    near, far = (np.rint(part).astype(np.int32) for part in parts)
    return near, far
