"""Checks a data set image by image, or a converted folder record by record."""

from __future__ import annotations

import hashlib
import sys
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from tinynet.caffeformat.datum import decode_datum
from tinynet.caffeformat.lmdb import open_store
from tinynet.caffeformat.mean import MeanSum, channel_means, read_mean
from tinynet.dataset.convert import CONTENTS
from tinynet.dataset.decoding import decode_all
from tinynet.dataset.manifest import Manifest, read_manifest, record_key
from tinynet.dataset.open_set import open_set
from tinynet.dataset.paths import SPLITS, DataPaths
from tinynet.errors import TinynetError


@dataclass
class VerificationReport:
    """The result of a verification; ``problems`` is empty if there are none."""

    kind: str  # "data set" or "converted data set"
    classes: int
    counts: dict[str, int]
    labelled: dict[str, bool]
    grayscale: dict[str, int] = field(default_factory=dict)  # only for a data set
    boxes: int = 0  # how many training images have one; only for a data set
    problems: list[str] = field(default_factory=list)


def is_converted(path: Path | str) -> bool:
    """Whether ``path`` looks like the folder of a conversion, finished or not."""
    folder = Path(path)
    return folder.is_dir() and any((folder / name).exists() for name in CONTENTS)


def verify_dataset(path: Path | str, jobs: int | None = None) -> VerificationReport:
    """Decode every image of a data set; those that cannot be used are reported as problems.

    Raises TinynetError if the structure of the data set is wrong.
    """
    with open_set(path, boxes=True) as dataset:
        report = VerificationReport(
            kind="data set",
            classes=len(dataset.wnids),
            counts={split: len(dataset.images[split]) for split in SPLITS},
            labelled=dataset.labelled,
            boxes=sum(image.box is not None for image in dataset.images["train"]),
        )
        with _progress(sum(report.counts.values())) as progress:
            for split in SPLITS:
                report.grayscale[split] = 0
                with closing(decode_all(dataset.files, dataset.images[split], jobs=jobs)) as all_:
                    for item in all_:
                        progress.update()
                        report.grayscale[split] += item.was_gray
                        if item.pixels is None:
                            report.problems.append(f"{item.image.path} {item.reason}")
    return report


def verify_converted(folder: Path | str) -> VerificationReport:
    """Compare the LMDBs and the mean of a converted folder to its manifest.

    Raises TinynetError if the manifest is missing (the conversion was not finished) or damaged.
    """
    manifest = read_manifest(folder)
    paths = DataPaths(Path(folder))
    report = VerificationReport(
        kind="converted data set",
        classes=manifest.classes,
        counts=manifest.counts,
        labelled=manifest.labelled,
    )
    mean = MeanSum(manifest.shape)
    with _progress(sum(manifest.counts.values())) as progress:
        for split in SPLITS:
            try:
                problem = _verify_store(paths.lmdb(split), split, manifest, mean, progress)
            except TinynetError as error:
                problem = str(error)
            if problem:
                report.problems.append(problem)
    try:
        report.problems += _verify_mean(paths.mean_binaryproto, manifest, mean)
    except (TinynetError, OSError) as error:
        report.problems.append(str(error))
    return report


def _verify_store(path: Path, split: str, manifest: Manifest, mean: MeanSum, progress: tqdm) -> str:
    """The first thing that is wrong with the LMDB of a split; "" if nothing is."""
    digest = hashlib.sha256()
    names = manifest.names[split]
    with open_store(path) as store:
        if len(store) != manifest.counts[split]:
            return f"{path}: holds {len(store)} records, the manifest says {len(names)}"
        for number, (key, value) in enumerate(store.records()):
            progress.update()
            expected = record_key(number, names[number])
            if key != expected:
                return f"{path}: record {number} has the key {key!r}, not {expected!r}"
            pixels, label = decode_datum(value)
            if pixels.shape != manifest.shape:
                return f"{path}: record {number} has the shape {pixels.shape}"
            if not 0 <= label < manifest.classes:
                return f"{path}: record {number} has the label {label}"
            digest.update(key)
            digest.update(value)
            if split == "train":
                mean.add(pixels)
    if digest.hexdigest() != manifest.digests[split]:
        return f"{path}: its records are not those that were written (SHA-256 differs)"
    return ""


def _verify_mean(path: Path, manifest: Manifest, mean: MeanSum) -> list[str]:
    image = read_mean(path)
    if mean.count != manifest.counts["train"]:
        return []  # the training records are wrong, which has been reported already
    if not np.array_equal(image, mean.image()):
        return [f"{path}: is not the mean of the training records"]
    if manifest.mean_values != channel_means(image):
        return [f"{path}: its channels' means are not the manifest's mean_values"]
    return []


def _progress(total: int) -> tqdm:
    return tqdm(total=total, unit=" images", file=sys.stderr, disable=None, leave=False)
