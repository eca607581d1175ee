"""The stages as they are generated, with few filters, few images and small batches."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from tinynet.caffeformat import schema, text
from tinynet.caffeformat.datum import encode_datum
from tinynet.caffeformat.lmdb import write_store
from tinynet.experiment.stages import stage

ROOT = Path(__file__).parents[2]
TRAIN_IMAGES, VAL_IMAGES, CLASSES = 37, 12, 5
BATCH, TEST_BATCH = 4, 6


def names(count: int) -> list[str]:
    """Names of the images, as in a manifest."""
    return [f"{number}.JPEG" for number in range(count)]


def write_data(folder: Path) -> None:
    """Write ``data/{train,val}_lmdb``: 64×64 noise; no epoch ends at the end of a batch."""
    numbers = np.random.RandomState(1)
    for split, count in (("train", TRAIN_IMAGES), ("val", VAL_IMAGES)):
        images = numbers.randint(0, 256, (count, 3, 64, 64)).astype(np.uint8)
        labels = numbers.randint(0, CLASSES, count)
        write_store(
            folder / "data" / f"{split}_lmdb",
            (
                (f"{i:08d}_{name}".encode(), encode_datum(image, int(label)))
                for i, (name, image, label) in enumerate(zip(names(count), images, labels))
            ),
        )


def write_stage(folder: Path, number: int, full_size: bool = False, **fields: object) -> Path:
    """``stageN/{train_val,solver}.prototxt`` in ``folder``; returns the solver's path.

    ``fields``: solver fields.  Every layer is the generated one; only sizes differ (none of them
    with ``full_size``), and the last test covers more than the validation set, so that the TEST
    cursor matters too.
    """
    source = ROOT / "prototxt" / stage(number).name
    if not (source / "solver.prototxt").exists():  # of an ensemble, its first member
        source /= "member01"
    net = text.read(source / "train_val.prototxt", schema.NetParameter)
    for layer in net.layer:
        if layer.type == "Data":
            is_train = layer.include[0].phase == schema.TRAIN
            split = "train" if is_train else "val"
            layer.data_param.source = str(folder / f"data/{split}_lmdb")
            layer.data_param.batch_size = BATCH if is_train else TEST_BATCH
        parameter = {
            "Convolution": layer.convolution_param,
            "InnerProduct": layer.inner_product_param,
        }.get(layer.type)
        if parameter is not None and not full_size:
            parameter.num_output = CLASSES if parameter.num_output == 200 else 6
            parameter.weight_filler.std *= 5
    solver = text.read(source / "solver.prototxt", schema.SolverParameter)
    for field in ("stepvalue", "test_iter"):
        solver.ClearField(field)
    where = folder / f"stage{number}"
    where.mkdir(exist_ok=True)
    given = {
        "net": f'"{where}/train_val.prototxt"',
        "snapshot_prefix": f'"{where}/snapshot"',
        "lr_policy": '"multistep"',
        "stepvalue": 15,
        "test_iter": 3,  # 18 of the 12 images
        "test_interval": 6,
        "max_iter": 24,
        "display": 3,
        "snapshot": 0,
        "average_loss": 4,
        **fields,
    }
    for field in given:
        solver.ClearField(field)
    lines = "".join(f"{field}: {value}\n" for field, value in given.items())
    solver.MergeFrom(text.parse(lines, schema.SolverParameter, "fields"))
    text.write(where / "train_val.prototxt", net)
    text.write(where / "solver.prototxt", solver)
    return Path(os.path.abspath(where / "solver.prototxt"))
