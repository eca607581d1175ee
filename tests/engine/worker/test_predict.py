"""The prediction worker, with a stand-in for ``caffe`` that records how it is used."""

from __future__ import annotations

import ast
import io
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from tinynet.caffeformat import image_records
from tinynet.caffeformat import transform as crops
from tinynet.caffeformat.datum import encode_datum
from tinynet.caffeformat.lmdb import write_store
from tinynet.engine.worker import images as sources
from tinynet.engine.worker import predict
from tinynet.errors import TinynetError

CLASSES = 3


class Blob:
    def __init__(self, shape):
        self.data = np.zeros(shape, np.float32)

    def reshape(self, *shape):
        self.data = np.zeros(shape, np.float32)


def stand_in(calls: list) -> types.ModuleType:
    """A module with pycaffe's API; its net returns means of the input's corners."""
    module = types.ModuleType("stand_in_caffe")
    module.TEST = 1
    module.get_solver = None
    for name in ("set_device", "set_mode_gpu", "set_mode_cpu"):
        setattr(module, name, lambda *a, name=name: calls.append((name, *a)))

    class Net:
        inputs, outputs = ["data"], ["prob"]

        def __init__(self, model, phase, weights):
            calls.append(("Net", model, phase, weights))
            self.blobs = {"data": Blob((1, 2, 3, 3)), "prob": Blob((1, CLASSES))}

        def reshape(self):
            self.blobs["prob"].reshape(len(self.blobs["data"].data), CLASSES)

        def forward(self):
            x = self.blobs["data"].data
            calls.append(("forward", len(x)))
            corners = np.stack([x[:, 0, 0, 0], x[:, 1, 0, -1], x[:, 0, -1, 0]], axis=1)
            self.blobs["prob"].data[...] = corners

    module.Net = Net
    return module


@pytest.fixture
def work(monkeypatch, tmp_path):
    """work(images, *arguments) runs the worker in this process: (probabilities, calls)."""
    calls: list = []
    monkeypatch.setitem(sys.modules, "stand_in_caffe", stand_in(calls))

    def run(images: np.ndarray, *arguments: str, count: int | None = None):
        stdin = types.SimpleNamespace(buffer=io.BytesIO(images.tobytes()))
        monkeypatch.setattr(sys, "stdin", stdin)
        shape = ",".join(map(str, images.shape[1:]))
        given = ["--engine=stand_in_caffe", "--model=m", "--weights=w", f"--shape={shape}"]
        given += [f"--count={len(images) if count is None else count}"]
        given += [f"--out={tmp_path / 'out.npy'}", *arguments]
        assert predict.main(given) == 0
        return np.load(tmp_path / "out.npy"), calls

    return run


def images_of(count: int, size: int = 5) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 2, size, size)).astype(np.uint8)


def test_on_a_gpu_the_device_is_set_then_the_mode_then_the_net_is_made(work):
    _, calls = work(images_of(1), "--crop-size=3", "--gpu=2")
    assert calls[:3] == [("set_device", 2), ("set_mode_gpu",), ("Net", "m", 1, "w")]
    assert ("set_mode_cpu",) not in calls


def test_on_the_cpu_only_the_mode_is_set(work):
    _, calls = work(images_of(1), "--crop-size=3")
    assert [call[0] for call in calls[:2]] == ["set_mode_cpu", "Net"]


def test_batches_hold_whole_images_and_the_last_one_what_is_left(work):
    _, calls = work(images_of(7), "--crop-size=3", "--crop=oversample", "--batch=39")
    assert [call[1] for call in calls if call[0] == "forward"] == [30, 30, 10]


def test_views_are_transformed_and_averaged_as_computed_by_hand(work, tmp_path):
    images = images_of(3)
    mean = np.random.default_rng(1).random((2, 5, 5)).astype(np.float32)
    np.save(tmp_path / "mean.npy", mean)
    out, _ = work(
        images, "--crop-size=3", "--crop=oversample", f"--mean={tmp_path / 'mean.npy'}",
        "--scale=0.5",
    )  # fmt: skip
    x = (images - mean) * np.float32(0.5)
    tops = [(0, 0), (0, 2), (2, 0), (2, 2), (1, 1)]
    expected = np.zeros((3, CLASSES))
    for top, left in tops:
        crop = x[:, :, top : top + 3, left : left + 3]
        for view in (crop, crop[..., ::-1]):
            expected += np.stack([view[:, 0, 0, 0], view[:, 1, 0, -1], view[:, 0, -1, 0]], axis=1)
    np.testing.assert_allclose(out, expected / 10, rtol=1e-5)


def test_an_lmdb_gives_the_same_result_as_a_pipe_and_its_labels_are_kept(
    work, tmp_path, monkeypatch
):
    extensions = types.SimpleNamespace(
        read_images=image_records.read_images, set_precision=lambda name: None
    )
    monkeypatch.setattr(sys.modules["stand_in_caffe"], "extensions", extensions, raising=False)
    images = images_of(7)
    records = [(b"%08d" % n, encode_datum(image, n % CLASSES)) for n, image in enumerate(images)]
    write_store(tmp_path / "lmdb", records)
    by_pipe, _ = work(images, "--crop-size=3", "--batch=3")
    np.save(tmp_path / "chosen.npy", np.array([0, 2, 5]))
    source = [f"--source={tmp_path / 'lmdb'}", f"--labels-out={tmp_path / 'labels.npy'}"]
    given = ["--crop-size=3", "--batch=3", *source, f"--classes={CLASSES}"]
    nothing = np.empty((0, *images.shape[1:]), np.uint8)
    by_lmdb, _ = work(nothing, *given, count=7)
    np.testing.assert_array_equal(by_lmdb, by_pipe)
    np.testing.assert_array_equal(np.load(tmp_path / "labels.npy"), np.arange(7) % CLASSES)
    chosen, _ = work(nothing, *given, f"--chosen={tmp_path / 'chosen.npy'}", count=3)
    np.testing.assert_array_equal(chosen, by_pipe[[0, 2, 5]])
    with pytest.raises(TinynetError, match="record 2 has the label 2, but there are 2 classes"):
        work(nothing, *given[:-1], "--classes=2", count=7)
    with pytest.raises(TinynetError, match="7 of the 8 images"):
        work(nothing, *given, count=8)


def test_an_image_stream_that_ends_early_leaves_no_file(work, tmp_path):
    with pytest.raises(TinynetError, match="ended early"):
        work(images_of(3), "--crop-size=3", count=4)
    assert not (tmp_path / "out.npy").exists()


def test_an_engine_with_extensions_gets_raw_bytes_and_the_transformation(work, monkeypatch):
    asked, transforms = [], []

    def view_predictor(net, **transform):
        transforms.append(transform)

        def predict_views(images):
            asked.append(images.copy())
            values = np.arange(len(images) * 10 * CLASSES, dtype=np.float32)
            return values.reshape(len(images), 10, CLASSES)

        return predict_views

    extensions = types.SimpleNamespace(
        view_predictor=view_predictor, set_precision=lambda name: None
    )
    monkeypatch.setattr(sys.modules["stand_in_caffe"], "extensions", extensions, raising=False)
    images = images_of(3)
    out, calls = work(images, "--crop-size=3", "--crop=oversample", "--batch=20", "--scale=0.5")
    assert [len(values) for values in asked] == [2, 1]
    np.testing.assert_array_equal(np.concatenate(asked), images)
    assert asked[0].dtype == np.uint8
    (transform,) = transforms
    assert transform["origins"] == [(0, 0), (0, 2), (2, 0), (2, 2), (1, 1)]
    assert transform["mirror"] and transform["scale"] == 0.5 and not transform["mean"].any()
    assert out[0, 0] == np.arange(0, 30, 3).mean() and not [c for c in calls if c[0] == "forward"]
    work(images, "--crop-size=3")
    assert transforms[1]["origins"] == [(1, 1)] and not transforms[1]["mirror"]


@pytest.mark.parametrize("module", [predict, sources, crops])
def test_the_prediction_worker_is_python_3_6(module):
    ast.parse(Path(module.__file__).read_text(encoding="utf-8"), feature_version=(3, 6))
