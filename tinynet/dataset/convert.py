"""Converts a data set into LMDBs that Caffe's Data layer reads, their mean, and a manifest."""

from __future__ import annotations

import hashlib
import random
import sys
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from tinynet.caffeformat.datum import encode_datum
from tinynet.caffeformat.lmdb import write_store
from tinynet.caffeformat.mean import MeanSum, channel_means, write_mean
from tinynet.dataset.decoding import Decoded, decode_all
from tinynet.dataset.image_set import IMAGE_SIZE, UNKNOWN, ImageFile, ImageSet
from tinynet.dataset.manifest import Manifest, record_key, write_manifest
from tinynet.dataset.open_set import open_set
from tinynet.dataset.paths import SPLITS, DataPaths
from tinynet.dataset.whole_folder import check_absent, require_space, whole_folder
from tinynet.errors import TinynetError

SHAPE = (3, IMAGE_SIZE, IMAGE_SIZE)
CONTENTS = frozenset({"train_lmdb", "val_lmdb", "test_lmdb", "mean.binaryproto", "manifest.json"})
# LMDB stores a Datum of 3·64·64 bytes in four pages of its own, and needs a few more for its tree.
_BYTES_PER_RECORD = 4 * 4096 + 128
_NAMED_IN_ERROR = 5


@dataclass(frozen=True)
class Options:
    """The options of a conversion; all of them are recorded in the manifest."""

    seed: int = 1
    crop_to_box: bool = False
    skip_bad: bool = False


@dataclass
class _Tally:
    """What is collected about a split while its records are written."""

    names: list[str] = field(default_factory=list)
    labels: set[int] = field(default_factory=set)
    bad: list[str] = field(default_factory=list)  # path and reason
    skipped: list[str] = field(default_factory=list)  # path
    file_digests: dict[str, str] = field(default_factory=dict)
    digest: str = ""


def convert(
    source: Path | str,
    out: Path | str,
    options: Options = Options(),
    *,
    overwrite: bool = False,
    jobs: int | None = None,
) -> Manifest:
    """Convert the data set ``source``, in any form that ``open_set`` opens, into a folder ``out``.

    Images become uint8 BGR Datums under the keys ``NNNNNNNN_NAME``, numbered in an order shuffled
    by ``options.seed``; the same seed always gives the same files.  ``out`` appears only once
    everything is written.  Raises TinynetError for anything wrong with the data set and, unless
    ``options.skip_bad``, for images that cannot be used.
    """
    out = Path(out)
    with open_set(source, boxes=options.crop_to_box) as dataset:
        check_absent(out, overwrite, CONTENTS)
        if options.crop_to_box:
            _check_boxes(dataset)
        total = sum(len(images) for images in dataset.images.values())
        with whole_folder(out, overwrite, CONTENTS) as folder:
            require_space(folder, out, total * _BYTES_PER_RECORD, f"{total} images need")
            paths = DataPaths(folder)
            mean = MeanSum(SHAPE)
            tallies = {split: _Tally() for split in SPLITS}
            with tqdm(total=total, unit=" images", file=sys.stderr, disable=None) as progress:
                for split in SPLITS:
                    progress.set_description(split)
                    order = shuffled(dataset.images[split], split, options.seed)
                    records = _records(dataset, split, order, options, jobs, tallies[split], mean)
                    with closing(records):
                        write_store(paths.lmdb(split), _counted(records, progress))
            _check_result(dataset, tallies, options)
            write_mean(mean.image(), paths.mean_binaryproto)
            manifest = _manifest(dataset, tallies, mean, options)
            write_manifest(manifest, folder)
    return manifest


def shuffled(images: list[ImageFile], split: str, seed: int) -> list[ImageFile]:
    """The order of a split's records; a seed gives the same order on every machine."""
    order = list(images)
    random.Random(f"{split} {seed}").shuffle(order)
    return order


def _records(
    dataset: ImageSet,
    split: str,
    order: list[ImageFile],
    options: Options,
    jobs: int | None,
    tally: _Tally,
    mean: MeanSum,
) -> Generator[tuple[bytes, bytes] | None, None, None]:
    """Yield a record for each image in order, or None for an image that is skipped."""
    digest = hashlib.sha256()
    crop = options.crop_to_box and split == "train"
    with closing(decode_all(dataset.files, order, crop_to_box=crop, jobs=jobs)) as decoded:
        for item in decoded:
            tally.file_digests[item.image.path] = item.digest
            if item.pixels is None:
                tally.bad.append(f"{item.image.path} {item.reason}")
                tally.skipped.append(item.image.path)
                yield None
                continue
            key, value = _record(item, len(tally.names))
            if split == "train":
                mean.add(item.pixels)
            digest.update(key)
            digest.update(value)
            tally.names.append(item.image.name)
            tally.labels.add(item.image.label)
            yield key, value
    tally.digest = digest.hexdigest()


def _record(item: Decoded, number: int) -> tuple[bytes, bytes]:
    assert item.pixels is not None
    label = item.image.label
    return (
        record_key(number, item.image.name),
        encode_datum(item.pixels, 0 if label == UNKNOWN else label),
    )


def _counted(
    records: Iterator[tuple[bytes, bytes] | None], progress: tqdm
) -> Iterator[tuple[bytes, bytes]]:
    for record in records:
        progress.update()
        if record is not None:
            yield record


def _check_boxes(dataset: ImageSet) -> None:
    missing = [image.path for image in dataset.images["train"] if image.box is None]
    if missing:
        raise TinynetError(
            f"{dataset.files.show(missing[0])}: has no box in its class's boxes.txt, nor have "
            f"{len(missing) - 1} others; convert without --crop-to-box"
        )


def _check_result(dataset: ImageSet, tallies: dict[str, _Tally], options: Options) -> None:
    bad = [line for split in SPLITS for line in tallies[split].bad]
    if bad and not options.skip_bad:
        raise TinynetError(
            f"{dataset.files.path}: {bad_images(bad)}; repair or remove them, or pass --skip-bad"
        )
    for split in SPLITS:
        if dataset.images[split] and not tallies[split].names:
            raise TinynetError(f"{dataset.files.show(split)}: no image of it can be used")
    for label, wnid in enumerate(dataset.wnids):
        if label not in tallies["train"].labels:
            raise TinynetError(
                f"{dataset.files.show(f'train/{wnid}')}: no image of this class can be used"
            )


def bad_images(bad: list[str]) -> str:
    """A message that says how many images are bad, and names the first few."""
    named = ", ".join(bad[:_NAMED_IN_ERROR])
    more = f", and {len(bad) - _NAMED_IN_ERROR} more" if len(bad) > _NAMED_IN_ERROR else ""
    count = "1 image" if len(bad) == 1 else f"{len(bad)} images"
    return f"{count} cannot be used: {named}{more}"


def _manifest(
    dataset: ImageSet, tallies: dict[str, _Tally], mean: MeanSum, options: Options
) -> Manifest:
    b, g, r = channel_means(mean.image())
    return Manifest(
        counts={split: len(tallies[split].names) for split in SPLITS},
        wnids=dataset.wnids,
        class_names=dataset.class_names,
        shape=SHAPE,
        mean_values=(b, g, r),
        seed=options.seed,
        source=dataset.files.name,
        source_sha256=_source_digest(dataset, tallies),
        names={split: tallies[split].names for split in SPLITS},
        labelled=dataset.labelled,
        digests={split: tallies[split].digest for split in SPLITS},
        options={"crop_to_box": options.crop_to_box, "skip_bad": options.skip_bad},
        skipped=[path for split in SPLITS for path in tallies[split].skipped],
    )


def _source_digest(dataset: ImageSet, tallies: dict[str, _Tally]) -> str:
    digests = dict(dataset.text_digests)
    for tally in tallies.values():
        digests.update(tally.file_digests)
    total = hashlib.sha256()
    for path in sorted(digests):
        total.update(f"{path}\0{digests[path]}\n".encode())
    return total.hexdigest()
