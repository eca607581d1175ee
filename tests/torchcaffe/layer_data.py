"""Small drawn data of every kind that data layers read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.torchcaffe.small_nets import normal
from tinynet.caffeformat.datum import encode_datum
from tinynet.caffeformat.lmdb import write_store
from tinynet.caffeformat.mean import write_mean

_RECORDS = 7  # not a multiple of a batch, so that the readers wrap around
_BACKENDS = ("level", "lmdb")  # by the numbers of DataParameter.DB


def supply(
    net: Any, folder: Path, shape: tuple[int, ...], classes: int, batch: int
) -> dict[str, np.ndarray]:
    """Make a net small, and write data for its layers to read.

    Batches get ``batch`` images; crops and resized images the size of ``shape`` (C×H×W of an image,
    or the length of a vector).  Sources and mean files are written into ``folder``; labels are
    below ``classes``.  Returns values for the tops of Input layers.
    """
    inputs = {}
    for layer in net.layer:
        kind = layer.type
        if kind == "Input":
            given = layer.input_param.shape
            for top, dims in zip(layer.top, given):
                sizes = [batch, *shape] if len(dims.dim) == 4 else [batch]
                dims.dim[:] = sizes
                inputs[top] = normal(1, tuple(sizes))
        if kind == "Data":
            layer.data_param.batch_size = batch
            layer.data_param.source = _database(folder, stored_shape(layer, shape), classes, layer)
        elif kind == "HDF5Data":
            layer.hdf5_data_param.batch_size = batch
            layer.hdf5_data_param.source = _hdf5(folder, shape, classes)
        elif kind == "ImageData":
            param = layer.image_data_param
            param.batch_size = batch
            param.new_height, param.new_width = stored_shape(layer, shape)[1:]
            param.source = _image_list(folder, stored_shape(layer, shape), classes)
        elif kind == "WindowData":
            layer.window_data_param.batch_size = batch
            layer.window_data_param.source = _window_file(folder, classes)
        transform = layer.transform_param
        if transform.crop_size:
            transform.crop_size = shape[-1]
        if transform.mean_file:
            stored = stored_shape(layer, shape)
            mean = np.random.default_rng(3).uniform(90, 140, stored)
            transform.mean_file = str(folder / "mean.binaryproto")
            write_mean(mean.astype(np.float32), Path(transform.mean_file))
    return inputs


def stored_shape(layer: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of the images that are stored for a layer: a crop needs some room."""
    room = 5 if layer.transform_param.crop_size else 0
    return (shape[0], *(size + room for size in shape[1:]))


def _database(folder: Path, shape: tuple[int, ...], classes: int, layer: Any) -> str:
    path = folder / _BACKENDS[layer.data_param.backend]
    if path.exists():
        return str(path)
    rng = np.random.default_rng(5)
    records = [
        (b"%08d" % i, encode_datum(rng.integers(0, 256, shape, np.uint8), int(i % classes)))
        for i in range(_RECORDS)
    ]
    if path.name == "lmdb":
        write_store(path, records)
        return str(path)
    database = pytest.importorskip("plyvel").DB(str(path), create_if_missing=True)
    for key, value in records:
        database.put(key, value)
    database.close()
    return str(path)


def _hdf5(folder: Path, shape: tuple[int, ...], classes: int) -> str:
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / "rows.h5", "w") as file:
        file["data"] = normal(2, (_RECORDS, *shape))
        file["label"] = np.arange(_RECORDS, dtype=np.float32) % classes
    listed = folder / "rows.txt"
    listed.write_text(f"{folder / 'rows.h5'}\n")
    return str(listed)


def _images(folder: Path, sizes: list[tuple[int, int]]) -> list[Path]:
    """Write images of (height, width) as PNG, which every decoder decodes alike."""
    rng = np.random.default_rng(4)
    paths = []
    for number, (height, width) in enumerate(sizes):
        paths.append(folder / f"{number}.png")
        Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8)).save(paths[-1])
    return paths


def _image_list(folder: Path, shape: tuple[int, ...], classes: int) -> str:
    sizes = [(shape[1] + 3 * i, shape[2] + 11 - i) for i in range(_RECORDS)]
    listed = folder / "images.txt"
    lines = [f"{path} {i % classes}\n" for i, path in enumerate(_images(folder, sizes))]
    listed.write_text("".join(lines))
    return str(listed)


def _window_file(folder: Path, classes: int) -> str:
    """Windows that match a class well enough to be foreground, and others that do not."""
    text = ""
    for number, path in enumerate(_images(folder, [(90, 120), (77, 81)])):
        height, width = (90, 120) if number == 0 else (77, 81)
        windows = [
            f"{1 + number % (classes - 1)} 0.9 2 3 60 45",
            f"{classes - 1} 0.6 0 0 {width - 1} {height - 1}",
            "0 0.2 5 5 39 29",
            "0 0 30 2 49 38",
        ]
        text += f"# {number}\n{path}\n3\n{height}\n{width}\n{len(windows)}\n"
        text += "".join(f"{window}\n" for window in windows)
    listed = folder / "windows.txt"
    listed.write_text(text)
    return str(listed)
