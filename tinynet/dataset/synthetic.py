"""Draws a data set in the Tiny ImageNet layout: coloured, textured shapes in clutter.

A class is a combination of a shape, a texture and a hue.  No single one of the three identifies a
class, each varies within a class, and now and then one of them is drawn as for another class: like
some real images, these can be memorized but not learnt from.  So a net without regularization ends
well above chance, and well below its training accuracy.
"""

from __future__ import annotations

import colorsys
import itertools
import math
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw
from tqdm import tqdm

from tinynet.dataset.annotations import Box
from tinynet.dataset.image_set import IMAGE_SIZE
from tinynet.dataset.whole_folder import whole_folder
from tinynet.errors import UsageError

CONTENTS = frozenset({"wnids.txt", "words.txt", "train", "val", "test"})

# Objects are drawn this much larger, then averaged down, for smooth edges.
_FINER = 3
# How often an image's shape, texture or hue is drawn at random, whatever its class.
_STRAY = 0.1
# The fraction of grayscale images, as in Tiny ImageNet.
_GRAYSCALE = 0.018

Points = list[tuple[float, float]]


def _polygon(corners: int, turn: float = 0.0) -> Points:
    angles = [2 * math.pi * (corner / corners) + turn for corner in range(corners)]
    return [(math.sin(angle), -math.cos(angle)) for angle in angles]


def _star(points: int, inner: float) -> Points:
    outline = _polygon(2 * points)
    return [(x, y) if i % 2 == 0 else (x * inner, y * inner) for i, (x, y) in enumerate(outline)]


# Outlines within the unit circle; y points down.
_SHAPES: dict[str, Points] = {
    "disc": _polygon(40),
    "square": _polygon(4, math.pi / 4),
    "triangle": _polygon(3),
    "star": _star(5, 0.42),
    "cross": [
        (x * 0.95, y * 0.95)
        for x, y in [
            (-0.3, -1), (0.3, -1), (0.3, -0.3), (1, -0.3), (1, 0.3), (0.3, 0.3),
            (0.3, 1), (-0.3, 1), (-0.3, 0.3), (-1, 0.3), (-1, -0.3), (-0.3, -0.3),
        ]
    ],
    "bowl": [(math.cos(a), math.sin(a) - 0.4) for a in np.linspace(0, math.pi, 24).tolist()],
    "bar": [(-0.97, -0.25), (0.97, -0.25), (0.97, 0.25), (-0.97, 0.25)],
    "angle": [(-0.7, -0.7), (-0.2, -0.7), (-0.2, 0.2), (0.7, 0.2), (0.7, 0.7), (-0.7, 0.7)],
    "arrow": [
        (0, -1), (0.8, -0.1), (0.3, -0.1), (0.3, 0.9), (-0.3, 0.9), (-0.3, -0.1), (-0.8, -0.1),
    ],
    "hourglass": [(-0.7, -0.7), (0.7, -0.7), (0.15, 0), (0.7, 0.7), (-0.7, 0.7), (-0.15, 0)],
}  # fmt: skip

# Functions of pixel coordinates u, v (rotated, shifted, in periods of the pattern): the fraction of
# the second colour, 0 to 1.
_TEXTURES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "plain": lambda u, v: np.zeros_like(u),
    "striped": lambda u, v: (np.sin(2 * math.pi * u) > 0).astype(float),
    "checked": lambda u, v: (np.sin(2 * math.pi * u) * np.sin(2 * math.pi * v) > 0).astype(float),
    "dotted": lambda u, v: ((u % 1 - 0.5) ** 2 + (v % 1 - 0.5) ** 2 < 0.09).astype(float),
    "shaded": lambda u, v: np.clip(0.5 + 0.14 * u, 0, 1),
}

_HUES = {
    "red": 0.0, "orange": 0.09, "yellow": 0.17, "green": 0.33,
    "cyan": 0.5, "blue": 0.62, "violet": 0.76, "pink": 0.9,
}  # fmt: skip

LARGEST_CLASSES = len(_SHAPES) * len(_TEXTURES) * len(_HUES)


class Kind(NamedTuple):
    """The appearance of a class."""

    shape: str
    texture: str
    hue: str

    @property
    def name(self) -> str:
        return f"{self.texture} {self.hue} {self.shape}"


@dataclass(frozen=True)
class Sizes:
    """How many classes and images to draw."""

    classes: int = 20
    train_per_class: int = 75
    val_per_class: int = 50
    test_per_class: int = 10


def synthesize(out: Path | str, sizes: Sizes, *, seed: int = 1, overwrite: bool = False) -> None:
    """Draw a data set into the folder ``out``; a seed always gives the same pixels.

    Raises UsageError for less than 2 classes, more than LARGEST_CLASSES, or a split without images,
    and TinynetError if ``out`` exists and may not be overwritten.
    """
    if not 2 <= sizes.classes <= LARGEST_CLASSES:
        raise UsageError(f"{sizes.classes} classes: there can be 2 to {LARGEST_CLASSES}")
    if min(sizes.train_per_class, sizes.val_per_class, sizes.test_per_class) < 1:
        raise UsageError("a class needs at least one image in each split")
    kinds = choose_kinds(sizes.classes, seed)
    with whole_folder(Path(out), overwrite, CONTENTS) as folder:
        (folder / "wnids.txt").write_text("".join(f"{wnid}\n" for wnid in kinds))
        # words.txt is sorted, as in the real data set; wnids.txt is not
        words = "".join(f"{wnid}\t{kinds[wnid].name}\n" for wnid in sorted(kinds))
        (folder / "words.txt").write_text(words)
        per_class = sizes.train_per_class + sizes.val_per_class + sizes.test_per_class
        total = sizes.classes * per_class
        with tqdm(total=total, unit=" images", file=sys.stderr, disable=None) as progress:
            for wnid in kinds:
                _draw_train(folder, wnid, kinds, sizes.train_per_class, seed, progress)
            _draw_mixed(folder, "val", kinds, sizes.val_per_class, seed, progress)
            _draw_mixed(folder, "test", kinds, sizes.test_per_class, seed, progress)


def choose_kinds(classes: int, seed: int) -> dict[str, Kind]:
    """The kinds by wnid, in class order: all different, but sharing shapes, textures and hues."""
    every = [Kind(*parts) for parts in itertools.product(_SHAPES, _TEXTURES, _HUES)]
    chosen = random.Random(f"kinds {seed}").sample(range(len(every)), classes)
    # WordNet has no wnid above n15300051
    return {f"n9{number:07d}": every[number] for number in chosen}


def _draw_train(
    folder: Path, wnid: str, kinds: dict[str, Kind], count: int, seed: int, progress: tqdm
) -> None:
    images = folder / "train" / wnid / "images"
    images.mkdir(parents=True)
    lines = []
    for number in range(count):
        name = f"{wnid}_{number}.JPEG"
        box = _save(kinds[wnid], random.Random(f"train {wnid} {number} {seed}"), images / name)
        lines.append("\t".join([name, *map(str, box)]))
        progress.update()
    (images.parent / f"{wnid}_boxes.txt").write_text("\n".join(lines) + "\n")


def _draw_mixed(
    folder: Path, split: str, kinds: dict[str, Kind], per_class: int, seed: int, progress: tqdm
) -> None:
    """Draw the images of val or test, whose names do not tell the class."""
    images = folder / split / "images"
    images.mkdir(parents=True)
    wnids = list(kinds) * per_class
    random.Random(f"{split} order {seed}").shuffle(wnids)
    lines = []
    for number, wnid in enumerate(wnids):
        name = f"{split}_{number}.JPEG"
        box = _save(kinds[wnid], random.Random(f"{split} {number} {seed}"), images / name)
        lines.append("\t".join([name, wnid, *map(str, box)]))
        progress.update()
    if split == "val":
        (images.parent / "val_annotations.txt").write_text("\n".join(lines) + "\n")


def _save(kind: Kind, rng: random.Random, path: Path) -> Box:
    pixels, box = draw(kind, rng)
    image = Image.fromarray(pixels)
    if rng.random() < _GRAYSCALE:
        image = image.convert("L")
    image.save(path, "JPEG", quality=90)
    return box


def draw(kind: Kind, rng: random.Random) -> tuple[np.ndarray, Box]:
    """Draw one image of a class; return uint8 64×64×3 RGB pixels, and the box of its object."""
    noise = np.random.default_rng(rng.getrandbits(64))
    canvas = _background(rng, noise)
    for _ in range(rng.randint(0, 3)):
        _place(canvas, _any_kind(rng), rng, radius=rng.uniform(3, 8))
    box = _place(canvas, _strayed(kind, rng), rng, radius=rng.uniform(14, 26))
    if rng.random() < 0.4:  # something in front of it
        _place(canvas, _any_kind(rng), rng, radius=rng.uniform(3, 8))
    canvas *= rng.uniform(0.7, 1.15)
    canvas += noise.normal(0, rng.uniform(4, 16), canvas.shape)
    return np.clip(canvas, 0, 255).astype(np.uint8), box


def _any_kind(rng: random.Random) -> Kind:
    return Kind(rng.choice(list(_SHAPES)), rng.choice(list(_TEXTURES)), rng.choice(list(_HUES)))


def _strayed(kind: Kind, rng: random.Random) -> Kind:
    other = _any_kind(rng)
    return Kind(*(b if rng.random() < _STRAY else a for a, b in zip(kind, other)))


def _background(rng: random.Random, noise: np.random.Generator) -> np.ndarray:
    """A soft mixture of two colours, float 64×64×3."""
    cells = rng.choice([3, 5, 9])
    coarse = Image.fromarray(noise.integers(0, 256, (cells, cells), dtype=np.uint8))
    part = np.asarray(coarse.resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BICUBIC)) / 255
    colors = [_color(rng.random(), rng.uniform(0, 0.45), rng.uniform(0.2, 0.9)) for _ in range(2)]
    return colors[0] + part[..., None] * (colors[1] - colors[0])


def _place(canvas: np.ndarray, kind: Kind, rng: random.Random, radius: float) -> Box:
    """Draw one object somewhere on the canvas (changed in place); return its box."""
    size = IMAGE_SIZE
    x, y = (rng.uniform(min(radius, 20), size - min(radius, 20)) for _ in range(2))
    turn, squeeze = rng.uniform(-0.45, 0.45), rng.uniform(0.75, 1.0)
    # compute only the window that the object can cover
    left, top = max(0, math.floor(x - radius)), max(0, math.floor(y - radius))
    right, bottom = min(size, math.ceil(x + radius) + 1), min(size, math.ceil(y + radius) + 1)
    cos, sin = math.cos(turn), math.sin(turn)
    outline = [
        (
            _FINER * (x - left + radius * (cos * u * squeeze - sin * v)),
            _FINER * (y - top + radius * (sin * u * squeeze + cos * v)),
        )
        for u, v in _SHAPES[kind.shape]
    ]
    mask = Image.new("L", (_FINER * (right - left), _FINER * (bottom - top)))
    ImageDraw.Draw(mask).polygon(outline, fill=255)
    alpha = np.asarray(mask.reduce(_FINER)) / 255
    period, tilt = rng.uniform(6, 10), rng.uniform(-0.6, 0.6)
    rows, columns = np.mgrid[top:bottom, left:right]
    u = ((columns - x) * math.cos(tilt) + (rows - y) * math.sin(tilt)) / period
    v = ((rows - y) * math.cos(tilt) - (columns - x) * math.sin(tilt)) / period
    part = _TEXTURES[kind.texture](u, v)[..., None]
    hue = _HUES[kind.hue] + rng.gauss(0, 0.03)
    light, dark = rng.uniform(0.7, 1.0), rng.uniform(0.2, 0.45)
    first = _color(hue, rng.uniform(0.5, 1.0), light)
    second = _color(hue + rng.uniform(-0.05, 0.05), rng.uniform(0.4, 1.0), dark)
    window = canvas[top:bottom, left:right]
    window += alpha[..., None] * (first + part * (second - first) - window)
    seen_rows, seen_columns = np.nonzero(alpha > 0.5)
    if not seen_rows.size:
        return Box(int(x), int(y), int(x), int(y))
    return Box(
        left + int(seen_columns.min()),
        top + int(seen_rows.min()),
        left + int(seen_columns.max()),
        top + int(seen_rows.max()),
    )


def _color(hue: float, saturation: float, value: float) -> np.ndarray:
    return 255 * np.array(colorsys.hsv_to_rgb(hue % 1, saturation, value))
