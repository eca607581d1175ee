"""Batches of randomly chosen windows, first background and then foreground."""

from __future__ import annotations

import numpy as np

from tinynet.caffeformat import schema
from tinynet.caffeformat.transform import centre, subtract_and_scale
from tinynet.torchcaffe.errors import check
from tinynet.torchcaffe.random_numbers.mt19937 import Mt19937
from tinynet.torchcaffe.reading.image_list import read_image
from tinynet.torchcaffe.reading.reader import Batch, Reader
from tinynet.torchcaffe.reading.windows import Window, crop_and_resize, place, read_windows

_F = np.float32


# the state of the stream that chooses the next windows
Position = tuple[np.ndarray, int]


class WindowBatches(Reader[Position]):
    """Makes the batches of a WindowData layer.

    Each window takes one draw, and a second one if ``mirror`` is set.
    """

    def __init__(
        self,
        param: schema.WindowDataParameter,
        transform_param: schema.TransformationParameter,
        mean: np.ndarray | None,
        stream: Mt19937,
        prefetch: int,
    ) -> None:
        """``mean`` is the content of mean_file, C×H×W.

        Raises CaffeError if the list or an image cannot be read, if there are no windows of a kind,
        or if the mean does not fit.
        """
        super().__init__(prefetch, stream.get_state())
        self._param = param
        self._crop = int(transform_param.crop_size)
        self._mirror = bool(transform_param.mirror)
        self._square = param.crop_mode == "square"
        self._windows = read_windows(param)
        check(
            len(self._windows.foreground) > 0 and len(self._windows.background) > 0,
            f"{param.source} must have foreground and background windows; it has "
            f"{len(self._windows.foreground)} and {len(self._windows.background)}",
        )
        self._mean = self._mean_of_crop(transform_param, mean)
        self._stream = stream
        # with cache_images all images are read at once and kept decoded (Caffe keeps their bytes)
        cached = self._windows.images if param.cache_images else []
        self._cache = {path: read_image(path, "color") for path in cached}

    @property
    def counts(self) -> tuple[int, int, int]:
        """The numbers of images, foreground and background windows."""
        found = self._windows
        return len(found.images), len(found.foreground), len(found.background)

    def _mean_of_crop(
        self, transform_param: schema.TransformationParameter, mean: np.ndarray | None
    ) -> np.ndarray:
        """The mean to subtract from a crop, 3×crop×crop or 3×1×1."""
        if mean is not None:
            # Caffe uses the middle of the mean's width for rows too
            start = centre(mean.shape[2], self._crop)
            end = start + self._crop
            check(
                mean.shape[0] >= 3 and start >= 0 and end <= min(mean.shape[1:]),
                f"the mean must cover a crop of {self._crop}×{self._crop} at {start}; it has shape "
                f"{mean.shape}",
            )
            return np.ascontiguousarray(mean[:3, start:end, start:end], _F)
        values = list(transform_param.mean_value) or [0.0]
        check(
            len(values) in (1, 3),
            f"specify either 1 mean_value or as many as channels (3); there are {len(values)}",
        )
        return np.array(values * 3 if len(values) == 1 else values, _F).reshape(3, 1, 1)

    def shape(self) -> tuple[int, ...]:
        return (int(self._param.batch_size), 3, self._crop, self._crop)

    def move(self, position: Position) -> None:
        self._stream.set_state(*position)

    def load(self) -> Batch[Position]:
        batch, crop = int(self._param.batch_size), self._crop
        foreground = int(_F(batch) * _F(self._param.fg_fraction))
        data = np.zeros((batch, 3, crop, crop), _F)
        labels = np.zeros(batch, _F)
        for item in range(batch):
            is_foreground = item >= batch - foreground
            windows = self._windows.foreground if is_foreground else self._windows.background
            window = windows[self._stream.next_uint32() % len(windows)]
            mirror = self._mirror and self._stream.next_uint32() % 2 == 1
            self._fill(data[item], window, mirror)
            labels[item] = window.label
        return Batch(data, labels, self._stream.get_state())

    def _fill(self, target: np.ndarray, window: Window, mirror: bool) -> None:
        path = self._windows.images[window.image]
        image = self._cache[path] if path in self._cache else read_image(path, "color")
        pad = int(self._param.context_pad)
        cut = place(window, image.shape[1:], self._crop, pad, self._square, mirror)
        pixels = crop_and_resize(image, cut, mirror, path)
        rows = slice(cut.pad_h, cut.pad_h + cut.height)
        columns = slice(cut.pad_w, cut.pad_w + cut.width)
        mean = self._mean if self._mean.shape[1] == 1 else self._mean[:, rows, columns]
        target[:, rows, columns] = subtract_and_scale(
            pixels.astype(_F), mean, _F(self._param.scale)
        )
