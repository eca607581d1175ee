"""Mean, scale, crop and mirror: how Caffe turns stored pictures into a batch.

Per picture, in this order: one draw for the mirror (where ``mirror`` is set, in either phase), then
one for the row and one for the column of the crop (where ``crop_size`` is set, in TRAIN only), each
``word % n``; then (pixel − mean) · scale, with the mean file read at the pixel's own place in the
whole picture; a mirrored picture is flipped after that.  In TEST the crop is (H − crop) // 2.

Source: Caffe's src/caffe/data_transformer.cpp.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinynet.torchcaffe.errors import check
from tinynet.torchcaffe.random import Mt19937

_F = np.float32
TRAIN = 0


def needs_random(transform_param: Any, phase: int) -> bool:
    """Does a transformer draw random numbers?  If so, its layer draws a seed for it."""
    return bool(transform_param.mirror or (phase == TRAIN and transform_param.crop_size))


def colour_of_encoded(transform_param: Any) -> str:
    """How to decode an encoded Datum: 'color', 'gray', or 'native' (as the file is).

    Raises CaffeError if both force_color and force_gray are set.  Caffe looks at the two only where
    a Datum is encoded.
    """
    check(
        not (transform_param.force_color and transform_param.force_gray),
        "transform_param sets both force_color and force_gray; set one of them at most",
    )
    if transform_param.force_color:
        return "color"
    return "gray" if transform_param.force_gray else "native"


class DataTransformer:
    """Applies one layer's ``transform_param``; its random state is ``stream`` and nothing else."""

    def __init__(
        self,
        transform_param: Any,
        phase: int,
        mean: np.ndarray | None = None,
        stream: Mt19937 | None = None,
    ) -> None:
        """``mean`` is the content of mean_file, C×H×W; ``stream`` is there if ``needs_random``.

        Raises CaffeError where mean_file and mean_value are both given, or where the mean or the
        stream is missing.
        """
        check(
            not (transform_param.mean_file and len(transform_param.mean_value)),
            "transform_param has both mean_file and mean_value; give one of them",
        )
        check(
            not transform_param.mean_file or mean is not None,
            f"the mean of {transform_param.mean_file!r} has not been read",
        )
        check(
            stream is not None or not needs_random(transform_param, phase),
            "random crops or mirrors need a random stream",
        )
        self.crop_size = int(transform_param.crop_size)
        self.mirror = bool(transform_param.mirror)
        self.random_crop = phase == TRAIN and self.crop_size > 0
        self.scale = _F(transform_param.scale)
        self.mean = None if mean is None else np.ascontiguousarray(mean, _F)
        self.mean_values = np.array(list(transform_param.mean_value), _F)
        self.stream = stream

    def output_shape(self, picture_shape: tuple[int, ...]) -> tuple[int, int, int]:
        """Shape C×h×w that a picture of shape C×H×W gets; raises CaffeError where it can't."""
        channels, height, width = picture_shape
        crop = self.crop_size
        check(
            height >= crop and width >= crop,
            f"crop_size must not be larger than the picture; it is {crop}, and the picture "
            f"(height × width) {height} × {width}",
        )
        check(
            len(self.mean_values) in (0, 1, channels),
            f"specify either 1 mean_value or as many as channels ({channels}); there are "
            f"{len(self.mean_values)}",
        )
        check(
            self.mean is None or self.mean.shape == tuple(picture_shape),
            f"the mean must have the picture's shape {tuple(picture_shape)}; it has "
            f"{None if self.mean is None else self.mean.shape}",
        )
        return (channels, crop, crop) if crop else (channels, height, width)

    def transform(
        self, pictures: Sequence[np.ndarray] | np.ndarray, out: np.ndarray | None = None
    ) -> np.ndarray:
        """The batch N×C×h×w, float32, of N pictures C×H×W (uint8 or float, one array or a list).

        Written into ``out`` where that is given.  Pictures may differ in size if they are cropped.
        Raises CaffeError where a picture does not fit crop_size, the means, or the batch's shape.
        """
        check(len(pictures) > 0, "there is no picture to transform")
        shapes = [picture.shape for picture in pictures]
        shape = self.output_shape(shapes[0])
        for other in dict.fromkeys(shapes):
            check(
                self.output_shape(other) == shape,
                f"all pictures of a batch must have the first one's shape {shapes[0]} unless they "
                f"are cropped; number {shapes.index(other)} has {other}",
            )
        if out is None:
            out = np.empty((len(pictures), *shape), _F)
        check(
            out.shape == (len(pictures), *shape) and out.dtype == _F,
            f"a batch of {len(pictures)} pictures of shape {shape} does not fit into an array of "
            f"shape {out.shape}",
        )
        mirrors, rows, columns = self._draw(shapes)
        _, height, width = shape
        mean_values = self.mean_values[:, None, None]
        scaled = self.scale != 1
        for picture, target, mirror, row, column in zip(pictures, out, mirrors, rows, columns):
            window = (slice(None), slice(row, row + height), slice(column, column + width))
            flipped = target[:, :, ::-1] if mirror else target
            np.copyto(flipped, picture[window], casting="unsafe")
            if self.mean is not None:
                flipped -= self.mean[window]
            elif len(mean_values):
                target -= mean_values
            if scaled:
                target *= self.scale
        return out

    def _draw(self, shapes: list[tuple[int, ...]]) -> tuple[list[int], list[int], list[int]]:
        """Mirror (0 or 1), row offset and column offset of each picture."""
        count, crop = len(shapes), self.crop_size
        size = np.array([shape[1:] for shape in shapes], np.int64).reshape(count, 2)
        # the ranges to draw from, and where nothing is drawn, the fixed value
        ranges = np.concatenate([np.full((count, 1), 2), size - crop + 1], axis=1)
        values = np.zeros((count, 3), np.int64)
        if crop and not self.random_crop:
            values[:, 1:] = (size - crop) // 2
        drawn = slice(0 if self.mirror else 1, 3 if self.random_crop else 1)
        draws = drawn.stop - drawn.start
        if draws > 0:
            assert self.stream is not None
            words = self.stream.uint32s(count * draws).reshape(count, draws)
            values[:, drawn] = words % ranges[:, drawn]
        mirrors, rows, columns = values.T.tolist()
        return mirrors, rows, columns
