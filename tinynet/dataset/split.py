"""Splits a converted data set in another way; the result is a converted data set like any other.

Images that are used to choose something (hyperparameters, a subset of an ensemble) must not be
those whose accuracy is reported.  Every command chooses on ``val``; so in a split folder ``val``
has the images to choose on, and ``test`` those to report on, with labels:

tuning       train: the training images less some of each class; val: those; test: all of val
half-val     train: as it was; val: one half of val; test: the other half
fold k of K  train: train and val together, less fold k; val: fold k; test: as it was

Every class is divided in the same proportion.  Images of equal content (the SHA-256 of their
pixels) go to the same part.  An image whose content is also in a split of higher rank (test, then
val, then train) is left out of the lower one and listed in the manifest's ``skipped``.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Union

import numpy as np

from tinynet.caffeformat.datum import decode_datum
from tinynet.caffeformat.lmdb import Store, open_store, write_store
from tinynet.caffeformat.mean import MeanSum, channel_means, write_mean
from tinynet.dataset.convert import CONTENTS
from tinynet.dataset.manifest import Manifest, read_manifest, record_key, write_manifest
from tinynet.dataset.paths import SPLITS, DataPaths
from tinynet.dataset.whole_folder import check_absent, require_space, whole_folder
from tinynet.errors import TinynetError, UsageError

RANKS = ("test", "val", "train")  # an image that is in two of them stays in the first


@dataclass(frozen=True)
class Tuning:
    """Holds out ``fraction`` of each class's training images, at least one, as the tuning set."""

    fraction: float
    seed: int

    def roles(self) -> dict[str, str]:
        return {
            "train": "training images without the tuning images",
            "val": "tuning images, held out of the training images",
            "test": "the validation images, which choose nothing",
        }

    def assign(self, entries: list[Entry]) -> dict[Entry, str]:
        placed = {entry: "test" for entry in entries if entry.split == "val"}
        for label, groups in _groups(entries, ("train",), f"tuning {self.seed}").items():
            count = sum(map(len, groups))
            wanted = max(1, round(self.fraction * count))
            if wanted >= count:
                raise UsageError(
                    f"class {label} has {count} training images: holding {wanted} of them out "
                    "leaves none; hold a smaller part out"
                )
            placed.update(_divide(groups, [wanted, count - wanted], ["val", "train"]))
        return placed


@dataclass(frozen=True)
class HalfVal:
    """Uses one half of each class's validation images to choose, the other half to report."""

    seed: int

    def roles(self) -> dict[str, str]:
        return {
            "train": "the training images",
            "val": "tuning images, one half of the validation images",
            "test": "the other half of the validation images, which chooses nothing",
        }

    def assign(self, entries: list[Entry]) -> dict[Entry, str]:
        placed = {entry: "train" for entry in entries if entry.split == "train"}
        for label, groups in _groups(entries, ("val",), f"half-val {self.seed}").items():
            count = sum(map(len, groups))
            if count < 2:
                raise UsageError(
                    f"class {label} has {count} validation image: it has no halves; "
                    "hold tuning images out of the training images instead"
                )
            placed.update(_divide(groups, [count // 2, count - count // 2], ["val", "test"]))
        return placed


@dataclass(frozen=True)
class Fold:
    """Holds out fold ``number`` (from 1) of ``folds`` of the training and validation images."""

    number: int
    folds: int
    seed: int

    def roles(self) -> dict[str, str]:
        where = f"fold {self.number} of {self.folds} of the training and validation images"
        return {
            "train": f"the training and validation images without fold {self.number}",
            "val": where,
            "test": "the test images",
        }

    def assign(self, entries: list[Entry]) -> dict[Entry, str]:
        if not 1 <= self.number <= self.folds:
            raise UsageError(f"no fold {self.number} of {self.folds}; folds count from 1")
        placed = {entry: "test" for entry in entries if entry.split == "test"}
        names = ["val" if n == self.number else "train" for n in range(1, self.folds + 1)]
        for label, groups in _groups(entries, ("train", "val"), f"fold {self.seed}").items():
            count = sum(map(len, groups))
            if self.folds < 2 or count < self.folds:
                raise UsageError(
                    f"{self.folds} folds: class {label} has {count} images, which make 2 to "
                    f"{count} folds"
                )
            # a remainder goes to different folds in different classes
            bounds = [(count * n + label % self.folds) // self.folds for n in range(self.folds + 1)]
            sizes = [after - before for before, after in zip(bounds, bounds[1:])]
            placed.update(_divide(groups, sizes, names))
        return placed


class Entry(NamedTuple):
    """A record of the source: its split, its number in it, its label and its pixels' SHA-256."""

    split: str
    number: int
    label: int
    content: bytes


Plan = Union[Tuning, HalfVal, Fold]


def split(source: Path, out: Path, plan: Plan, *, overwrite: bool = False) -> Manifest:
    """Split the converted folder ``source`` by ``plan`` into the new converted folder ``out``.

    A plan gives the same files on every machine.  ``out`` appears only once everything is written.
    Raises TinynetError if ``source`` is not a conversion, and UsageError if it already has a tuning
    set, if the plan needs more images than there are, or if ``out`` is ``source``.
    """
    manifest = read_manifest(source)
    if not manifest.labelled["val"]:
        raise TinynetError(f"{source}: its val images have no labels, so they score nothing")
    before = manifest.options.get("split", {}).get("plan")
    if before in (Tuning.__name__, HalfVal.__name__) and not isinstance(plan, Fold):
        # a new test split would hold images that were chosen on, and the old one would be lost
        raise UsageError(
            f"{source}: has been split already, and its val are {manifest.options['roles']['val']};"
            " take it as it is, or split the folder that it was made from"
        )
    if out.resolve() == source.resolve():
        raise UsageError(
            f"--out {out}: is the folder that is split, whose images would be lost; name another"
        )
    check_absent(out, overwrite, CONTENTS)
    entries = list(_entries(source, manifest))
    placed, leaks = without_leaks(plan.assign(entries))
    labelled = {"train": True, "val": True, "test": _is_labelled(placed, manifest)}
    with whole_folder(out, overwrite, CONTENTS) as folder:
        needed = sum((DataPaths(source).lmdb(name) / "data.mdb").stat().st_size for name in SPLITS)
        require_space(folder, out, needed, "the split needs")
        paths = DataPaths(folder)
        mean = MeanSum(manifest.shape)
        names: dict[str, list[str]] = {}
        digests: dict[str, str] = {}
        for name in SPLITS:
            order = _order(entries, placed, name)
            origins = {entry.split for entry in order}
            written = _Written([], hashlib.sha256(), mean if name == "train" else None)
            records = _records(source, manifest, order, written, len(origins) > 1)
            write_store(paths.lmdb(name), records)
            names[name], digests[name] = written.names, written.digest.hexdigest()
        write_mean(mean.image(), paths.mean_binaryproto)
        blue, green, red = channel_means(mean.image())
        made = replace(
            manifest,
            counts={name: len(names[name]) for name in SPLITS},
            mean_values=(blue, green, red),
            names=names,
            labelled=labelled,
            digests=digests,
            options={**manifest.options, **_provenance(plan, manifest)},
            skipped=[*manifest.skipped, *(_shown(entry, manifest) for entry in leaks)],
        )
        write_manifest(made, folder)
    return made


def _provenance(plan: Plan, manifest: Manifest) -> dict[str, Any]:
    return {
        "split": {"plan": type(plan).__name__, **asdict(plan)},
        "roles": plan.roles(),
        "split_of": manifest.digests,
    }


def without_leaks(placed: dict[Entry, str]) -> tuple[dict[Entry, str], list[Entry]]:
    """Return the assignment without content that is in two splits, and the entries left out."""
    owner: dict[bytes, str] = {}
    for name in RANKS:
        for entry, part in placed.items():
            if part == name:
                owner.setdefault(entry.content, name)
    leaks = [entry for entry, part in placed.items() if owner[entry.content] != part]
    return {e: part for e, part in placed.items() if owner[e.content] == part}, leaks


def _entries(source: Path, manifest: Manifest) -> Iterator[Entry]:
    for name in SPLITS:
        with open_store(DataPaths(source).lmdb(name)) as store:
            if len(store) != manifest.counts[name]:
                raise TinynetError(
                    f"{store.path}: holds {len(store)} records, the manifest says "
                    f"{manifest.counts[name]}; convert the data set again"
                )
            for number, (_, value) in enumerate(store.records()):
                pixels, label = decode_datum(value)
                yield Entry(name, number, label, content_of(pixels))


def content_of(pixels: np.ndarray) -> bytes:
    """The SHA-256 of an image's C·H·W pixels; two images are the same if it is equal."""
    return hashlib.sha256(pixels.tobytes()).digest()


def _groups(entries: list[Entry], pool: Sequence[str], seed: str) -> dict[int, list[list[Entry]]]:
    """The pool's entries by class, in shuffled order, with equal contents in one group."""
    by_content: dict[bytes, list[Entry]] = {}
    for entry in entries:
        if entry.split in pool:
            by_content.setdefault(entry.content, []).append(entry)
    by_class: dict[int, list[list[Entry]]] = {}
    for group in by_content.values():
        by_class.setdefault(group[0].label, []).append(group)
    for label, groups in by_class.items():
        random.Random(f"{seed} {label}").shuffle(groups)
    return dict(sorted(by_class.items()))


def _divide(
    groups: list[list[Entry]], sizes: Sequence[int], names: Sequence[str]
) -> dict[Entry, str]:
    """Fill the named parts in turn with whole groups, each up to its size or just over it."""
    placed: dict[Entry, str] = {}
    part, filled = 0, 0
    for group in groups:
        if filled >= sizes[part] and part + 1 < len(sizes):
            part, filled = part + 1, filled - sizes[part]
        placed.update(dict.fromkeys(group, names[part]))
        filled += len(group)
    return placed


def _order(entries: list[Entry], placed: dict[Entry, str], name: str) -> list[Entry]:
    """The entries of a new split, in the order of the source's keys."""
    return [entry for entry in entries if placed.get(entry) == name]


@dataclass
class _Written:
    """What is collected about a split while it is written."""

    names: list[str]
    digest: Any
    mean: MeanSum | None


def _records(
    source: Path, manifest: Manifest, order: list[Entry], written: _Written, mixed: bool
) -> Iterator[tuple[bytes, bytes]]:
    """Yield the records of a new split, under new keys.

    Records of two source splits are interleaved evenly, so that every batch has images of both;
    each split keeps its own order, which is shuffled already.
    """
    queues = {name: [entry for entry in order if entry.split == name] for name in SPLITS}
    with ExitStack() as stack:
        streams = {
            name: _chosen(stack.enter_context(open_store(DataPaths(source).lmdb(name))), queue)
            for name, queue in queues.items()
            if queue
        }
        for entry in _interleaved(queues) if mixed else order:
            value = next(streams[entry.split])
            name = manifest.names[entry.split][entry.number]
            key = record_key(len(written.names), name)
            written.names.append(name)
            written.digest.update(key)
            written.digest.update(value)
            if written.mean is not None:
                written.mean.add(decode_datum(value)[0])
            yield key, value


def _chosen(store: Store, queue: list[Entry]) -> Iterator[bytes]:
    wanted = {entry.number for entry in queue}
    return (value for number, (_, value) in enumerate(store.records()) if number in wanted)


def _interleaved(queues: dict[str, list[Entry]]) -> Iterator[Entry]:
    order = [
        ((position + 0.5) / len(queue), name, position)
        for name, queue in queues.items()
        for position in range(len(queue))
    ]
    return (queues[name][position] for _, name, position in sorted(order))


def _is_labelled(placed: dict[Entry, str], manifest: Manifest) -> bool:
    origins = {entry.split for entry, part in placed.items() if part == "test"}
    return bool(origins) and all(manifest.labelled[origin] for origin in origins)


def _shown(entry: Entry, manifest: Manifest) -> str:
    return f"{entry.split}/{manifest.names[entry.split][entry.number]}"
