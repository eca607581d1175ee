"""``tinynet train --max-norm`` limits every unit's weights in both engines, also on resume."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.run import small_runs
from tests.run.small_runs import RUN, Trained, record, train
from tinynet.caffeformat import binary, schema
from tinynet.engine.worker import max_norm

LIMIT = 0.4  # the small net's rows begin at 0.6 and grow


def norms(folder: Path, iteration: int, run: Path = RUN) -> list[float]:
    file = folder / run / f"snapshots/snapshot_iter_{iteration}.caffemodel"
    net = binary.read(file, schema.NetParameter)
    (layer,) = (layer for layer in net.layer if layer.name == "fc1")
    rows = np.array(layer.blobs[0].data, np.float64).reshape(4, -1)
    return [float(n) for n in np.linalg.norm(rows, axis=1)]


def small_net(kind: str) -> Any:
    """Two units with the weights (3, 4) and (0.3, 0.4), as pycaffe shows them."""
    rows = np.array([[3, 4], [0.3, 0.4]], np.float32)
    shape = (2, 2, 1, 1) if kind == "Convolution" else (2, 2)
    blobs = [SimpleNamespace(data=rows.reshape(shape)), SimpleNamespace(data=np.full(2, 9.0))]
    return SimpleNamespace(
        _layer_names=["a"], layers=[SimpleNamespace(type=kind)], params={"a": blobs}
    )


@pytest.mark.parametrize("kind", ["Convolution", "InnerProduct"])
def test_only_rows_beyond_the_norm_are_scaled_and_no_bias(kind: str) -> None:
    net = small_net(kind)
    max_norm.limit(net, 2.0)  # (3, 4) has norm 5
    weights, bias = (blob.data for blob in net.params["a"])
    np.testing.assert_allclose(weights.reshape(2, 2), [[1.2, 1.6], [0.3, 0.4]], rtol=1e-6)
    assert bias.tolist() == [9, 9]
    once = weights.copy()
    max_norm.limit(net, 2.0)
    assert (weights == once).all()


def test_another_layers_blobs_are_not_touched() -> None:
    net = small_net("Scale")
    max_norm.limit(net, 0.1)
    assert net.params["a"][0].data[0].tolist() == [3, 4]


def test_a_weight_that_is_nan_stays_nan() -> None:
    net = small_net("InnerProduct")
    net.params["a"][0].data[0, 0] = math.inf
    max_norm.limit(net, 2.0)
    assert not np.isfinite(net.params["a"][0].data[0]).all()


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """``limited(engine)``: a folder with a finished run under the limit, to be left unchanged."""

    @functools.lru_cache
    def trained_under_limit(engine: str) -> Path:
        folder = tmp_path_factory.mktemp(engine)
        small_runs.write_files(folder)
        child = train(folder, "--engine", engine, "--cpu", "--max-norm", str(LIMIT))
        assert child.returncode == 0, child.stderr
        assert "max-norm 0.4" in child.stderr
        return folder

    return trained_under_limit


def test_every_snapshot_keeps_to_the_norm_in_either_engine(
    limited: Callable[[str], Path], trained: Trained, tmp_path: Path, engine: str
) -> None:
    folder = limited(engine)
    assert record(folder)["max_norm"] == LIMIT
    for iteration in (8, 16, 24):
        found = norms(folder, iteration)
        assert max(found) <= LIMIT * (1 + 1e-6), iteration
        assert max(found) > 0.99 * LIMIT  # so the limit was met
    assert max(norms(trained(engine, tmp_path), 8)) > LIMIT


def test_a_resumed_run_has_identical_weights_and_keeps_its_norm(
    limited: Callable[[str], Path], folder: Path
) -> None:
    pytest.importorskip("torch")
    options = ("--engine", "torch", "--cpu")
    # 13 is no multiple of the snapshot interval
    first = train(folder, *options, "--max-norm", str(LIMIT), "--max-iter", "13")
    assert first.returncode == 0, first.stderr
    longer = (*options, "--resume", "--max-iter", "24")
    refused = train(folder, *longer, "--max-norm", "2")
    assert refused.returncode == 1 and "max-norm 0.4 -> 2" in refused.stderr
    second = train(folder, *longer)
    assert second.returncode == 0, second.stderr
    name = "snapshots/snapshot_iter_24.caffemodel"
    mine, theirs = (folder / RUN / name, limited("torch") / RUN / name)
    assert mine.read_bytes() == theirs.read_bytes()


def test_transposed_weights_are_refused_before_anything_is_written(folder: Path) -> None:
    net = folder / "small/train_val.prototxt"
    net.write_text(net.read_text().replace("num_output: 4", "num_output: 4 transpose: true"))
    child = train(folder, "--cpu", "--max-norm", "1")
    assert child.returncode == 2 and "layer 'fc1' has transpose: true" in child.stderr
    assert not (folder / "runs").exists()


def test_max_norm_is_the_same_in_both_engines(
    trained: Trained, tmp_path: Path, caffe_python: str
) -> None:
    pytest.importorskip("torch")
    folder = trained("caffe", tmp_path)
    weights = str(RUN / "snapshots/snapshot_iter_8.caffemodel")
    found = []
    for engine in ("caffe", "torch"):
        options = ("--engine", engine, "--cpu", "--name", engine, "--weights", weights)
        child = train(folder, *options, "--max-norm", str(LIMIT))
        assert child.returncode == 0, child.stderr
        file = folder / f"runs/small/{engine}/snapshots/snapshot_iter_24.caffemodel"
        net = binary.read(file, schema.NetParameter)
        found.append([b.data for layer in net.layer if layer.name == "fc1" for b in layer.blobs])
    for mine, theirs in zip(*found):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-6)
