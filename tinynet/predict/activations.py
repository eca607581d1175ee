"""Feature maps of a run's net for one image, computed by a worker."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from tinynet.caffeformat import schema, text
from tinynet.caffeformat.phases import layers_of
from tinynet.caffeformat.transform import views
from tinynet.errors import TinynetError, UsageError
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
    model_sha256: str


def first_layer(
    run: Path,
    name: str | None = None,
    engine: str = "auto",
    instead: tuple[str, np.ndarray] | None = None,
) -> Activations:
    """The first convolution's feature maps for one image, after an in-place nonlinearity.

    ``name``: an image of the validation split, or a file with an image of any size.  If it is None,
    ``instead`` is used, the name and the pixels (uint8, height × width × R, G, B) of an image of
    any size; without that, the first image of the split.  Computed on the CPU.  Raises TinynetError
    if the run, its weights or the image are missing.
    """
    paths = RunPaths(run)
    weights = inputs.trained_weights(paths)
    net = text.read(paths.deploy, schema.NetParameter)
    convolutions = [x for x in layers_of(net, schema.TEST) if x.type == "Convolution"]
    if not convolutions:
        raise TinynetError(f"{paths.deploy}: has no convolution, so there are no feature maps")
    blob = convolutions[0].top[0]
    name, pixels = _image(paths, name, instead)
    [maps] = of_pixels(run, pixels[None], engine, weights, blob)
    crop_size = inputs.read_transform(paths).crop_size
    [seen] = views(pixels[None, ::-1], crop_size, oversample=False)
    return Activations(blob, maps, seen.transpose(1, 2, 0), name, weights.iteration, weights.sha256)


def _image(
    paths: RunPaths, name: str | None, instead: tuple[str, np.ndarray] | None
) -> tuple[str, np.ndarray]:
    """Name and uint8 pixels (B, G, R × height × width) of an image."""
    images: inputs.Images | None = None
    fault: TinynetError | None = None
    try:
        images = inputs.find_images(paths, "val")
    except TinynetError as error:  # the data may be gone; an image file still works
        fault = error
    size = images.shape[1:] if images is not None else (64, 64)
    if name is None and instead is not None:
        return instead[0], fitted(Image.fromarray(instead[1]), (size[0], size[1]))
    if images is not None and (name is None or name in images.names):
        wanted = 0 if name is None else images.names.index(name)
        for number, (pixels, _) in enumerate(images.records()):
            if number == wanted:
                return images.names[wanted], np.frombuffer(pixels, np.uint8).reshape(images.shape)
    if name is None:
        raise fault or TinynetError(f"{paths.root}: its validation split has no images")
    if not Path(name).is_file():
        raise UsageError(
            f"--image {name}: neither an image of the validation split nor a file that is there"
        )
    return Path(name).name, read_image(Path(name), (size[0], size[1]))


def read_image(path: Path, size: tuple[int, int]) -> np.ndarray:
    """Read an image file as ``fitted`` does.  Raises TinynetError if it is not an image."""
    try:
        with Image.open(path) as file:
            return fitted(file, size)
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as error:
        raise TinynetError(f"{path}: cannot be read as an image ({error})") from None


def fitted(image: Image.Image, size: tuple[int, int]) -> np.ndarray:
    """Crop an image to its central part and scale it to ``size``; uint8, 3×H×W, B, G, R."""
    image = image.convert("RGB")
    if image.size != size[::-1]:
        image = ImageOps.fit(image, size[::-1], Image.Resampling.BILINEAR)
    return np.ascontiguousarray(np.asarray(image)[:, :, ::-1].transpose(2, 0, 1))
