"""A data set of small images and a run trained on it, made in seconds."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np

from tinynet.caffeformat import binary, schema
from tinynet.caffeformat.datum import encode_datum
from tinynet.caffeformat.lmdb import write_store
from tinynet.dataset.manifest import Manifest, write_manifest
from tinynet.dataset.paths import DataPaths
from tinynet.run.paths import RunPaths

CLASSES, CHANNELS, SIZE, CROP = 6, 3, 16, 12
COUNTS = {"train": 120, "val": 40, "test": 11}

TRAIN_VAL = """
name: "small"
layer {{ name: "data" type: "Data" top: "data" top: "label" include {{ phase: TRAIN }}
  transform_param {{ {transform} mirror: true }}
  data_param {{ source: "{data}/train_lmdb" batch_size: 20 backend: LMDB }} }}
layer {{ name: "data" type: "Data" top: "data" top: "label" include {{ phase: TEST }}
  transform_param {{ {transform} }}
  data_param {{ source: "{data}/val_lmdb" batch_size: 20 backend: LMDB }} }}
{body}
layer {{ name: "drop" type: "Dropout" bottom: "conv1" top: "conv1" }}
{scores}
layer {{ name: "accuracy" type: "Accuracy" bottom: "fc2" bottom: "label" top: "accuracy"
  include {{ phase: TEST }} }}
layer {{ name: "accuracy_top5" type: "Accuracy" bottom: "fc2" bottom: "label" top: "accuracy_top5"
  include {{ phase: TEST }} accuracy_param {{ top_k: 5 }} }}
layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "fc2" bottom: "label" top: "loss" }}
"""
DEPLOY = """
name: "small"
layer {{ name: "data" type: "Input" top: "data"
  input_param {{ shape {{ dim: 1 dim: 3 dim: {size} dim: {size} }} }} }}
{body}
{scores}
layer {{ name: "prob" type: "Softmax" bottom: "fc2" top: "prob" }}
"""
BODY = """
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  convolution_param { num_output: 5 kernel_size: 3
    weight_filler { type: "gaussian" std: 0.02 } } }
layer { name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }
"""
SCORES = """
layer { name: "fc2" type: "InnerProduct" bottom: "conv1" top: "fc2"
  inner_product_param { num_output: %d weight_filler { type: "gaussian" std: 0.02 } } }
"""
SOLVER = """
net: "{folder}/train_val.prototxt"
base_lr: 0.0001 momentum: 0.9 lr_policy: "fixed" max_iter: 40 display: 20
test_iter: 2 test_interval: 20 snapshot: 20 snapshot_prefix: "snapshot" random_seed: 3
"""
MEAN_VALUES = "mean_value: 101.5 mean_value: 110 mean_value: 127.25"


def write_data(folder: Path, classes: int = CLASSES) -> Path:
    """Write LMDBs of images whose bright part tells the class, and the manifest."""
    generator = np.random.default_rng(4)
    names, digests = {}, {}
    for split, count in COUNTS.items():
        # shuffled, as a conversion leaves them
        names[split] = [f"{split}_{number}.JPEG" for number in generator.permutation(count)]
        records = []
        for number, name in enumerate(names[split]):
            label = int(generator.integers(classes))
            pixels = generator.integers(0, 200, (CHANNELS, SIZE, SIZE))
            pixels[label % 3, 4 + label : 8 + label] += 45
            value = encode_datum(pixels.astype(np.uint8), label if split != "test" else 0)
            records.append((f"{number:08d}_{name}".encode(), value))
        write_store(DataPaths(folder).lmdb(split), records)
        digests[split] = hashlib.sha256(b"".join(k + v for k, v in records)).hexdigest()
    manifest = Manifest(
        counts=COUNTS,
        wnids=[f"n{9 - number:08d}" for number in range(classes)],
        class_names=[f"class {number}" for number in range(classes)],
        shape=(CHANNELS, SIZE, SIZE),
        mean_values=(101.5, 110.0, 127.25),
        seed=1,
        source="small",
        source_sha256="",
        names=names,
        labelled={"train": True, "val": True, "test": False},
        digests=digests,
    )
    write_manifest(manifest, folder)
    return folder


def write_mean_image(path: Path) -> Path:
    blob = schema.BlobProto()
    blob.num, blob.channels, blob.height, blob.width = 1, CHANNELS, SIZE, SIZE
    ramp = np.arange(CHANNELS * SIZE * SIZE, dtype=np.float32)
    blob.data.extend((90 + 0.05 * ramp).tolist())
    binary.write(path, blob)
    return path


def write_nets(
    folder: Path, data: Path, transform: str = MEAN_VALUES, crop: int = CROP, classes: int = CLASSES
) -> RunPaths:
    """Write train_val, deploy and solver as in a run directory; crop 0 means whole images."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = RunPaths(folder)
    if crop:
        transform += f" crop_size: {crop}"
    scores = SCORES % classes
    paths.train_val.write_text(
        TRAIN_VAL.format(transform=transform, data=data, body=BODY, scores=scores)
    )
    paths.deploy.write_text(DEPLOY.format(size=crop or SIZE, body=BODY, scores=scores))
    paths.solver.write_text(SOLVER.format(folder=folder))
    return paths


def copy(run: RunPaths, to: Path) -> RunPaths:
    return RunPaths(shutil.copytree(run.root, to))


def train(folder: Path, data: Path, name: str = "seed3", **nets: object) -> RunPaths:
    """Train 40 iterations with snapshots and tests at 20 and 40; return the run directory."""
    from tinynet.run import driver
    from tinynet.run.request import TrainingRequest

    source = write_nets(folder / "prototxt" / "small", data, **nets)  # type: ignore[arg-type]
    run = RunPaths.of(folder / "runs", "small", name)
    driver.train(TrainingRequest(solver=source.solver, paths=run, cpu=True, quiet=True), print)
    return run
