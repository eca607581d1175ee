from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import lmdb
import numpy as np
import pytest

from tests.dataset.layouts import TEST, TRAIN_PER_CLASS, VAL, write_zip
from tinynet.caffeformat.datum import encode_datum
from tinynet.caffeformat.mean import read_mean, write_mean
from tinynet.dataset.convert import Options, convert
from tinynet.dataset.manifest import read_manifest, write_manifest
from tinynet.dataset.verify import is_converted, verify_converted, verify_dataset
from tinynet.errors import TinynetError


@pytest.fixture
def converted(layout: Path, tmp_path: Path) -> Path:
    convert(layout, tmp_path / "out")
    return tmp_path / "out"


@pytest.mark.parametrize("zipped", [False, True])
def test_a_whole_data_set_has_no_problems(layout: Path, tmp_path: Path, zipped: bool) -> None:
    path = write_zip(layout, tmp_path / "small.zip") if zipped else layout
    report = verify_dataset(path)
    assert report.problems == [] and report.classes == 3
    assert report.counts == {"train": 3 * TRAIN_PER_CLASS, "val": VAL, "test": TEST}
    assert report.grayscale == {"train": 1, "val": 0, "test": 0}
    assert report.boxes == 3 * TRAIN_PER_CLASS


def test_every_bad_image_is_reported(layout: Path) -> None:
    for j in range(4):
        (layout / "val" / "images" / f"val_{j}.JPEG").write_bytes(b"")
    report = verify_dataset(layout)
    assert report.problems == [f"val/images/val_{j}.JPEG is empty" for j in range(4)]


def test_a_finished_conversion_has_no_problems(converted: Path, layout: Path) -> None:
    assert is_converted(converted) and not is_converted(layout)
    assert verify_converted(converted).problems == []


def test_a_conversion_of_boxes_that_skipped_bad_images_has_no_problems(
    layout: Path, tmp_path: Path
) -> None:
    (layout / "train" / "n01" / "images" / "n01_0.JPEG").write_bytes(b"")
    convert(layout, tmp_path / "out", Options(skip_bad=True, crop_to_box=True, seed=7))
    assert verify_converted(tmp_path / "out").problems == []


def test_a_conversion_without_manifest_is_unfinished(converted: Path) -> None:
    (converted / "manifest.json").unlink()
    assert is_converted(converted)
    with pytest.raises(TinynetError, match="not a finished conversion"):
        verify_converted(converted)


def change(folder: Path, edit: Callable[[lmdb.Transaction], object]) -> None:
    environment = lmdb.open(str(folder))
    with environment.begin(write=True) as transaction:
        edit(transaction)
    environment.close()


def last_key(transaction: lmdb.Transaction) -> bytes:
    return list(transaction.cursor().iternext(values=False))[-1]


def other_pixel(transaction: lmdb.Transaction) -> None:
    key = last_key(transaction)
    value = bytearray(transaction.get(key))
    value[500] ^= 1
    transaction.put(key, bytes(value))


def swap_names(out: Path) -> None:
    manifest = read_manifest(out)
    names = manifest.names
    names["val"] = names["val"][::-1]
    write_manifest(dataclasses.replace(manifest, names=names), out)


TINY = np.zeros((3, 2, 2), np.uint8)
WHOLE = np.zeros((3, 64, 64), np.uint8)
DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a record is missing": (
        lambda out: change(out / "val_lmdb", lambda t: t.delete(last_key(t))),
        "val_lmdb: holds 5 records, the manifest says 6",
    ),
    "a pixel differs": (
        lambda out: change(out / "val_lmdb", other_pixel),
        "val_lmdb: its records are not those that were written",
    ),
    "a training pixel differs": (
        lambda out: change(out / "train_lmdb", other_pixel),
        "train_lmdb: its records are not those that were written",
    ),
    "a shape differs": (
        lambda out: change(out / "val_lmdb", lambda t: t.put(last_key(t), encode_datum(TINY, 0))),
        "val_lmdb: record 5 has the shape (3, 2, 2)",
    ),
    "a label is too large": (
        lambda out: change(out / "val_lmdb", lambda t: t.put(last_key(t), encode_datum(WHOLE, 3))),
        "val_lmdb: record 5 has the label 3",
    ),
    "a record is no Datum": (
        lambda out: change(out / "val_lmdb", lambda t: t.put(last_key(t), b"\xff\xff")),
        "record is not a Caffe Datum",
    ),
    "names and keys differ": (swap_names, "val_lmdb: record 0 has the key"),
    "an LMDB is missing": (
        lambda out: shutil.rmtree(out / "test_lmdb"),
        "test_lmdb: no such LMDB folder",
    ),
    "the mean is missing": (
        lambda out: (out / "mean.binaryproto").unlink(),
        "mean.binaryproto",
    ),
    "the mean differs": (
        lambda out: write_mean(
            read_mean(out / "mean.binaryproto") + np.float32(0.01), out / "mean.binaryproto"
        ),
        "mean.binaryproto: is not the mean of the training records",
    ),
    "the mean values differ": (
        lambda out: write_manifest(
            dataclasses.replace(read_manifest(out), mean_values=(1.0, 2.0, 3.0)), out
        ),
        "its channels' means are not the manifest's mean_values",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_conversion_changed_afterwards_is_reported(converted: Path, damage: str) -> None:
    make, message = DAMAGES[damage]
    make(converted)
    problems = verify_converted(converted).problems
    assert any(message in problem for problem in problems), problems
