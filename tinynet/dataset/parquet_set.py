"""Reads data sets in parquet files, the form in which dataset hubs distribute Tiny ImageNet.

::

    data/train-00000-of-00001-1359597a978bc4fa.parquet      or train/0000.parquet, default/train/…
    data/valid-00000-of-00001-70d52db3c749a935.parquet      or val-…, validation-…
    data/test-….parquet                                     may be missing
    wnids.txt                                               the classes, if the files name none
    words.txt                                               their names (may be missing)

A row has an ``image`` (the encoded bytes, alone or as ``bytes`` of a struct whose ``path`` is the
name) and a ``label``, a class index.  The schema's metadata lists the classes under "huggingface",
as the names of a ClassLabel.  If there is a ``wnids.txt`` with the same classes, its order counts,
so that every form of a data set gives the same labels.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tinynet.dataset.annotations import parse_wnids, parse_words
from tinynet.dataset.image_set import UNKNOWN, ImageFile, ImageSet
from tinynet.dataset.paths import SPLITS
from tinynet.dataset.source_files import Files
from tinynet.errors import TinynetError

_SPLIT_OF = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
_FOLDERS = ("", "data", "default", *_SPLIT_OF, *(f"default/{name}" for name in _SPLIT_OF))


def parquet_files(path: Path) -> list[str]:
    """The parquet files of a data set by their paths within it, sorted; [] if it has none."""
    found = []
    for folder in _FOLDERS:
        if (path / folder).is_dir():
            found += [
                file.relative_to(path).as_posix()
                for file in (path / folder).iterdir()
                if file.suffix == ".parquet" and not file.name.startswith(".")
            ]
    return sorted(found)


def _split_of(file: str) -> str | None:
    """The split that a file's name (valid-00000-of-00001) or its folder's name states, or None."""
    path = Path(file)
    word = path.stem.split("-")[0]
    return _SPLIT_OF.get(word) or _SPLIT_OF.get(path.parent.name)


class ParquetFiles(Files):
    """Images by file, row and name: ``data/train-00000-of-00001.parquet:17/n01_3.JPEG``.

    The encoded images are kept in memory, since a conversion reads them in shuffled order.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, path.resolve().name)
        self._images: dict[str, Any] = {}  # by file: a column of bytes

    def add(self, file: str, images: Any) -> None:
        self._images[file] = images

    def source(self, path: str) -> str | bytes:
        file, colon, rest = path.partition(".parquet:")
        if not colon:
            return f"{self.path}/{path}"  # wnids.txt, words.txt
        image = self._images[f"{file}.parquet"][int(rest.partition("/")[0])].as_py()
        if image is None:
            raise OSError("its row holds no bytes")
        return bytes(image)


class ParquetSet(ImageSet):
    """The data set of a folder with such files.

    Raises TinynetError if they are not a data set, or without pyarrow (the extra ``[parquet]``).
    """

    def __init__(self, path: Path, files: list[str]) -> None:
        self._store = ParquetFiles(path)
        super().__init__(self._store)
        by_split: dict[str, list[str]] = {split: [] for split in SPLITS}
        for file in files:
            split = _split_of(file)
            if split is None:
                raise self.error(file, "its name begins with none of train, valid, test")
            by_split[split].append(file)
        for split in ("train", "val"):
            if not by_split[split]:
                name = "train" if split == "train" else "valid"
                raise TinynetError(f"{path}: has no {name}-….parquet beside {files[0]}")
        tables = {file: self._table(file) for file in files}
        names = self._class_names(tables)
        self._read_classes(names)
        # the class index of every label in the files
        index = {wnid: i for i, wnid in enumerate(self.wnids)}
        self._classes = [index[_as_wnid(name)] for name in names] if names else list(index.values())
        self.images = {split: [] for split in SPLITS}
        for split, images in self.images.items():
            for file in by_split[split]:
                images += self._rows(split, file, tables.pop(file), len(images))
        self._sort()

    def _table(self, file: str) -> Any:
        """Read the columns ``image`` and ``label`` of a file."""
        pyarrow, parquet = _pyarrow(self.files.show(file))
        try:
            opened = parquet.ParquetFile(self.files.path / file)
            columns = opened.schema_arrow.names
            for column in ("image", "label") if _split_of(file) != "test" else ("image",):
                if column not in columns:
                    raise self.error(
                        file, f"has no column {column!r}, but {', '.join(columns) or 'none'}"
                    )
            return opened.read([name for name in ("image", "label") if name in columns])
        except (pyarrow.ArrowException, OSError) as error:
            reason = str(error).strip().split("\n")[0]
            raise self.error(file, f"is not a whole parquet file ({reason})") from None

    def _class_names(self, tables: dict[str, Any]) -> list[str]:
        """The classes in the order of the labels, from the schema's metadata; [] without any."""
        found: list[str] = []
        for file, table in tables.items():
            names = _class_label_names((table.schema.metadata or {}).get(b"huggingface", b"{}"))
            if found and names and names != found:
                raise self.error(file, f"names other classes than {next(iter(tables))}")
            found = found or names
        return found

    def _read_classes(self, names: list[str]) -> None:
        folder = self.files.path
        if (folder / "wnids.txt").is_file():
            self.wnids = parse_wnids(*self.text("wnids.txt"))
            if names and {_as_wnid(name) for name in names} != set(self.wnids):
                raise self.error("wnids.txt", "names other classes than the parquet files do")
        elif names:
            self.wnids = [_as_wnid(name) for name in names]
        else:
            raise TinynetError(
                f"{folder}: its parquet files do not name the classes (no ClassLabel in the "
                "schema's metadata); put a wnids.txt beside them, one wnid a line, in the order of "
                "their labels"
            )
        if "" in self.wnids or len(set(self.wnids)) != len(self.wnids):
            raise TinynetError(f"{folder}: its parquet files name a class twice, or without a name")
        words = {_as_wnid(name): name for name in names}
        if (folder / "words.txt").is_file():
            words.update(parse_words(*self.text("words.txt")))
        self.class_names = [words.get(wnid) or wnid for wnid in self.wnids]

    def _rows(self, split: str, file: str, table: Any, before: int) -> list[ImageFile]:
        """The images of a file; ``before`` images of the split are in other files."""
        pyarrow, _ = _pyarrow(file)
        images, names = self._image_columns(file, table.select(["image"]).flatten())
        self._store.add(file, images)
        labels: list[Any] = [UNKNOWN] * len(table)
        if "label" in table.schema.names:
            if not pyarrow.types.is_integer(table.schema.field("label").type):
                raise self.error(file, f"its labels are {table.schema.field('label').type}")
            labels = table.column("label").to_pylist()
        rows = []
        for row, (label, name) in enumerate(zip(labels, names)):
            if split == "test" and label in (None, UNKNOWN):
                known = UNKNOWN
            elif label is None or not 0 <= label < len(self._classes):
                classes = len(self._classes)
                raise self.error(file, f"row {row} has the label {label}, of {classes} classes")
            else:
                known = self._classes[label]
            name = (
                str(name or "").replace("\\", "/").rpartition("/")[2]
                or f"{split}_{before + row}.JPEG"
            )
            path = f"{file}:{row}/{name}"
            self.check_name(path)
            rows.append(ImageFile(path, known, None))
        return rows

    def _image_columns(self, file: str, flat: Any) -> tuple[Any, list[Any]]:
        """The images' bytes, and their names (None if there are none).

        ``flat``: the column or, if it is a struct, each of its fields, as ``image.bytes``.
        """
        types = _pyarrow(file)[0].types
        columns = flat.schema.names
        for column in ("image.bytes", "image"):
            if column in columns:
                found = flat.column(column)
                if types.is_binary(found.type) or types.is_large_binary(found.type):
                    named = "image.path" in columns
                    names = flat.column("image.path").to_pylist() if named else [None] * len(flat)
                    return found, names
        kinds = ", ".join(f"{field.name}: {field.type}" for field in flat.schema)
        raise self.error(file, f"its column 'image' holds no encoded images, but {kinds}")

    def _sort(self) -> None:
        """Order as in the other forms: training images by wnid and name, others by name."""
        for split, images in self.images.items():
            if split == "train":
                images.sort(key=lambda image: (self.wnids[image.label], image.name, image.path))
            else:
                images.sort(key=lambda image: (image.name, image.path))
            if split == "train":
                missing = set(range(len(self.wnids))) - {image.label for image in images}
                if missing:
                    wnid = self.wnids[min(missing)]
                    raise TinynetError(f"{self.files.path}: class {wnid} has no training image")


def _pyarrow(file: str) -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise TinynetError(
            f"{file}: parquet files need pyarrow, which is not installed: "
            "pip install 'tinynet[parquet]'"
        ) from None
    return pyarrow, pyarrow.parquet


def _class_label_names(metadata: bytes) -> list[str]:
    """The names of the feature ``label``, as the library "datasets" writes them to a file."""
    try:
        label = json.loads(metadata)["info"]["features"]["label"]
        names = label["names"] if label["_type"] == "ClassLabel" else []
    except (ValueError, KeyError, TypeError):
        return []
    return names if isinstance(names, list) and all(isinstance(n, str) for n in names) else []


def _as_wnid(name: str) -> str:
    """A class's name as one word, like a wnid: ``tabby cat`` becomes ``tabby_cat``."""
    return "_".join(name.replace("/", " ").split())
