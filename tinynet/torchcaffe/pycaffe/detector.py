"""pycaffe's ``caffe.Detector``: class scores of windows in images, as in R-CNN.

Behaviour: ``python/caffe/detector.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinynet.torchcaffe.errors import CaffeError
from tinynet.torchcaffe.net import TEST, Net
from tinynet.torchcaffe.pycaffe import io


class Detector(Net):
    """A deploy net that scores windows (ymin, xmin, ymax, xmax), warped to its input's size.

    ``context_pad``: width in pixels of the border in the net's input that shows the surroundings of
    a window.  The other arguments go to the ``transformer``; see ``io.Transformer``.
    """

    def __init__(
        self,
        model_file: str | Path,
        pretrained_file: str | Path,
        mean: np.ndarray | None = None,
        input_scale: float | None = None,
        raw_scale: float | None = None,
        channel_swap: Sequence[int] | None = None,
        context_pad: int | None = None,
    ) -> None:
        super().__init__(model_file, TEST, weights=pretrained_file)
        self.transformer = io.transformer_of(self, mean, input_scale, raw_scale, channel_swap)
        self.configure_crop(context_pad)

    def configure_crop(self, context_pad: int | None) -> None:
        """Set the width of the context, and the mean, which fills it beyond the image."""
        name = self.inputs[0]
        channels, height, width = self.blobs[name].shape[1:]
        self.crop_dims = np.array((height, width, channels))
        self.context_pad = context_pad
        if not context_pad:
            return
        mean = self.transformer.mean.get(name)
        self.crop_mean: np.ndarray = np.zeros(self.crop_dims, dtype=np.float32)
        if mean is not None:
            # the mean as pixels before the preprocessing: channels swapped back, and unscaled
            if name in self.transformer.channel_swap:
                mean = mean[np.argsort(self.transformer.channel_swap[name])]
            self.crop_mean = mean.transpose((1, 2, 0)) / self.transformer.raw_scale.get(name, 1.0)

    def detect_windows(
        self, images_windows: Iterable[tuple[str | Path, Sequence[Any]]]
    ) -> list[dict[str, Any]]:
        """Score the windows of each (file name, windows).

        Returns one {"window", "prediction", "filename"} per window, in order.
        """
        name = self.inputs[0]
        asked, blobs = [], []
        for filename, windows in images_windows:
            image = io.load_image(filename)
            for window in windows:
                asked.append((filename, window))
                blobs.append(self.transformer.preprocess(name, self.crop(image, window)))
        predictions = self.forward_all(None, **{name: np.stack(blobs)})[self.outputs[0]]
        return [
            {"window": window, "prediction": prediction, "filename": filename}
            for (filename, window), prediction in zip(asked, predictions)
        ]

    def detect_selective_search(self, image_fnames: Sequence[str]) -> list[dict[str, Any]]:
        """Raise CaffeError: pycaffe runs a MATLAB package here, which this engine does not have."""
        raise CaffeError(
            "selective search is not part of this engine; find the windows with another tool, and "
            "pass them to detect_windows"
        )

    def crop(self, im: np.ndarray, window: Sequence[float]) -> np.ndarray:
        """The part of an H×W×K image in ``window``, with its context if ``context_pad`` is set."""
        top, left, bottom, right = (int(edge) for edge in window)
        if not self.context_pad:
            return im[top:bottom, left:right]
        size = int(self.crop_dims[1])  # as pycaffe, assumes that the input is square
        scale = size / (size - 2.0 * self.context_pad)
        half = np.array((bottom - top + 1, right - left + 1)) / 2.0
        centre = np.array((top, left)) + half
        low, high = np.round(centre - scale * half), np.round(centre + scale * half)
        zoom = size / (high - low + 1)
        # the crop keeps the mean where it lies outside of the image
        pad = np.round(np.maximum(0, -low) * zoom).astype(int)
        low, high = (np.clip(edge, 0, im.shape[:2]).astype(int) for edge in (low, high))
        inside = np.minimum(np.round((high - low + 1) * zoom).astype(int), size - pad)
        part = io.resize_image(im[low[0] : high[0], low[1] : high[1]], inside)
        crop = np.ones(self.crop_dims, dtype=np.float32) * self.crop_mean
        crop[pad[0] : pad[0] + inside[0], pad[1] : pad[1] + inside[1]] = part
        return crop
