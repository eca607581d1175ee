"""Examples that read files: data layers, their records, means, weights and states."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import tinynet.torchcaffe as caffe
from tests.torchcaffe import both_engines
from tests.torchcaffe.every_field.observing import Example, Seen, net
from tests.torchcaffe.small_nets import layer
from tinynet.caffeformat import binary, schema, text
from tinynet.caffeformat.datum import encode_datum
from tinynet.caffeformat.lmdb import write_store
from tinynet.caffeformat.mean import write_mean

_TRANSFORMS = (
    "scale: 0.5",
    "mirror: true crop_size: 4",
    "mean_value: 9 mean_value: 7 mean_value: 5",
)
# by whether they change encoded records of a colour or of a gray image
_COLOURS = {"gray": "force_color: true", "colour": "force_gray: true"}


def _pixels(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def _png(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def _data(source: Path, more: str = "", rest: str = "") -> str:
    given = f'data_param {{ source: "{source}" backend: LMDB batch_size: 2 {more} }}'
    return layer("Data", "", "d l", f"{given} {rest}")


def data(folder: Path) -> Iterator[Example]:
    """Data layers over raw and encoded records."""
    raw = folder / "raw"
    write_store(raw, [(b"%d" % i, encode_datum(_pixels(i, 3, 6, 6), i)) for i in range(5)])
    for name, shape in (("gray", (6, 6)), ("colour", (6, 6, 3))):
        image = schema.Datum(encoded=True, label=3, data=_png(_pixels(9, *shape)))
        write_store(folder / name, [(b"0", image.SerializeToString())])
    write_mean(_pixels(3, 3, 6, 6).astype(np.float32), folder / "mean.binaryproto")
    mean = f'mean_file: "{folder}/mean.binaryproto"'
    for more in (*_TRANSFORMS, mean):
        written = _data(raw, rest=f"transform_param {{ {more} }}")
        yield net(f"data {more}", written, schema.NetParameter, passes=3)
    for name, more in _COLOURS.items():
        written = _data(folder / name, rest=f"transform_param {{ {more} }}")
        yield net(f"data {more}", written, schema.NetParameter)
    # takes effect only in a V1 net; here it causes a warning
    for more in (
        "rand_skip: 2",
        "scale: 2",
        mean,
        "crop_size: 3",
        "mirror: true",
        "force_encoded_color: true",
    ):
        yield net(f"data {more}", _data(raw, more), schema.NetParameter)


def records(folder: Path) -> Iterator[Example]:
    """A Datum, as a Data layer reads it."""
    numbers = itertools.count()

    def see(message: Any) -> Seen:
        store = folder / f"record{next(numbers)}"  # a store stays open for as long as its process
        write_store(store, [(b"0", message.SerializeToString())])
        return both_engines.answer(caffe, {"net": _data(store), "backward": False}, {})

    pixels = _pixels(1, 3, 2, 4)
    raw = schema.Datum(channels=3, height=2, width=4, label=7, data=pixels.tobytes())
    yield Example("datum", raw, see)
    floats = schema.Datum(channels=1, height=1, width=2, float_data=[0.5, 2])
    yield Example("datum of floats", floats, see)
    encoded = schema.Datum(data=_png(_pixels(2, 4, 5, 3)), encoded=True)
    yield Example("encoded datum", encoded, see)


def states(folder: Path) -> Iterator[Example]:
    """A SolverState, as a solver resumes from it."""
    (folder / "state_net.prototxt").write_text(
        layer("DummyData", "", "x", "dummy_data_param { shape { dim: 2 dim: 3 } }", "d")
        + layer("InnerProduct", "x", "y", "inner_product_param { num_output: 1 bias_term: false }")
        + layer("Reduction", "y", "loss", "loss_weight: 1", "loss")
    )
    (folder / "state_solver.prototxt").write_text(
        f'net: "{folder}/state_net.prototxt" base_lr: 1 lr_policy: "multistep" gamma: 0.1 '
        "stepvalue: 2 stepvalue: 4 momentum: 0.9"
    )
    first = caffe.get_solver(folder / "state_solver.prototxt")
    first.net.params["l"][0].data[...] = 5
    first.net.save(folder / "state.caffemodel")

    def see(message: Any) -> Seen:
        binary.write(folder / "x.solverstate", message)
        solver = caffe.get_solver(folder / "state_solver.prototxt")
        solver.restore(folder / "x.solverstate")
        return {
            "numbers": (solver.iter, solver.current_step),
            "weights": solver.net.params["l"][0].data.copy(),
            "history": solver.history[0].numpy().copy(),
        }

    history = schema.BlobProto(data=[1, 2, 3], shape=schema.BlobShape(dim=[1, 3]))
    state = schema.SolverState(
        iter=3, learned_net=f"{folder}/state.caffemodel", current_step=1, history=[history]
    )
    yield Example("solver state", state, see)


def hdf5(folder: Path) -> Iterator[Example]:
    """HDF5Data and HDF5Output; nothing where h5py is not installed."""
    try:
        import h5py
    except ImportError:
        return
    with h5py.File(folder / "rows.h5", "w") as file:
        file["d"] = np.arange(18, dtype=np.float32).reshape(9, 2)
        file["l"] = np.arange(9, dtype=np.float32)
    (folder / "rows.txt").write_text(f"{folder}/rows.h5\n")
    given = f'source: "{folder}/rows.txt" batch_size: 2 shuffle: true'
    written = layer("HDF5Data", "", "d l", f"hdf5_data_param {{ {given} }}")
    yield net("hdf5 data", written, schema.NetParameter, passes=3)
    out = folder / "out.h5"

    def see(message: Any) -> Seen:
        out.unlink(missing_ok=True)
        seen = both_engines.answer(caffe, {"net": text.format(message), "backward": False}, {})
        return {**seen, "written": out.exists()}

    written = layer("HDF5Data", "", "d l", f"hdf5_data_param {{ {given} }}") + layer(
        "HDF5Output", "d l", "", f'hdf5_output_param {{ file_name: "{out}" }}', "o"
    )
    yield Example("hdf5 output", text.parse(written, schema.NetParameter, "hdf5 output"), see)


def infogain(folder: Path) -> Iterator[Example]:
    """The matrix of an InfogainLoss from a file."""
    matrix = schema.BlobProto(num=1, channels=1, height=3, width=3)
    matrix.data.extend(np.arange(9.0))
    binary.write(folder / "matrix.binaryproto", matrix)
    written = layer(
        "Input", "", "x label", "input_param { shape { dim: 4 dim: 3 } shape { dim: 4 } }"
    ) + layer(
        "InfogainLoss",
        "x label",
        "y",
        f'infogain_loss_param {{ source: "{folder}/matrix.binaryproto" }}',
        "loss",
    )
    inputs = {"x": _pixels(1, 4, 3) / np.float32(99), "label": np.array([0, 1, 2, 1], np.float32)}
    yield net("infogain", written, schema.NetParameter, inputs=inputs)
    shapes = "shape { dim: 4 dim: 2 dim: 3 } shape { dim: 4 dim: 2 }"
    written = layer("DummyData", "", "x label", f"dummy_data_param {{ {shapes} }}", "d") + layer(
        "InfogainLoss",
        "x label",
        "y",
        f'infogain_loss_param {{ axis: 2 source: "{folder}/matrix.binaryproto" }}',
        "loss",
    )
    yield net("infogain of an axis", written, schema.NetParameter)


def images(folder: Path) -> Iterator[Example]:
    """ImageData, over files in folders."""
    (folder / "images").mkdir()
    names = [f"i{number}.png" for number in range(6)]
    for number, name in enumerate(names):
        (folder / "images" / name).write_bytes(_png(_pixels(number, 7, 7, 3)))
    lines = [f"{name} {number}\n" for number, name in enumerate(names)]
    (folder / "images.txt").write_text("".join(lines))
    base = f'source: "{folder}/images.txt" root_folder: "{folder}/images/"'
    mean = f'mean_file: "{folder}/mean.binaryproto"'
    for more in (
        "batch_size: 3",
        "rand_skip: 4",
        "shuffle: true",
        "new_height: 4 new_width: 5",
        "is_color: false",
        *("scale: 2", mean, "crop_size: 3", "mirror: true"),
    ):
        written = layer("ImageData", "", "d l", f"image_data_param {{ {base} {more} }}")
        yield net(f"images {more}", written, schema.NetParameter, passes=2)


def windows(folder: Path) -> Iterator[Example]:
    """WindowData, over one image with windows of objects and of background."""
    (folder / "window.png").write_bytes(_png(_pixels(5, 20, 20, 3)))
    boxes = ["1 0.9 2 2 9 9", "2 0.6 5 5 14 14", "1 0.1 8 0 16 7", "2 0.3 0 10 7 19"]
    listed = ["# 0", "window.png", "3", "20", "20", str(len(boxes)), *boxes]
    (folder / "windows.txt").write_text("\n".join(listed) + "\n")
    base = f'source: "{folder}/windows.txt" root_folder: "{folder}/" batch_size: 4'
    mean = f'mean_file: "{folder}/mean.binaryproto"'
    for more in (
        "scale: 2",
        "mirror: true",
        mean,
        "fg_threshold: 0.8",
        "bg_threshold: 0.2",
        "fg_fraction: 0.75",
        "context_pad: 2",
        'crop_mode: "square"',
        "cache_images: true",
        "crop_size: 5",
    ):
        written = layer(
            "WindowData",
            "",
            "d l",
            f"window_data_param {{ {base} {more} }} transform_param {{ crop_size: 6 }}",
        )
        yield net(f"windows {more}", written, schema.NetParameter, passes=2)
