"""pycaffe's ``caffe.Classifier``: class probabilities of images, with one crop or with ten.

Behaviour: ``python/caffe/classifier.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tinynet.torchcaffe.net import TEST, Net
from tinynet.torchcaffe.pycaffe import io


class Classifier(Net):
    """A deploy net with its preprocessing.

    ``image_dims``: (height, width) to which images are resized before they are cropped; the size
    of the net's input by default.  ``mean``, ``input_scale``, ``raw_scale`` and ``channel_swap``
    go to the ``transformer``; see ``io.Transformer``.
    """

    def __init__(
        self,
        model_file: str | Path,
        pretrained_file: str | Path,
        image_dims: Sequence[int] | None = None,
        mean: np.ndarray | None = None,
        input_scale: float | None = None,
        raw_scale: float | None = None,
        channel_swap: Sequence[int] | None = None,
    ) -> None:
        super().__init__(model_file, TEST, weights=pretrained_file)
        self.transformer = io.transformer_of(self, mean, input_scale, raw_scale, channel_swap)
        self.crop_dims = np.array(self.blobs[self.inputs[0]].data.shape[2:])
        self.image_dims = self.crop_dims if image_dims is None else image_dims

    def predict(self, inputs: Sequence[np.ndarray], oversample: bool = True) -> np.ndarray:
        """The probabilities (N × classes) of N images (H×W×K, as from ``io.load_image``).

        ``oversample``: whether to average over corners, centre and their mirrors, or to take only
        the centre crop.
        """
        size = tuple(self.image_dims)
        images = np.stack([io.resize_image(image, size) for image in inputs])
        if oversample:
            crops = io.oversample(images, self.crop_dims)
        else:
            top, left = ((np.array(size) - self.crop_dims) / 2.0).astype(int)
            height, width = self.crop_dims
            crops = images[:, top : top + height, left : left + width, :]
        name = self.inputs[0]
        blobs = np.stack([self.transformer.preprocess(name, crop) for crop in crops])
        predictions = self.forward_all(None, **{name: blobs})[self.outputs[0]]
        if oversample:
            predictions = predictions.reshape((len(predictions) // 10, 10, -1)).mean(1)
        return predictions
