"""Reads the Tiny ImageNet-200 layout: which images there are, with their labels and boxes.

::

    wnids.txt                          the classes, one wnid per line, in class order
    words.txt                          their names (may be missing)
    train/WNID/images/*.JPEG           training images by class
    train/WNID/WNID_boxes.txt          their bounding boxes (may be missing)
    val/images/*.JPEG  val/val_annotations.txt
    test/images/*.JPEG                 without labels, unless test/test_annotations.txt exists

Two common variations are read as well: validation or test images sorted into class folders like
training images, and class folders without an ``images`` folder, ``val/WNID/*.JPEG``.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from tinynet.dataset.annotations import (
    Box,
    parse_boxes,
    parse_labels,
    parse_wnids,
    parse_words,
)
from tinynet.dataset.image_set import IMAGE_SIZE, UNKNOWN, ImageFile, ImageSet
from tinynet.dataset.paths import SPLITS, DataPaths
from tinynet.dataset.source_files import open_files
from tinynet.errors import TinynetError

_Parsed = TypeVar("_Parsed")


class TinyImagenet(ImageSet):
    """A data set in this layout, a folder or a zip.

    ``boxes``: whether to parse the boxes of the training images; otherwise they are None.  Raises
    TinynetError for the first thing that is missing or contradictory.
    """

    def __init__(self, path: Path | str, *, boxes: bool = True) -> None:
        super().__init__(open_files(Path(path)))
        self._boxes = boxes
        try:
            self._read()
        except BaseException:
            self.files.close()
            raise

    def _read(self) -> None:
        self._listing = self.files.listing()
        if "wnids.txt" not in self._listing:
            raise self._no_layout()
        self.wnids = self._parsed("wnids.txt", parse_wnids)
        words = self._parsed("words.txt", parse_words) if "words.txt" in self._listing else {}
        self.class_names = [words.get(wnid) or wnid for wnid in self.wnids]
        self._index = {wnid: index for index, wnid in enumerate(self.wnids)}
        for split in ("train", "val"):
            if f"{split}/" not in self._listing:
                raise self.error(split, "no such folder; the layout needs train and val")
        self._listed = self._by_folder()
        self.images = {
            "train": self._train(),
            "val": self._mixed("val"),
            "test": self._mixed("test") if "test/" in self._listing else [],
        }

    def _by_folder(self) -> dict[str, list[str]]:
        """The names of the images in each folder that may have images."""
        listed: dict[str, list[str]] = defaultdict(list)
        for path in self._listing:
            folder, _, name = path.rpartition("/")
            # desktops leave hidden files
            if not name or name.startswith("."):
                continue
            in_class_folder = folder.count("/") == 1 and not name.endswith(".txt")
            if folder.endswith("/images") or in_class_folder:
                self.check_name(path)
                listed[folder].append(name)
        return listed

    def _train(self) -> list[ImageFile]:
        self._check_class_folders("train")
        images = []
        for wnid in sorted(self.wnids):
            paths = self._of_class("train", wnid)
            if not paths:
                raise self.error(
                    f"train/{wnid}/images",
                    f"class {wnid} of wnids.txt has no training image; "
                    "add some or take it out of wnids.txt",
                )
            boxes = self._boxes_of(wnid)
            images += [
                ImageFile(path, self._index[wnid], boxes.get(path.rpartition("/")[2]))
                for path in paths
            ]
        return images

    def _boxes_of(self, wnid: str) -> dict[str, Box]:
        """The boxes of a class by image name; lines for images that do not exist are harmless."""
        path = f"train/{wnid}/{wnid}_boxes.txt"
        if path not in self._listing:
            return {}
        if not self._boxes:
            self.read(path)  # for its digest: the file belongs to the data set all the same
            return {}
        return parse_boxes(*self.text(path), IMAGE_SIZE)

    def _of_class(self, split: str, wnid: str) -> list[str]:
        """The paths of a class's images, by name."""
        folder = f"{split}/{wnid}"
        paths = [f"{folder}/images/{name}" for name in self._listed[f"{folder}/images"]]
        paths += [f"{folder}/{name}" for name in self._listed[folder]]
        return sorted(paths, key=_by_name)

    def _check_class_folders(self, split: str) -> None:
        for path in sorted(self._listing):
            start, _, rest = path.partition("/")
            wnid, slash, _ = rest.partition("/")
            mixed = split != "train" and wnid == "images"
            known = mixed or wnid in self._index
            if start == split and slash and wnid[0] != "." and not known:
                raise self.error(
                    f"{split}/{wnid}", "is not in wnids.txt; add it there or remove it"
                )

    def _mixed(self, split: str) -> list[ImageFile]:
        """The images of val or test, which are in one folder or sorted into class folders."""
        if self._listed[f"{split}/images"]:
            return self._annotated(split)
        if any(self._of_class(split, wnid) for wnid in self.wnids):
            return self._sorted(split)
        raise self.error(f"{split}/images", "holds no image")

    def _annotated(self, split: str) -> list[ImageFile]:
        folder = f"{split}/images"
        names = sorted(self._listed[folder])
        annotations = f"{split}/{split}_annotations.txt"
        if annotations not in self._listing:
            if split == "test":
                return [ImageFile(f"{folder}/{name}", UNKNOWN, None) for name in names]
            raise self.error(annotations, "no such file")
        labels = self._labels(annotations)
        # a subset of the classes may have kept the lines of the others
        missing = sorted({name for name in labels if labels[name] in self._index} - set(names))
        if missing:
            more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
            how = _other_form(missing[0], names)
            raise self.error(annotations, f"names {missing[0]}{more}, not in {folder}{how}")
        images = []
        for name in names:
            if name not in labels:
                raise self.error(annotations, f"does not name {folder}/{name}")
            if labels[name] not in self._index:
                raise self.error(
                    annotations, f"gives {name} the wnid {labels[name]}, not in wnids.txt"
                )
            images.append(ImageFile(f"{folder}/{name}", self._index[labels[name]], None))
        return images

    def _sorted(self, split: str) -> list[ImageFile]:
        """The images of class folders; annotations beside them must not contradict them."""
        self._check_class_folders(split)
        annotations = f"{split}/{split}_annotations.txt"
        labels = self._labels(annotations) if annotations in self._listing else {}
        images = []
        for wnid in self.wnids:
            for path in self._of_class(split, wnid):
                name = path.rpartition("/")[2]
                if labels.get(name, wnid) != wnid:
                    raise self.error(
                        annotations, f"gives {name} the wnid {labels[name]}, but it is {path}"
                    )
                images.append(ImageFile(path, self._index[wnid], None))
        return sorted(images, key=lambda image: _by_name(image.path))

    def _labels(self, annotations: str) -> dict[str, str]:
        """The wnid of each image in an annotation file; its boxes are not used."""
        text, name = self.text(annotations)
        found = parse_labels(text, name, IMAGE_SIZE)
        return {image: wnid for image, (wnid, _) in found.items()}

    def _parsed(self, path: str, parse: Callable[[str, str], _Parsed]) -> _Parsed:
        return parse(*self.text(path))

    def _no_layout(self) -> TinynetError:
        """The error for a folder without wnids.txt; it names what the folder seems to be."""
        folder = self.files.path
        databases = {f"{DataPaths(folder).lmdb(split).name}/" for split in SPLITS}
        if databases & self._listing or "data.mdb" in self._listing:
            whole = folder.absolute().parent if "data.mdb" in self._listing else folder
            return TinynetError(
                f"{folder}: is converted already, and no images are in it; 'tinynet generate "
                f"--data {whole}' takes it as it is"
            )
        message = "no such file, so this is not a Tiny ImageNet layout"
        below = sorted(path for path in self._listing if (folder / path / "wnids.txt").is_file())
        if below:
            message += f"; {folder / below[0]} is one"
        elif "train/" in self._listing:
            message += "; write it: the name of each folder in train, one a line, in class order"
        return self.error("wnids.txt", message)


def _by_name(path: str) -> tuple[str, str]:
    return path.rpartition("/")[2], path


def _other_form(name: str, there: Iterable[str]) -> str:
    """A hint where a name is there in another Unicode form, as on macOS; else ""."""
    wanted = unicodedata.normalize("NFC", name)
    if all(unicodedata.normalize("NFC", each) != wanted for each in there):
        return ""
    return ", but in another form of Unicode: rename the files (convmv -f utf8 -t utf8 --nfc)"
