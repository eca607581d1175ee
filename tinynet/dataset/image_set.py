"""What a data set is to whoever converts or verifies it, whatever form it is stored in."""

from __future__ import annotations

import hashlib
from typing import NamedTuple, TypeVar

from tinynet.dataset.annotations import Box, decode_text
from tinynet.dataset.paths import SPLITS
from tinynet.dataset.source_files import Files
from tinynet.errors import TinynetError

IMAGE_SIZE = 64  # pixels, width and height
UNKNOWN = -1  # label of an image whose class is not known

_Set = TypeVar("_Set", bound="ImageSet")


class ImageFile(NamedTuple):
    """One image file, ``path`` within the data set; ``label`` is its class index or UNKNOWN."""

    path: str
    label: int
    box: Box | None

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


class ImageSet:
    """A data set whose structure has been checked; images are not read yet.

    ``files`` reads the images.  ``images[split]`` are in the order that the shuffle starts from:
    the training images by wnid and name, the others by name.  ``test`` may have none.  A class
    index is a position in ``wnids`` and ``class_names``.  ``text_digests`` has the SHA-256 of every
    annotation file that was read.  A context manager, since a file may stay open.
    """

    wnids: list[str]
    class_names: list[str]
    images: dict[str, list[ImageFile]]

    def __init__(self, files: Files) -> None:
        self.files = files
        self.text_digests: dict[str, str] = {}

    @property
    def labelled(self) -> dict[str, bool]:
        """Whether a split has images, and a class for each."""
        return {
            split: bool(self.images[split])
            and all(image.label != UNKNOWN for image in self.images[split])
            for split in SPLITS
        }

    def read(self, path: str) -> bytes:
        """An annotation file, noted in ``text_digests``; raises TinynetError."""
        try:
            data = self.files.read(path)
        except OSError as error:
            raise self.error(path, error.strerror or str(error)) from None
        self.text_digests[path] = hashlib.sha256(data).hexdigest()
        return data

    def text(self, path: str) -> tuple[str, str]:
        """The text of an annotation file, and its name for errors."""
        name = self.files.show(path)
        return decode_text(self.read(path), name), name

    def error(self, path: str, message: str) -> TinynetError:
        return TinynetError(f"{self.files.show(path)}: {message}")

    def check_name(self, path: str) -> None:
        """An image's name becomes an LMDB's key, a line of a submission, a word of a message."""
        if not path.isprintable():
            shown = path.encode("unicode_escape").decode()
            raise self.error(shown, "its name is not printable UTF-8; rename it")

    def __enter__(self: _Set) -> _Set:
        return self

    def __exit__(self, *raised: object) -> None:
        self.files.close()
