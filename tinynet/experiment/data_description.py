"""Describes the data set that nets are generated for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from tinynet.dataset.manifest import read_manifest
from tinynet.dataset.paths import DATA_ROOT, DataPaths
from tinynet.errors import TinynetError, UsageError


@dataclass(frozen=True)
class DataSet:
    """Sizes, mean and paths of a converted data set; the defaults are Tiny ImageNet-200's.

    The mean (B, G, R; pixels 0 to 255) is over all 64x64 pixels of the 100,000 training images,
    decoded by Pillow, with grayscale images taken as RGB: the sums of R, G and B are
    50,159,788,269, 46,799,705,873 and 41,518,460,411.
    """

    classes: int = 200
    train_images: int = 100_000
    val_images: int = 10_000
    image_size: int = 64
    mean_values: tuple[float, float, float] = (101.363, 114.257, 122.460)
    paths: DataPaths = DataPaths(DATA_ROOT)


TRAIN_PER_CLASS, VAL_PER_CLASS = 500, 50  # images per class of Tiny ImageNet-200


def describe(folder: Path | None, classes: int | None = None) -> DataSet:
    """Describe the data set that nets are generated for.

    If ``folder`` has a manifest, everything comes from it, and ``classes`` must agree with it.  A
    ``folder`` without a manifest (the data is elsewhere) needs ``classes``: so many whole classes
    of Tiny ImageNet.  Without ``folder``, the default folder's manifest is used, if it exists and
    has ``classes`` classes (None: any number); otherwise the figures are those of Tiny
    ImageNet-200, or of ``classes`` of its classes.

    Mean values are rounded to three decimals, so that the same images always give the same
    prototxt.  Raises UsageError if ``folder`` and ``classes`` contradict each other, TinynetError
    for a data set on which our nets cannot be trained.
    """
    paths = DataPaths(folder or DATA_ROOT)
    if not paths.manifest.exists():
        if folder is not None and classes is None:
            state = "holds no manifest.json" if folder.is_dir() else "no such folder"
            raise UsageError(
                f"--data {folder}: {state}, so its classes and sizes are unknown; make it with "
                f"'tinynet data convert DATASET --out {folder}', or add --classes N to generate "
                "for data that lies elsewhere"
            )
        return _of_tiny_imagenet(paths, classes)
    known = _from_manifest(paths)
    if classes in (None, known.classes):
        return known
    if folder is None:
        return _of_tiny_imagenet(paths, classes)
    raise UsageError(
        f"--classes {classes}: {folder} has {known.classes} classes, which a net for it must have "
        "too; leave --classes out"
    )


def _of_tiny_imagenet(paths: DataPaths, classes: int | None) -> DataSet:
    """Tiny ImageNet-200, or ``classes`` whole classes of it, converted to ``paths``."""
    whole = DataSet(paths=paths)
    if classes is None:
        return whole
    return replace(
        whole,
        classes=classes,
        train_images=classes * TRAIN_PER_CLASS,
        val_images=classes * VAL_PER_CLASS,
    )


def _from_manifest(paths: DataPaths) -> DataSet:
    manifest = read_manifest(paths.root)
    channels, height, width = manifest.shape
    if channels != 3 or height != width:
        raise TinynetError(
            f"{paths.manifest}: images are {channels}x{height}x{width}; the stages need square "
            "ones of 3 channels"
        )
    for split in ("train", "val"):
        if not manifest.counts[split]:
            raise TinynetError(f"{paths.manifest}: no {split} images, and a solver needs some")
    blue, green, red = (round(value, 3) for value in manifest.mean_values)
    return DataSet(
        classes=len(manifest.wnids),
        train_images=manifest.counts["train"],
        val_images=manifest.counts["val"],
        image_size=height,
        mean_values=(blue, green, red),
        paths=paths,
    )
