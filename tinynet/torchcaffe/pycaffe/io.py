"""pycaffe's ``caffe.io``: images in, blobs out, and conversions between arrays and messages.

Behaviour: ``python/caffe/io.py``, with two differences.  Pillow reads the images instead of
scikit-image, and gives the same numbers.  And ``preprocess`` never changes its argument, while
pycaffe scales a float32 array in place if it needs no resizing.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from tinynet.caffeformat import blob_proto, schema
from tinynet.torchcaffe.errors import CaffeError, CaffeValueError, check
from tinynet.torchcaffe.proto import caffe_pb2 as caffe_pb2  # caffe.io.caffe_pb2.Datum()

if TYPE_CHECKING:
    from tinynet.torchcaffe.net import Net

# names that pycaffe's module imports from other packages, and that scripts use through it, as in
# caffe.io.skimage.io.imread(…): the module to import, and its package
_OF_OTHERS = {
    "skimage": ("skimage.io", "scikit-image"),
    "resize": ("skimage.transform", "scikit-image"),
    "zoom": ("scipy.ndimage", "scipy"),
}


def __getattr__(name: str) -> Any:
    """What pycaffe's module imports from elsewhere, imported when a script asks for it."""
    if name not in _OF_OTHERS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    place, package = _OF_OTHERS[name]
    try:
        module = importlib.import_module(place)
    except ModuleNotFoundError as error:
        raise CaffeError(
            f"caffe.io.{name} belongs to {package}, which is not installed: pip install {package}"
        ) from error
    return importlib.import_module(name) if name == "skimage" else getattr(module, name)


# --- messages and arrays


def blobproto_to_array(blob: schema.BlobProto, return_diff: bool = False) -> np.ndarray:
    """A BlobProto's data (or diff) as a float64 array of the shape that it states.

    Raises ValueError if the number of values does not fit the shape.
    """
    values = np.array(blob.diff if return_diff else blob.data, dtype=np.float64)
    return values.reshape(blob_proto.shape_of(blob))


def array_to_blobproto(arr: np.ndarray, diff: np.ndarray | None = None) -> schema.BlobProto:
    """A BlobProto with the array's shape and values, and with ``diff``, of the same shape."""
    blob = schema.BlobProto()
    blob.shape.dim.extend(arr.shape)
    blob.data.extend(arr.astype(float).flat)
    if diff is not None:
        blob.diff.extend(diff.astype(float).flat)
    return blob


def arraylist_to_blobprotovector_str(arraylist: Sequence[np.ndarray]) -> bytes:
    """The arrays as the bytes of one BlobProtoVector."""
    vector = schema.BlobProtoVector()
    vector.blobs.extend([array_to_blobproto(arr) for arr in arraylist])
    return vector.SerializeToString()


def blobprotovector_str_to_arraylist(str: bytes) -> list[np.ndarray]:
    """The arrays in the bytes of a BlobProtoVector."""
    vector = schema.BlobProtoVector()
    vector.ParseFromString(str)
    return [blobproto_to_array(blob) for blob in vector.blobs]


def array_to_datum(arr: np.ndarray, label: int | None = None) -> schema.Datum:
    """A Datum of a C×H×W array: uint8 as bytes, everything else as floats.

    Raises ValueError for another number of axes.
    """
    if arr.ndim != 3:
        raise CaffeValueError(f"incorrect array shape: a Datum is C×H×W; got {arr.shape}")
    datum = schema.Datum()
    datum.channels, datum.height, datum.width = arr.shape
    if arr.dtype == np.uint8:
        datum.data = arr.tobytes()
    else:
        datum.float_data.extend(arr.astype(float).flat)
    if label is not None:
        datum.label = label
    return datum


def datum_to_array(datum: schema.Datum) -> np.ndarray:
    """A Datum's C×H×W array, uint8 or float64; its label is ``datum.label``."""
    shape = (datum.channels, datum.height, datum.width)
    if len(datum.data):
        return np.frombuffer(datum.data, dtype=np.uint8).reshape(shape).copy()
    return np.array(datum.float_data, dtype=np.float64).reshape(shape)


# --- images to blobs


class Transformer:
    """Prepares images for the inputs of a net, and turns blobs back into images.

    ``inputs``: input blobs' shapes by name, for example
    ``{"data": net.blobs["data"].data.shape}``.
    """

    def __init__(self, inputs: Mapping[str, Sequence[int]]) -> None:
        self.inputs = inputs
        self.transpose: dict[str, Sequence[int]] = {}
        self.channel_swap: dict[str, Sequence[int]] = {}
        self.raw_scale: dict[str, float] = {}
        self.mean: dict[str, np.ndarray] = {}
        self.input_scale: dict[str, float] = {}

    def _check_input(self, in_: str) -> None:
        if in_ not in self.inputs:
            raise CaffeError(f"{in_} is not one of the net inputs: {self.inputs}")

    def preprocess(self, in_: str, data: np.ndarray) -> np.ndarray:
        """Make float32 K×H×W values for the input ``in_`` from an H×W×K image.

        The steps are, in this order: resize to the input's size, transpose, swap channels, multiply
        by raw_scale, subtract the mean, multiply by input_scale; each only if it was set.
        """
        self._check_input(in_)
        image = data.astype(np.float32)
        size = tuple(self.inputs[in_][2:])
        if image.shape[:2] != size:
            image = resize_image(image, size)
        if in_ in self.transpose:
            image = image.transpose(self.transpose[in_])
        if in_ in self.channel_swap:
            image = image[list(self.channel_swap[in_]), :, :]
        if self.raw_scale.get(in_) is not None:
            image *= self.raw_scale[in_]
        if in_ in self.mean:
            image -= self.mean[in_]
        if self.input_scale.get(in_) is not None:
            image *= self.input_scale[in_]
        return image

    def deprocess(self, in_: str, data: np.ndarray) -> np.ndarray:
        """Undo ``preprocess``, except for the resizing, on one image of the blob."""
        self._check_input(in_)
        image = data.copy().squeeze()
        if self.input_scale.get(in_) is not None:
            image /= self.input_scale[in_]
        if in_ in self.mean:
            image += self.mean[in_]
        if self.raw_scale.get(in_) is not None:
            image /= self.raw_scale[in_]
        if in_ in self.channel_swap:
            image = image[np.argsort(self.channel_swap[in_]), :, :]
        if in_ in self.transpose:
            image = image.transpose(np.argsort(self.transpose[in_]))
        return image

    def set_transpose(self, in_: str, order: Sequence[int]) -> None:
        """Set the order of the axes, for example (2, 0, 1) for H×W×K to K×H×W."""
        self._check_input(in_)
        if len(order) != len(self.inputs[in_]) - 1:
            raise CaffeError(
                f"the transpose order needs one axis less than the input, which has "
                f"{len(self.inputs[in_])}; got {tuple(order)}"
            )
        self.transpose[in_] = order

    def set_channel_swap(self, in_: str, order: Sequence[int]) -> None:
        """Set the order of channels after the transpose, for example (2, 1, 0) for RGB to BGR."""
        self._check_input(in_)
        if len(order) != self.inputs[in_][1]:
            raise CaffeError(
                f"the channel swap needs as many channels as the input, which has "
                f"{self.inputs[in_][1]}; got {tuple(order)}"
            )
        self.channel_swap[in_] = order

    def set_raw_scale(self, in_: str, scale: float) -> None:
        """Set the factor before the mean is subtracted: 255 for images from ``load_image``."""
        self._check_input(in_)
        self.raw_scale[in_] = scale

    def set_mean(self, in_: str, mean: np.ndarray) -> None:
        """Set what to subtract: one value per channel, or a K×H×W image, resized if necessary.

        Raises ValueError for another number of channels or axes.
        """
        self._check_input(in_)
        shape: tuple[int, ...] = mean.shape
        expected = tuple(self.inputs[in_][1:])
        if mean.ndim == 1:
            if shape[0] != expected[0]:
                raise CaffeValueError(
                    f"mean channels incompatible with input: {shape[0]} and {expected[0]}"
                )
            mean = mean[:, np.newaxis, np.newaxis]
        else:
            shape = (1, *shape) if len(shape) == 2 else shape
            if len(shape) != 3:
                raise CaffeValueError(f"mean shape invalid: K, H×W or K×H×W; got {mean.shape}")
            if shape != expected:
                low, high = mean.min(), mean.max()
                normal = (mean - low) / (high - low)
                resized = resize_image(normal.transpose((1, 2, 0)), expected[1:])
                mean = resized.transpose((2, 0, 1)) * (high - low) + low
        self.mean[in_] = mean

    def set_input_scale(self, in_: str, scale: float) -> None:
        """Set the factor after the mean is subtracted."""
        self._check_input(in_)
        self.input_scale[in_] = scale


def transformer_of(
    net: Net,
    mean: np.ndarray | None,
    input_scale: float | None,
    raw_scale: float | None,
    channel_swap: Sequence[int] | None,
) -> Transformer:
    """Make a transformer of H×W×K images for a net's first input, with the given settings."""
    in_ = net.inputs[0]
    transformer = Transformer({in_: net.blobs[in_].data.shape})
    transformer.set_transpose(in_, (2, 0, 1))
    if mean is not None:
        transformer.set_mean(in_, mean)
    if input_scale is not None:
        transformer.set_input_scale(in_, input_scale)
    if raw_scale is not None:
        transformer.set_raw_scale(in_, raw_scale)
    if channel_swap is not None:
        transformer.set_channel_swap(in_, channel_swap)
    return transformer


# --- images


def load_image(filename: str | Path, color: bool = True) -> np.ndarray:
    """Load an image as float32 in [0, 1]: H×W×3 in RGB, or H×W×1 if ``color`` is false.

    With ``color``, gray images get three equal channels, and an alpha channel is dropped.  Raises
    OSError if the file cannot be read, CaffeError if it is not an image.
    """
    try:
        with Image.open(filename) as stored:
            image = _as_float(stored)
    except UnidentifiedImageError:
        raise CaffeError(f"{filename} is not an image that Pillow can read") from None
    if not color and image.ndim == 3:
        image = _gray(image)
    image = image.astype(np.float32)
    if image.ndim == 2:
        image = image[:, :, np.newaxis]
        return np.tile(image, (1, 1, 3)) if color else image
    return image[:, :, :3]


def _as_float(stored: Image.Image) -> np.ndarray:
    """float64 in [0, 1], H×W or H×W×3 or H×W×4."""
    if stored.mode.startswith("I;16"):
        return np.asarray(stored) / 65535.0
    if stored.mode == "I":  # older releases of Pillow read 16-bit PNGs in this mode
        return np.asarray(stored).astype(np.float64) / 65535.0
    if stored.mode == "1":
        return np.asarray(stored).astype(np.float64)
    if stored.mode == "LA":
        return np.asarray(stored)[:, :, 0] / 255.0
    if stored.mode == "P":
        stored = stored.convert("RGBA" if "transparency" in stored.info else "RGB")
    elif stored.mode not in ("L", "RGB", "RGBA"):
        stored = stored.convert("RGB")
    return np.asarray(stored) / 255.0


def _gray(image: np.ndarray) -> np.ndarray:
    """Luminance with scikit-image's weights, with transparent pixels blended over white."""
    if image.shape[2] == 4:
        alpha = image[:, :, 3:]
        image = image[:, :, :3] * alpha + (1.0 - alpha)
    return image @ np.array([0.2125, 0.7154, 0.0721])


def resize_image(im: np.ndarray, new_dims: Sequence[int], interp_order: int = 1) -> np.ndarray:
    """Resize ``im`` (H×W×K) to ``new_dims`` (height, width); the result is float32.

    ``interp_order``: the order of the spline, 0 nearest, 1 linear (default) … 5.  Raises
    CaffeError, where pycaffe raises some RuntimeError, for another one and for an image without an
    axis of channels.
    """
    from scipy import ndimage

    check(im.ndim == 3, f"resize_image needs an image of shape H×W×K; got {im.shape}")
    check(interp_order in range(6), f"interp_order must be from 0 to 5; got {interp_order}")
    height, width = (int(dim) for dim in new_dims)
    zoom = (height / im.shape[0], width / im.shape[1], 1)
    if im.shape[-1] not in (1, 3):
        return ndimage.zoom(im, zoom, order=interp_order).astype(np.float32)
    low, high = im.min(), im.max()
    if high <= low:
        return np.full((height, width, im.shape[-1]), low, dtype=np.float32)
    resized = _resize_as_skimage((im - low) / (high - low), zoom, interp_order)
    return (resized * (high - low) + low).astype(np.float32)


def _resize_as_skimage(image: np.ndarray, zoom: tuple[float, ...], order: int) -> np.ndarray:
    """Resize as ``skimage.transform.resize(mode="constant")`` of release 0.15 and later.

    An axis that shrinks is blurred first.  Everything beyond the border is 0, which darkens the
    edges of an image that grows.  The result stays within the range of the input.
    """
    from scipy import ndimage

    sigma = [max(0.0, (1 / factor - 1) / 2) for factor in zoom]
    blurred = ndimage.gaussian_filter(image, sigma, mode="constant")
    resized = ndimage.zoom(blurred, zoom, order=order, mode="grid-constant", grid_mode=True)
    return np.clip(resized, image.min(), image.max())


def oversample(
    images: Sequence[np.ndarray] | np.ndarray, crop_dims: Sequence[int] | np.ndarray
) -> np.ndarray:
    """Cut ten crops of each H×W×K image: four corners row by row, the centre, then their mirrors.

    ``crop_dims``: (height, width).  Returns float32 of shape (10·N, height, width, K).
    """
    size = np.array(images[0].shape)
    crop = np.array(crop_dims)
    corners = [(y, x) for y in (0, size[0] - crop[0]) for x in (0, size[1] - crop[1])]
    centre = (size[:2] / 2.0 - crop / 2.0).astype(int)
    starts = [*corners, tuple(centre)]
    crops = np.empty((10 * len(images), crop[0], crop[1], size[-1]), dtype=np.float32)
    for number, im in enumerate(images):
        ten = crops[10 * number : 10 * number + 10]
        for i, (y, x) in enumerate(starts):
            ten[i] = im[y : y + crop[0], x : x + crop[1], :]
        ten[5:] = ten[:5, :, ::-1, :]
    return crops
