"""Reads the Tiny ImageNet-200 layout: which images there are, and what is known of each.

::

    wnids.txt                          the classes, one wnid a line, in class order
    words.txt                          their names (may be missing)
    train/WNID/images/*.JPEG           training images by class
    train/WNID/WNID_boxes.txt          their bounding boxes (may be missing)
    val/images/*.JPEG  val/val_annotations.txt
    test/images/*.JPEG                 without labels, unless test/test_annotations.txt is there
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from tinynet.dataset.annotations import (
    Box,
    decode_text,
    parse_boxes,
    parse_labels,
    parse_wnids,
    parse_words,
)
from tinynet.dataset.paths import SPLITS, DataPaths
from tinynet.dataset.source_files import Files, open_files
from tinynet.errors import TinynetError

IMAGE_SIZE = 64  # pixels, width and height
UNKNOWN = -1  # label of an image whose class is not known


class ImageFile(NamedTuple):
    """One image file, ``path`` within the data set; ``label`` is its class index or UNKNOWN."""

    path: str
    label: int
    box: Box | None

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


class TinyImagenet:
    """A data set whose structure has been checked; images are not read yet.

    ``images[split]`` are sorted by path.  A context manager, since a zip stays open.
    Raises TinynetError at the first thing that is missing or contradicts another.
    """

    def __init__(self, path: Path | str) -> None:
        self.files: Files = open_files(Path(path))
        self.text_digests: dict[str, str] = {}  # SHA-256 of every annotation file that was read
        try:
            self._read()
        except BaseException:
            self.files.close()
            raise

    def _read(self) -> None:
        listing = self.files.listing()
        if "wnids.txt" not in listing:
            raise self._no_layout(listing)
        self.wnids = parse_wnids(*self._text("wnids.txt"))
        words = parse_words(*self._text("words.txt")) if "words.txt" in listing else {}
        self.class_names = [words.get(wnid) or wnid for wnid in self.wnids]
        self._index = {wnid: index for index, wnid in enumerate(self.wnids)}
        for split in SPLITS:
            if f"{split}/" not in listing:
                raise self._error(split, f"no such folder; the layout needs {', '.join(SPLITS)}")
        # every image by the images folder that holds it
        listed: dict[str, list[str]] = defaultdict(list)
        for path in listing:
            folder, _, name = path.rpartition("/")
            # hidden files are leavings of a desktop
            if folder.endswith("/images") and not name.startswith(".") and name:
                # it becomes an LMDB's key, a line of a submission and a word of a message
                if not name.isprintable():
                    shown = path.encode("unicode_escape").decode()
                    raise self._error(shown, "its name is not printable UTF-8; rename it")
                listed[folder].append(name)
        self.images: dict[str, list[ImageFile]] = {
            "train": self._train(listing, listed),
            "val": self._annotated("val", listing, listed),
            "test": self._annotated("test", listing, listed),
        }
        self.labelled = {
            split: all(image.label != UNKNOWN for image in self.images[split]) for split in SPLITS
        }

    def _train(self, listing: set[str], listed: dict[str, list[str]]) -> list[ImageFile]:
        for path in sorted(listing):
            split, _, rest = path.partition("/")
            wnid, slash, _ = rest.partition("/")
            if split == "train" and slash and wnid[0] != "." and wnid not in self._index:
                raise self._error(f"train/{wnid}", "is not in wnids.txt; add it there or remove it")
        images = []
        for wnid in sorted(self.wnids):
            folder = f"train/{wnid}/images"
            if not listed[folder]:
                raise self._error(
                    folder,
                    f"class {wnid} of wnids.txt has no training image; "
                    "add some or take it out of wnids.txt",
                )
            boxes: dict[str, Box] = {}
            boxes_file = f"train/{wnid}/{wnid}_boxes.txt"
            if boxes_file in listing:
                boxes = parse_boxes(*self._text(boxes_file), IMAGE_SIZE)
                self._check_named(boxes_file, boxes, listed[folder], folder)
            images += [
                ImageFile(f"{folder}/{name}", self._index[wnid], boxes.get(name))
                for name in sorted(listed[folder])
            ]
        return images

    def _annotated(
        self, split: str, listing: set[str], listed: dict[str, list[str]]
    ) -> list[ImageFile]:
        folder = f"{split}/images"
        names = sorted(listed[folder])
        if not names:
            raise self._error(folder, "holds no image")
        annotations = f"{split}/{split}_annotations.txt"
        if annotations not in listing:
            if split == "test":
                return [ImageFile(f"{folder}/{name}", UNKNOWN, None) for name in names]
            raise self._error(annotations, "no such file")
        labels = parse_labels(*self._text(annotations), IMAGE_SIZE)
        self._check_named(annotations, labels, names, folder)
        images = []
        for name in names:
            if name not in labels:
                raise self._error(annotations, f"does not name {folder}/{name}")
            wnid, box = labels[name]
            if wnid not in self._index:
                raise self._error(annotations, f"gives {name} the wnid {wnid}, not in wnids.txt")
            images.append(ImageFile(f"{folder}/{name}", self._index[wnid], box))
        return images

    def _check_named(
        self, annotations: str, named: Iterable[str], names: list[str], folder: str
    ) -> None:
        missing = sorted(set(named) - set(names))
        if missing:
            more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
            raise self._error(annotations, f"names {missing[0]}{more}, not in {folder}")

    def _text(self, path: str) -> tuple[str, str]:
        """The text of an annotation file, and its name for errors."""
        name = self.files.show(path)
        try:
            data = self.files.read(path)
        except OSError as error:
            raise TinynetError(f"{name}: {error.strerror or error}") from None
        self.text_digests[path] = hashlib.sha256(data).hexdigest()
        return decode_text(data, name), name

    def _no_layout(self, listing: set[str]) -> TinynetError:
        """What else it is, or where below it a data set lies."""
        folder = self.files.path
        databases = {f"{DataPaths(folder).lmdb(split).name}/" for split in SPLITS}
        if databases & listing or "data.mdb" in listing:
            whole = folder.absolute().parent if "data.mdb" in listing else folder
            return TinynetError(
                f"{folder}: is converted already, and no images are in it; 'tinynet generate "
                f"--data {whole}' takes it as it is"
            )
        message = "no such file, so this is no Tiny ImageNet layout"
        below = sorted(path for path in listing if (folder / path / "wnids.txt").is_file())
        if below:
            message += f"; {folder / below[0]} is one"
        return self._error("wnids.txt", message)

    def _error(self, path: str, message: str) -> TinynetError:
        return TinynetError(f"{self.files.show(path)}: {message}")

    def __enter__(self) -> TinyImagenet:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.files.close()
