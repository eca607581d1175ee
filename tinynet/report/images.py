"""Images for the page: from the converted data set that ``--data`` names, else drawn ones.

A page may be published, and the images of a data set may not be ours to publish, so a page has real
ones only if ``--data`` asks for them.
"""

from __future__ import annotations

import base64
import io
import random
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from tinynet.caffeformat.datum import decode_datum
from tinynet.caffeformat.lmdb import Store, open_store
from tinynet.dataset import synthetic
from tinynet.dataset.manifest import Manifest, record_key
from tinynet.dataset.paths import SPLITS, DataPaths
from tinynet.errors import TinynetError

_QUALITY = 82  # of JPEG: an image of 64×64 pixels takes about 2 kB


class Images:
    """Images by name and class; ``folder``, ``manifest``: of the converted data set, if any."""

    def __init__(
        self, wnids: list[str], folder: Path | None = None, manifest: Manifest | None = None
    ) -> None:
        self._folder = folder
        self._manifest = manifest
        self._wnids = wnids
        self._stores: dict[str, Store] = {}

    @property
    def are_real(self) -> bool:
        return self._folder is not None

    def pixels(self, name: str, wnid: str, split: str = "") -> np.ndarray:
        """The image, uint8, height × width × R, G, B.  ``split``: the one to search first.

        Raises TinynetError if the data set has no such image.
        """
        if self._folder is None or self._manifest is None:
            return self._stand_in(name, wnid)
        for place in (split, *SPLITS):
            number = self._numbers.get(place, {}).get(name)
            if number is not None:
                value = self._store(place).value(record_key(number, name))
                if value is None:
                    raise TinynetError(f"{self._folder}: has lost {name}; convert the data again")
                pixels = decode_datum(value)[0]
                return np.ascontiguousarray(pixels[::-1].transpose(1, 2, 0))
        raise TinynetError(f"{self._folder}: has no image {name}: it is of other data")

    def names(self, split: str) -> list[str]:
        """The names of a split's images, in their order; [] without a data set."""
        return [] if self._manifest is None else self._manifest.names.get(split, [])

    def uri(self, name: str, wnid: str, split: str = "") -> str:
        """The image as a ``data:`` address."""
        return data_uri(self.pixels(name, wnid, split))

    @cached_property
    def _numbers(self) -> dict[str, dict[str, int]]:
        assert self._manifest is not None
        names = self._manifest.names
        return {
            split: {name: number for number, name in enumerate(names[split])} for split in names
        }

    def _store(self, split: str) -> Store:
        assert self._folder is not None
        if split not in self._stores:
            self._stores[split] = open_store(DataPaths(self._folder).lmdb(split))
        return self._stores[split]

    def _stand_in(self, name: str, wnid: str) -> np.ndarray:
        place = self._wnids.index(wnid) if wnid in self._wnids else 0
        return stand_in(place, name)


def stand_in(place: int = 0, name: str = "") -> np.ndarray:
    """A drawing in place of the image ``name`` of class ``place``: uint8, 64×64×3, R, G, B.

    The same name gives the same drawing; those of a class share shape, texture and hue.
    """
    kinds = list(synthetic.choose_kinds(synthetic.LARGEST_CLASSES, seed=1).values())
    return synthetic.draw(kinds[place % len(kinds)], random.Random(f"stand-in {name}"))[0]


def data_uri(pixels: np.ndarray) -> str:
    """Uint8 pixels (height × width × R, G, B) as a JPEG in a ``data:`` address."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode("ascii")


def read_image(path: Path, size: tuple[int, int]) -> np.ndarray:
    """Read an image file as ``fitted`` does.  Raises TinynetError if it is not an image."""
    try:
        with Image.open(path) as file:
            return fitted(file, size)
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as error:
        raise TinynetError(f"{path}: cannot be read as an image ({error})") from None


def fitted(image: Image.Image, size: tuple[int, int]) -> np.ndarray:
    """Crop an image to its central part and scale it to ``size``; uint8, H×W×3, R, G, B."""
    image = image.convert("RGB")
    if image.size != size[::-1]:
        image = ImageOps.fit(image, size[::-1], Image.Resampling.BILINEAR)
    return np.asarray(image)
