"""The stages train in the torch engine as in real Caffe: same losses, same updates.

On the initial plateau even wrong gradients agree, so the engines start from weights whose loss has
fallen by a fifth.
"""

from __future__ import annotations

import math
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinynet.torchcaffe as caffe
from tests.torchcaffe.conftest import Answer, Ask
from tinynet.caffeformat import schema, text
from tinynet.caffeformat.datum import encode_datum
from tinynet.caffeformat.lmdb import write_store
from tinynet.dataset.decoding import decode_image
from tinynet.dataset.tiny_imagenet import TinyImagenet
from tinynet.experiment import data_description as dataset
from tinynet.experiment import generate
from tinynet.experiment.solvers import Overrides
from tinynet.experiment.stages import stage

CLASSES = 10
IMAGES = 40
BATCH = 4


def drawn_images() -> Iterator[tuple[np.ndarray, int]]:
    """Noise around each class's own colour, in a random order: (uint8 3×64×64 pixels, label)."""
    rng = np.random.default_rng(5)
    colours = rng.uniform(60, 190, (CLASSES, 3, 1, 1))
    for _ in range(IMAGES):
        label = int(rng.integers(CLASSES))
        coarse = rng.normal(0, 40, (3, 16, 16)).repeat(4, 1).repeat(4, 2)
        fine = rng.normal(0, 20, (3, 64, 64))
        yield np.clip(colours[label] + coarse + fine, 0, 255).astype(np.uint8), label


def real_images(archive: Path) -> Iterator[tuple[np.ndarray, int]]:
    """The first training images of each of the first classes: (uint8 3×64×64 BGR, label)."""
    with TinyImagenet(archive) as dataset:
        for label in range(CLASSES):
            own = [p for p in dataset.images["train"] if p.label == label]
            for image in own[: IMAGES // CLASSES]:
                yield decode_image(dataset.files.read(image.path))[0], label


def write_images(folder: Path, real: bool) -> None:
    """Write an LMDB of drawn images, or of ``real`` ones if they are available."""
    images = list(drawn_images())
    archive = Path(os.environ.get("TINYNET_TEST_DATA", "")) / "tiny-imagenet-20.zip"
    if real and archive.is_file():
        images = list(real_images(archive))
        random.Random(7).shuffle(images)
    records = [(b"%08d" % number, encode_datum(*image)) for number, image in enumerate(images)]
    for name in ("train_lmdb", "val_lmdb"):
        write_store(folder / name, records)


def write_solver(
    number: int, folder: Path, plain: bool, base_lr: float, batch: int = BATCH
) -> Path:
    """Stage ``number`` as generated for the images; ``plain`` turns everything random off."""
    data = dataset.DataSet(
        classes=CLASSES,
        train_images=IMAGES,
        val_images=IMAGES,
        image_size=64,
        mean_values=(120.0, 121.0, 122.0),
        paths=dataset.DataPaths(folder),
    )
    overrides = Overrides(
        batch_size=batch,
        solver={"max_iter": 1000, "lr_policy": "fixed", "base_lr": base_lr},
    )
    files = generate.generate(folder, data, [stage(number)], overrides)
    generate.write(files)
    solver_path = next(path for path in files if path.name == "solver.prototxt")
    solver = text.read(solver_path, schema.SolverParameter)
    solver.test_initialization = False
    solver.display = 0
    text.write(solver_path, solver)
    if plain:
        net: Any = text.read(solver.net, schema.NetParameter)
        for layer in net.layer:
            if layer.type == "Data":
                layer.transform_param.ClearField("mirror")
                layer.transform_param.ClearField("crop_size")
            if layer.type == "Dropout":
                layer.dropout_param.dropout_ratio = 0
        text.write(solver.net, net)
    return solver_path


def train_until_learning(solver_path: Path, folder: Path) -> Path:
    """Weights whose loss over the last pass through the images is a fifth below ln(classes)."""
    solver = caffe.get_solver(solver_path)
    epoch = IMAGES // BATCH
    for _ in range(60):
        losses = []
        for _ in range(epoch):
            solver.step(1)
            losses.append(float(solver.net.blobs["loss"].data))
        if np.mean(losses) < 0.8 * math.log(CLASSES):
            weights = folder / "learning.caffemodel"
            solver.net.save(weights)
            return weights
    raise AssertionError(f"the loss did not fall: {np.mean(losses)}")


def assert_same_way(real: Answer, ours: Answer) -> None:
    """Assert that losses agree within 1e-3 and every parameter's displacement within 1 % (L2).

    Both are relative.  A loss near 0 is about exp(-s), where s is the lead of the label's score;
    its relative error is the absolute error of s, however small the loss.  So a loss below 0.1
    counts as 0.1.
    """
    scale = np.maximum(real["losses"], 0.1)
    worst = (np.abs(ours["losses"] - real["losses"]) / scale).max()
    assert worst < 1e-3, f"losses differ by {worst}: {real['losses']} {ours['losses']}"
    for name in real:
        if not name.startswith("start/"):
            continue
        np.testing.assert_array_equal(ours[name], real[name])
        end = name.replace("start/", "end/")
        moved = real[end] - real[name]
        apart = np.linalg.norm((ours[end] - ours[name]) - moved) / np.linalg.norm(moved)
        assert apart < 0.01, f"{name}: displacements are {apart} apart"


@pytest.mark.parametrize(
    ("number", "plain", "warm_up_lr"),
    # stage 7's net has every layer of stage 6's
    [(1, True, 1e-2), (5, True, 3e-3), (7, False, 3e-3)],
)
def test_twenty_iterations_of_a_stage_move_the_weights_as_real_caffe_does(
    number: int,
    plain: bool,
    warm_up_lr: float,
    ask_both: Ask,
    tmp_path: Path,
) -> None:
    # forty real images behind dropout and random crops take too long to learn
    write_images(tmp_path, real=plain)
    weights = train_until_learning(write_solver(number, tmp_path, plain, warm_up_lr), tmp_path)
    # two passes through the images, in small steps: at large ones rounding grows into another path,
    # even between two real Caffes
    solver = write_solver(number, tmp_path, plain, 1e-4)
    request = {"solver": solver.read_text(), "weights": str(weights), "steps": 20}
    assert_same_way(*ask_both(request))


@pytest.mark.parametrize("number", range(1, 8))
def test_every_stage_as_generated_starts_and_draws_random_numbers_as_real_caffe_does(
    number: int, ask_both: Ask, tmp_path: Path
) -> None:
    """Initial weights to the bit; crops, mirrors and masks show in the losses of four updates."""
    write_images(tmp_path, real=True)
    solver = write_solver(number, tmp_path, plain=False, base_lr=1e-3)
    real, ours = ask_both({"solver": solver.read_text(), "steps": 4})
    for name in real:
        if name.startswith("start/"):
            np.testing.assert_array_equal(ours[name], real[name], err_msg=name)
    np.testing.assert_allclose(ours["losses"], real["losses"], rtol=1e-4)
    assert len(set(real["losses"].tolist())) == 4
