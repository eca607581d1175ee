"""The interface of a data set for conversion and verification, whatever form it is stored in."""

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
    """An image file; ``path`` is that within the data set, ``label`` its class index or UNKNOWN."""

    path: str
    label: int
    box: Box | None

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


class ImageSet:
    """A data set whose structure has been checked, but whose images have not been read.

    ``files`` reads the images.  ``images[split]`` are ordered for the shuffle to start from:
    training images by wnid and name, others by name; ``test`` may be empty.  A class index is a
    position in ``wnids`` and ``class_names``.  ``text_digests`` has the SHA-256 of every annotation
    file read.  It is a context manager, since it may keep a file open.
    """

    wnids: list[str]
    class_names: list[str]
    images: dict[str, list[ImageFile]]

    def __init__(self, files: Files) -> None:
        self.files = files
        self.text_digests: dict[str, str] = {}

    @property
    def labelled(self) -> dict[str, bool]:
        """For each split, whether it has images and a class for each of them."""
        return {
            split: bool(self.images[split])
            and all(image.label != UNKNOWN for image in self.images[split])
            for split in SPLITS
        }

    def read(self, path: str) -> bytes:
        """Read an annotation file and record its hash in ``text_digests``; raises TinynetError."""
        try:
            data = self.files.read(path)
        except OSError as error:
            raise self.error(path, error.strerror or str(error)) from None
        self.text_digests[path] = hashlib.sha256(data).hexdigest()
        return data

    def text(self, path: str) -> tuple[str, str]:
        """The text of an annotation file, and its name for error messages."""
        name = self.files.show(path)
        return decode_text(self.read(path), name), name

    def error(self, path: str, message: str) -> TinynetError:
        return TinynetError(f"{self.files.show(path)}: {message}")

    def check_name(self, path: str) -> None:
        """Raise TinynetError for a name that is not printable.

        Names become LMDB keys, lines of a submission file, and parts of messages.
        """
        if not path.isprintable():
            shown = path.encode("unicode_escape").decode()
            raise self.error(shown, "its name is not printable UTF-8; rename it")

    def __enter__(self: _Set) -> _Set:
        return self

    def __exit__(self, *raised: object) -> None:
        self.files.close()
