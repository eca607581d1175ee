"""Occlusion maps: how the probability of an answer drops while a patch hides part of the image.

After M. Zeiler and R. Fergus, "Visualizing and Understanding Convolutional Networks" (2014),
section 4.2.  The patch has the mean colour, which the data transform turns into zero.  Only forward
passes are needed, so either engine computes the maps as it computes an evaluation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinynet.predict import inputs
from tinynet.predict.evaluate import of_pixels
from tinynet.run.paths import RunPaths

PATCH = 0.25  # side of the patch, as a fraction of the side of the net's input
STEPS = 13  # positions of the patch along either side


@dataclass(frozen=True, eq=False)
class Occlusion:
    """A net's answer for an image, and how much it depends on each pixel.

    ``seen``: uint8 height × width × R, G, B.  ``answer``: the most likely class, of probability
    ``share``.  ``drop`` (float64, height × width): by how much the probability falls while the
    pixel is hidden, as the mean over the patches that hide it; negative if hiding it helps.
    """

    seen: np.ndarray
    answer: int
    share: float
    drop: np.ndarray


def occlusions(run: Path, images: Sequence[np.ndarray], engine: str = "auto") -> list[Occlusion]:
    """Compute occlusion maps of images by a run's newest weights, on the CPU.

    ``images``: uint8 3×H×W, B, G, R, all of one size.  Raises TinynetError if the run, its weights
    or the engine are missing, or if the worker fails.
    """
    paths = RunPaths(run)
    weights = inputs.trained_weights(paths)
    transform = inputs.read_transform(paths)
    height, width = images[0].shape[1:]
    size = transform.crop_size or min(height, width)
    window = (height - size) // 2, (width - size) // 2, size
    colour = transform.mean.reshape(len(transform.mean), -1).mean(axis=1)
    hidden = [_hidden(image, window, colour) for image in images]
    stack = np.concatenate([np.concatenate([image[None], h]) for image, h in zip(images, hidden)])
    p = of_pixels(run, stack, engine, weights).reshape(len(images), STEPS**2 + 1, -1)
    return [_occlusion(image, window, each) for image, each in zip(images, p)]


def _positions(size: int) -> tuple[int, list[int]]:
    """Side of the patch in pixels, and its offsets along a side of ``size`` pixels."""
    side = max(1, round(PATCH * size))
    return side, [round(step * (size - side) / (STEPS - 1)) for step in range(STEPS)]


def _hidden(image: np.ndarray, window: tuple[int, int, int], colour: np.ndarray) -> np.ndarray:
    """STEPS² copies of an image, each with the patch at another position, row by row."""
    top, left, size = window
    side, offsets = _positions(size)
    out = np.repeat(image[None], STEPS**2, axis=0)
    for number in range(STEPS**2):
        y, x = top + offsets[number // STEPS], left + offsets[number % STEPS]
        out[number, :, y : y + side, x : x + side] = np.rint(colour).reshape(-1, 1, 1)
    return out


def _occlusion(image: np.ndarray, window: tuple[int, int, int], p: np.ndarray) -> Occlusion:
    top, left, size = window
    side, offsets = _positions(size)
    answer = int(p[0].argmax())
    total, count = np.zeros((size, size)), np.zeros((size, size))
    for number, value in enumerate(p[0, answer] - p[1:, answer].astype(np.float64)):
        y, x = offsets[number // STEPS], offsets[number % STEPS]
        total[y : y + side, x : x + side] += value
        count[y : y + side, x : x + side] += 1
    seen = image[::-1, top : top + size, left : left + size].transpose(1, 2, 0)
    return Occlusion(np.ascontiguousarray(seen), answer, float(p[0, answer]), total / count)
