"""Convert the data set of ``layouts`` into other common forms."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from tests.dataset.layouts import WNIDS


def sort_validation(root: Path, inner: str = "") -> None:
    """Move val/images/* to val/WNID/, as the usual script does, and leave the rest."""
    for line in (root / "val" / "val_annotations.txt").read_text().splitlines():
        name, wnid = line.split("\t")[:2]
        folder = root / "val" / wnid / inner
        folder.mkdir(parents=True, exist_ok=True)
        (root / "val" / "images" / name).rename(folder / name)


def flatten_training(root: Path) -> None:
    for path in (root / "train").glob("*/images/*"):
        path.rename(path.parent.parent / path.name)
    for folder in (root / "train").glob("*/images"):
        folder.rmdir()


def rename_images(root: Path, ending: str) -> None:
    """Give every image, and every line about it, another suffix; a .png gets PNG content."""
    for path in root.glob("**/images/*"):
        if ending.lower() == ".png":
            with Image.open(path) as image:
                image.load()
            image.save(path, "PNG")
        path.rename(path.with_suffix(ending))
    for path in root.glob("*/**/*.txt"):
        path.write_text(path.read_text().replace(".JPEG", ending))


def keep_a_subset(root: Path) -> None:
    """Remove an image of each class and leave the boxes unchanged."""
    for wnid in WNIDS:
        (root / "train" / wnid / "images" / f"{wnid}_3.JPEG").unlink()


FORMS: dict[str, Callable[[Path], object]] = {
    "validation in class folders": sort_validation,
    "validation in class folders with images": lambda root: sort_validation(root, "images"),
    "all in class folders": lambda root: (sort_validation(root), flatten_training(root)),
    "no annotations left": lambda root: (
        sort_validation(root),
        shutil.rmtree(root / "val" / "images"),
        (root / "val" / "val_annotations.txt").unlink(),
    ),
}


def write_parquet(
    root: Path,
    to: Path,
    *,
    classes: list[str] | None = None,
    paths: bool = True,
    struct: bool = True,
    per_file: int = 5,
    files: str = "data/{split}-{i:05d}-of-00003-ab12.parquet",
    val: str = "valid",
    metadata: bool = True,
) -> Path:
    """The layout at ``root`` as a hub ships it: no wnids.txt, classes sorted in the metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    classes = sorted(WNIDS) if classes is None else classes
    labels = {}
    for line in (root / "val" / "val_annotations.txt").read_text().splitlines():
        name, wnid = line.split("\t")[:2]
        labels[name] = wnid
    for split, folder in (("train", "train"), (val, "val"), ("test", "test")):
        rows: list[dict[str, Any]] = []
        for path in sorted((root / folder).glob("**/*.JPEG")):
            wnid = path.parts[-3] if folder == "train" else labels.get(path.name)
            image = {"bytes": path.read_bytes(), "path": path.name if paths else None}
            label = classes.index(wnid) if wnid else -1
            rows.append({"image": image if struct else image["bytes"], "label": label})
        for i in range(0, len(rows), per_file):
            kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
            schema = pa.schema([("image", kind if struct else pa.binary()), ("label", pa.int64())])
            feature = {"names": classes, "_type": "ClassLabel"}
            info = {"info": {"features": {"image": {"_type": "Image"}, "label": feature}}}
            if metadata:
                schema = schema.with_metadata({"huggingface": json.dumps(info)})
            file = to / files.format(split=split, i=i // per_file)
            file.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.Table.from_pylist(rows[i : i + per_file], schema), file)
    return to
