"""Recorded and repeated tests and predictions give the bits of the plain path.

Most test machines have no GPU, so ``recorder.Recorder`` stands in for CUDA graphs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tinynet.torchcaffe as caffe
from tests.run import small_stages
from tests.torchcaffe.fast.recorder import Recorder
from tests.torchcaffe.fast.test_dense_crops import CONV, FC, give_weights, net_of
from tinynet.torchcaffe.fast import graphs, recorded_passes
from tinynet.torchcaffe.fast.dense_crops import ViewPredictor

pytestmark = pytest.mark.usefixtures("as_on_a_gpu")
REPEATED = "are repeated as a CUDA graph, which gave the plain path's bits"


def messages(text: str) -> list[str]:
    return [line.partition("] ")[2] for line in text.splitlines()]


def trained_and_tested(path: Path, recorded: bool, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a solver that has trained 19 iterations, with its tests."""
    monkeypatch.setenv(recorded_passes.VARIABLE, "1" if recorded else "0")
    torch.manual_seed(7)
    solver = caffe.get_solver(path)
    solver.step(19)
    return solver


@pytest.mark.parametrize("stage", [1, 7])
def test_repeated_tests_log_the_scores_of_the_plain_path(
    stages: Path, stage: int, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    """The weights change between two tests, and every test begins at another record."""
    path = small_stages.write_stage(stages, stage, test_interval=3)
    monkeypatch.setenv("GLOG_minloglevel", "0")
    said, solvers = [], []
    for recorded in (False, True):
        solvers.append(trained_and_tested(path, recorded, monkeypatch))
        lines = messages(capfd.readouterr().err)
        said.append([line for line in lines if "Test " in line or "test net are" in line])
    plain, repeated = solvers
    assert plain._recorded_tests == {}
    (passes,) = repeated._recorded_tests.values()
    assert passes.recorded == passes.graphs.recordings == 1 and not passes.refused
    assert passes.graphs.repetitions > 10
    more = [line for line in said[1] if line not in said[0]]
    assert more == [f"Passes of the test net {REPEATED}"]
    assert [line for line in said[0] if line not in said[1]] == []
    scores = [line for line in said[0] if "output" in line]
    assert len(scores) == 7 * 3 and len(set(scores)) > 7
    for name, blob in plain.test_nets[0].blobs.items():
        found = repeated.test_nets[0].blobs[name].tensor
        assert graphs.same_bits([found.contiguous()], [blob.tensor.contiguous()]), name


@pytest.mark.parametrize(
    ("unusual", "why"),
    [
        ("callback", "it has callbacks or debug_info"),
        ("images", "the images of layer data do not stay on the device"),
        ("differs", "its results differ from those of the plain path"),
        ("fails", "torch cannot record it (operation not permitted)"),
    ],
)
def test_a_test_that_cannot_be_repeated_stays_on_the_plain_path_and_logs_the_reason_once(
    stages: Path, unusual: str, why: str, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    path = small_stages.write_stage(stages, 7, test_interval=3, max_iter=9)
    plain = trained_and_tested(path, False, monkeypatch)

    def fail(self: Recorder, work: graphs.Work) -> None:
        work()
        raise RuntimeError("operation not permitted\nin a stream that is recorded")

    if unusual == "images":
        monkeypatch.setattr("tinynet.torchcaffe.fast.device_images.fits", lambda *_: False)
    if unusual == "differs":
        monkeypatch.setattr(Recorder, "same", lambda *_: False)
    if unusual == "fails":
        monkeypatch.setattr(Recorder, "record", fail)
    monkeypatch.setenv("GLOG_minloglevel", "0")
    monkeypatch.setenv(recorded_passes.VARIABLE, "1")
    torch.manual_seed(7)
    solver = caffe.get_solver(path)
    if unusual == "callback":
        solver.test_nets[0].before_forward(lambda layer: None)
    solver.step(19)
    said = [line for line in messages(capfd.readouterr().err) if "Passes of the test" in line]
    assert said == [f"Passes of the test net are not repeated as a CUDA graph: {why}"]
    for name, blob in plain.test_nets[0].blobs.items():
        found = solver.test_nets[0].blobs[name].tensor
        assert graphs.same_bits([found.contiguous()], [blob.tensor.contiguous()]), name


def predictor(folder: Path, shares: bool = True) -> tuple[ViewPredictor, caffe.Net]:
    net = net_of(folder, CONV % "" + FC % "conv", (5, 5))
    give_weights(net)
    origins = [(0, 0), (1, 1)] if shares else [(1, 0)]
    mean = np.random.default_rng(1).uniform(90, 160, (2, 6, 6)).astype(np.float32)
    return ViewPredictor(net, origins, shares, mean, 0.0625), net


def images(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 2, 6, 6)).astype(np.uint8)


@pytest.mark.parametrize("shares", [True, False])
def test_repeated_predictions_equal_those_of_the_plain_path_to_the_bit(
    tmp_path: Path, shares: bool, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    repeated, net = predictor(tmp_path, shares)
    assert repeated.shares == shares
    monkeypatch.setenv(recorded_passes.VARIABLE, "0")
    plain, other = predictor(tmp_path, shares)
    monkeypatch.setenv("GLOG_minloglevel", "0")
    kept = []
    for seed in range(6):
        some = images(4, seed)
        kept.append((repeated(some), plain(some)))
    recorder = repeated._run._graphs
    assert isinstance(recorder, Recorder) and recorder.recordings == 1
    # one for the comparison, and every prediction after the first two
    assert recorder.repetitions == 5
    last = images(3, 9)  # a batch of another size, such as the last one, takes the plain path
    kept.append((repeated(last), plain(last)))
    kept.append((repeated(some), plain(some)))
    assert recorder.repetitions == 6
    # later predictions leave the returned arrays unchanged
    for found, expected in kept:
        np.testing.assert_array_equal(found.view(np.int32), expected.view(np.int32))
    for each in (net, other):
        each.params["conv"][0].data[...] *= -1
    np.testing.assert_array_equal(repeated(some), plain(some))
    said = [line for line in messages(capfd.readouterr().err) if "Predictions" in line]
    assert said == [f"Predictions {REPEATED}"]


def test_predictions_return_to_the_plain_path_once_a_recording_has_failed_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    repeated, _ = predictor(tmp_path)
    monkeypatch.setenv(recorded_passes.VARIABLE, "0")
    plain, _ = predictor(tmp_path)
    monkeypatch.setenv("GLOG_minloglevel", "0")
    for seed in range(4):
        repeated(images(4, seed))
    assert repeated._run.recorded == 1
    before = repeated._run._graphs.repetitions  # type: ignore[union-attr]
    monkeypatch.setattr(Recorder, "failed", lambda self: "one has failed")
    for seed in range(3):
        np.testing.assert_array_equal(repeated(images(4, seed)), plain(images(4, seed)))
    assert repeated._run._graphs.repetitions == before  # type: ignore[union-attr]
    said = [line for line in messages(capfd.readouterr().err) if "Predictions" in line]
    assert said == [
        f"Predictions {REPEATED}",
        "Predictions are not repeated as a CUDA graph: one has failed",
    ]


def test_memory_that_repetitions_write_to_is_kept_when_a_larger_batch_takes_new_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def record(self: Recorder, work: graphs.Work) -> graphs.Work:
        work()
        return lambda: None  # holds nothing, as a CUDA graph holds no tensor of ours

    monkeypatch.setattr(Recorder, "record", record)
    repeated, net = predictor(tmp_path, shares=False)
    repeated(images(4, 0))
    seen = net.blobs["data"].data  # results are copied to the memory that a script has seen
    place = seen.__array_interface__["data"][0]
    for seed in range(3):
        repeated(images(4, seed))
    assert net.blobs["data"].tensor.data_ptr() == place and repeated._run.recorded == 1
    del seen
    repeated(images(40, 1))
    assert net.blobs["data"].tensor.data_ptr() != place
    assert [each.data_ptr() for each in repeated._run._written].count(place) == 1


@pytest.mark.parametrize(
    ("unusual", "why"),
    [
        ("layer", "layer odd is of type MVN, whose work may change"),
        ("differs", "its results differ from those of the plain path"),
        ("fails", "torch cannot record it (operation not permitted)"),
    ],
)
def test_what_cannot_be_recorded_is_predicted_on_the_plain_path_and_logged_once(
    tmp_path: Path, unusual: str, why: str, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    layers = CONV % "" + FC % "conv"
    if unusual == "layer":
        odd = 'layer { name: "odd" type: "MVN" bottom: "conv" top: "odd" }'
        layers = CONV % "" + odd + FC % "odd"
    net = net_of(tmp_path, layers, (5, 5))
    give_weights(net)

    def fail(self: Recorder, work: graphs.Work) -> None:
        raise RuntimeError("operation not permitted")

    if unusual == "differs":
        monkeypatch.setattr(Recorder, "same", lambda *_: False)
    if unusual == "fails":
        monkeypatch.setattr(Recorder, "record", fail)
    monkeypatch.setenv("GLOG_minloglevel", "0")
    repeated = ViewPredictor(net, [(0, 0), (1, 1)], True)
    monkeypatch.setenv(recorded_passes.VARIABLE, "0")
    plain = ViewPredictor(net, [(0, 0), (1, 1)], True)
    for seed in range(5):
        some = images(4, seed)
        np.testing.assert_array_equal(repeated(some), plain(some))
    said = [line for line in messages(capfd.readouterr().err) if "Predictions" in line]
    assert said == [f"Predictions are not repeated as a CUDA graph: {why}"]
