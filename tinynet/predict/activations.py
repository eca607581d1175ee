"""Feature maps of a run's net for one image, computed by a worker."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinynet.caffeformat import schema, text
from tinynet.caffeformat.phases import layers_of
from tinynet.caffeformat.transform import views
from tinynet.errors import TinynetError
from tinynet.predict import inputs
from tinynet.predict.evaluate import of_pixels
from tinynet.run.paths import RunPaths


@dataclass(frozen=True, eq=False)
class Activations:
    """``maps`` (float32, channels × height × width) of the blob ``blob`` for one image.

    ``image`` is the image as the net saw it: uint8, height × width × 3, channels R, G, B.
    """

    blob: str
    maps: np.ndarray
    image: np.ndarray
    name: str  # the image's
    iteration: int  # of the weights


def first_feature_maps(
    run: Path, name: str, pixels: np.ndarray, engine: str = "auto"
) -> Activations:
    """The first convolution's feature maps for one image, after an in-place nonlinearity.

    ``name``, ``pixels`` (uint8, B, G, R × height × width): the image's, at the size of the run's
    own images.  Computed on the CPU.  Raises TinynetError if the run or its weights are missing.
    """
    paths = RunPaths(run)
    weights = inputs.trained_weights(paths)
    net = text.read(paths.deploy, schema.NetParameter)
    convolutions = [x for x in layers_of(net, schema.TEST) if x.type == "Convolution"]
    if not convolutions:
        raise TinynetError(f"{paths.deploy}: has no convolution, so there are no feature maps")
    blob = convolutions[0].top[0]
    [maps] = of_pixels(run, pixels[None], engine, weights, blob)
    crop_size = inputs.read_transform(paths).crop_size
    [seen] = views(pixels[None, ::-1], crop_size, oversample=False)
    return Activations(blob, maps, seen.transpose(1, 2, 0), name, weights.iteration)
