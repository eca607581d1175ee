"""Mean, scale, crop and mirror: how Caffe turns stored images into a batch.

For each image there is one draw for the mirror (if ``mirror`` is set, in either phase), then one
for the row and one for the column of the crop (if ``crop_size`` is set, in TRAIN only), each
``word % n``.  Then comes (pixel − mean) · scale, with the mean file's value at the pixel's position
in the whole image; a mirrored image is flipped after that.  In TEST the crop begins at
(H − crop) // 2.

The channels of a batch are last in memory: convolution and pooling keep their bottom's order, and
are faster in this one.

Source: Caffe's src/caffe/data_transformer.cpp.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from tinynet.caffeformat import schema
from tinynet.caffeformat.transform import centre, subtract_and_scale, window
from tinynet.torchcaffe.errors import check
from tinynet.torchcaffe.random_numbers.mt19937 import Mt19937
from tinynet.torchcaffe.snapshots import stored_blobs

_F = np.float32
# the number of elements up to which PyTorch uses only the calling thread.  Above it, PyTorch's own
# threads spin while they wait, on the cores that the solver and the reader need.
_ONE_THREAD = 1 << 15


def needs_random(transform_param: schema.TransformationParameter, phase: int) -> bool:
    """Whether a transformer draws random numbers.  If so, its layer draws a seed for it."""
    return bool(transform_param.mirror or (phase == schema.TRAIN and transform_param.crop_size))


def read_mean(transform_param: schema.TransformationParameter) -> np.ndarray | None:
    """Read the mean image C×H×W of ``mean_file``; return None if there is no ``mean_file``.

    Raises CaffeError if the file cannot be read, or if there is also a ``mean_value``.
    """
    if not transform_param.mean_file:
        return None
    check(
        not len(transform_param.mean_value),
        "transform_param has both mean_file and mean_value; give one of them",
    )
    mean = stored_blobs.read(transform_param.mean_file)
    return mean.reshape((1, 1, 1, *mean.shape)[-3:])


def colour_of_encoded(transform_param: schema.TransformationParameter) -> str:
    """How to decode an encoded Datum: 'color', 'gray', or 'native' (as the file is).

    Raises CaffeError if both force_color and force_gray are set.  Caffe uses them only if a Datum
    is encoded.
    """
    check(
        not (transform_param.force_color and transform_param.force_gray),
        "transform_param sets both force_color and force_gray; set one of them at most",
    )
    if transform_param.force_color:
        return "color"
    return "gray" if transform_param.force_gray else "native"


class Windows(NamedTuple):
    """The draws for N images: where each crop begins, and whether the image is mirrored."""

    mirrors: np.ndarray  # int64 (N,), 0 or 1
    rows: np.ndarray  # int64 (N,)
    columns: np.ndarray  # int64 (N,), in the image as it is stored


class DataTransformer:
    """Applies one layer's ``transform_param``; its random state is ``stream`` and nothing else."""

    def __init__(
        self,
        transform_param: schema.TransformationParameter,
        phase: int,
        mean: np.ndarray | None = None,
        stream: Mt19937 | None = None,
    ) -> None:
        """``mean`` is what ``read_mean`` returns; ``stream`` is given if ``needs_random``."""
        assert mean is not None or not transform_param.mean_file
        assert stream is not None or not needs_random(transform_param, phase)
        self.crop_size = int(transform_param.crop_size)
        self.mirror = bool(transform_param.mirror)
        self.random_crop = phase == schema.TRAIN and self.crop_size > 0
        self.scale = _F(transform_param.scale)
        self.mean = None if mean is None else np.ascontiguousarray(mean, _F)
        self.mean_values = np.array(list(transform_param.mean_value), _F)
        if self.mean is not None:
            straight = np.ascontiguousarray(self.mean.transpose(1, 2, 0))  # H×W×C
            self._means = straight, np.ascontiguousarray(straight[:, ::-1])
        self._mean_row = np.empty(0, _F)  # mean_values, one for each value of an image
        self.stream = stream

    def output_shape(self, image_shape: tuple[int, ...]) -> tuple[int, int, int]:
        """The shape C×h×w of a transformed image of shape C×H×W.

        Raises CaffeError if the image does not fit crop_size or the means.
        """
        channels, height, width = image_shape
        crop = self.crop_size
        check(
            height >= crop and width >= crop,
            f"crop_size must not be larger than the image; it is {crop}, and the image "
            f"(height × width) {height} × {width}",
        )
        check(
            len(self.mean_values) in (0, 1, channels),
            f"specify either 1 mean_value or as many as channels ({channels}); there are "
            f"{len(self.mean_values)}",
        )
        check(
            self.mean is None or self.mean.shape == tuple(image_shape),
            f"the mean must have the image's shape {tuple(image_shape)}; it has "
            f"{None if self.mean is None else self.mean.shape}",
        )
        return (channels, crop, crop) if crop else (channels, height, width)

    def draw(self, shapes: Sequence[tuple[int, ...]]) -> Windows:
        """Draw the windows of the next images, one at least, which have these shapes C×H×W.

        Raises CaffeError if an image does not fit crop_size, the means or the batch's shape.
        """
        shape = self.output_shape(shapes[0])
        for other in dict.fromkeys(shapes):
            check(
                self.output_shape(other) == shape,
                f"all images of a batch must have the first one's shape {shapes[0]} unless they "
                f"are cropped; number {list(shapes).index(other)} has {other}",
            )
        count, crop = len(shapes), self.crop_size
        size = np.array([shape[1:] for shape in shapes], np.int64)
        # the ranges to draw from, and the fixed values where nothing is drawn
        ranges = np.concatenate([np.full((count, 1), 2), size - crop + 1], axis=1)
        values = np.zeros((count, 3), np.int64)
        if crop and not self.random_crop:
            values[:, 1:] = centre(size, crop)
        drawn = slice(0 if self.mirror else 1, 3 if self.random_crop else 1)
        draws = drawn.stop - drawn.start
        if draws > 0:
            assert self.stream is not None
            words = self.stream.uint32s(count * draws).reshape(count, draws)
            values[:, drawn] = words % ranges[:, drawn]
        return Windows(*values.T)

    def transform(self, images: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
        """Return the batch N×C×h×w, float32, of N images C×H×W (uint8 or float, array or list).

        Images may differ in size if they are cropped.  Raises CaffeError as ``draw`` does.
        """
        shapes = [image.shape for image in images]
        windows = self.draw(shapes)
        channels, height, width = self.output_shape(shapes[0])
        count = len(images)
        kind = np.uint8 if all(image.dtype.char == "B" for image in images) else _F
        out = np.empty((count, height, width, channels), _F)
        # crop a few images, channel by channel and still in bytes; then widen and interleave them
        step = min(count, max(1, _ONE_THREAD // (height * width)))
        planes = np.empty((channels, step, height, width), kind)
        sources = torch.from_numpy(planes).flatten(1).unbind(0)
        interleaved = torch.from_numpy(out).flatten(0, 2).unbind(1)
        targets = zip(*(channel.split(step * height * width) for channel in interleaved))
        crops = list(zip(*(values.tolist() for values in windows)))
        for start, target in zip(range(0, count, step), targets):
            block = crops[start : start + step]
            for number, (mirror, row, column) in enumerate(block):
                cut = window(images[start + number], row, column, height, width, mirror)
                np.copyto(planes[:, number], cut, casting="unsafe")
            for values, source in zip(target, sources):
                # the last block may be smaller
                values.copy_(source if len(block) == step else source[: values.numel()])
            self._scale(out[start : start + step], block)
        return out.transpose(0, 3, 1, 2)

    def _scale(self, values: np.ndarray, crops: list[tuple[int, int, int]]) -> None:
        """Apply (value − mean) · scale in place to N images h×w×C, cropped as ``crops`` says."""
        count, height, width, channels = values.shape
        if self.mean is not None:
            straight, mirrored = self._means
            for image, (mirror, row, column) in zip(values, crops):
                if mirror:
                    column = straight.shape[1] - width - column
                whole = mirrored if mirror else straight
                mean = whole[row : row + height, column : column + width]
                subtract_and_scale(image, mean, 1)  # scaled below, all at once
        flat = values.reshape(count, height * width * channels)
        subtract_and_scale(flat, self._row_of_means(height * width, channels), self.scale)

    def _row_of_means(self, pixels: int, channels: int) -> np.ndarray | None:
        """mean_values repeated for all h·w·C values of an image; None if none are given."""
        if not len(self.mean_values):
            return None
        if self._mean_row.size != pixels * channels:
            every = np.broadcast_to(self.mean_values, (pixels, channels))
            self._mean_row = every.reshape(-1)
        return self._mean_row
