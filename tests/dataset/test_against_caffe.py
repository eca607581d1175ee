"""Real Caffe reads the files of a conversion and computes the same mean from them."""

from __future__ import annotations

import shutil
import subprocess
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import run_python
from tinynet.caffeformat.datum import decode_datum
from tinynet.caffeformat.lmdb import open_store
from tinynet.caffeformat.mean import read_mean
from tinynet.dataset.convert import convert
from tinynet.dataset.manifest import read_manifest
from tinynet.dataset.paths import DataPaths

IN_CAFFE = Path(__file__).with_name("read_in_caffe.py")


def in_caffe(python: str, converted: Path, out: Path) -> dict[str, np.ndarray]:
    run_python(python, IN_CAFFE, converted, out)
    with np.load(out) as found:
        return dict(found)


def check_reads_alike(converted: Path, found: dict[str, np.ndarray]) -> None:
    for split in ("train", "val", "test"):
        with open_store(DataPaths(converted).lmdb(split)) as store:
            records = (decode_datum(value) for _, value in store.records())
            wanted = list(islice(records, len(found[f"{split}_label"])))
        ours = list(islice(cycle(wanted), len(found[f"{split}_label"])))
        np.testing.assert_array_equal(found[f"{split}_data"], [pixels for pixels, _ in ours])
        np.testing.assert_array_equal(found[f"{split}_label"], [label for _, label in ours])
        if split == "train":
            mean = read_mean(DataPaths(converted).mean_binaryproto)
            np.testing.assert_array_equal(found["mean"], mean[None])
            np.testing.assert_array_equal(found["centred"], [pixels - mean for pixels, _ in ours])


def test_caffes_data_layer_reads_the_same_pixels_and_labels(
    caffe_python: str, layout: Path, tmp_path: Path
) -> None:
    convert(layout, tmp_path / "out")
    check_reads_alike(
        tmp_path / "out", in_caffe(caffe_python, tmp_path / "out", tmp_path / "found.npz")
    )


def test_caffes_data_layer_reads_real_images(
    caffe_python: str, images: Path, tmp_path: Path
) -> None:
    convert(images / "tiny-imagenet-200-sample.zip", tmp_path / "out")
    check_reads_alike(
        tmp_path / "out", in_caffe(caffe_python, tmp_path / "out", tmp_path / "found.npz")
    )


def test_caffes_compute_image_mean_writes_the_same_bytes(layout: Path, tmp_path: Path) -> None:
    tool = shutil.which("compute_image_mean")
    if tool is None:
        pytest.skip("compute_image_mean, of the package caffe-tools or a build, is not on PATH")
    convert(layout, tmp_path / "out")
    paths = DataPaths(tmp_path / "out")
    child = subprocess.run(
        [tool, str(paths.train_lmdb), str(tmp_path / "theirs.binaryproto")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert (tmp_path / "theirs.binaryproto").read_bytes() == paths.mean_binaryproto.read_bytes()
    printed = [line.split()[-1] for line in child.stderr.splitlines() if "mean_value" in line]
    assert printed == [f"{value:.6g}" for value in read_manifest(tmp_path / "out").mean_values]
