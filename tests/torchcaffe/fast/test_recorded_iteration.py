"""Recorded and repeated iterations give the bits of the plain path.

Most test machines have no GPU, so ``recorder.Recorder`` stands in for CUDA graphs.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tinynet.torchcaffe as caffe
from tests.run import small_stages
from tests.torchcaffe.fast.recorder import Recorder
from tests.torchcaffe.solver_state import assert_equal
from tinynet.caffeformat import schema, text
from tinynet.torchcaffe import extensions
from tinynet.torchcaffe.blob import Part
from tinynet.torchcaffe.fast import graphs, recorded_passes

pytestmark = pytest.mark.usefixtures("as_on_a_gpu")


def build_solver(path: Path, recorded: bool, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv(recorded_passes.VARIABLE, "1" if recorded else "0")
    torch.manual_seed(7)
    solver = caffe.get_solver(path)
    extensions.make_resumable(solver)
    return solver


@pytest.mark.parametrize("iter_size", [1, 2])
@pytest.mark.parametrize("stage", [1, 7])
def test_repeated_iterations_leave_the_bits_of_the_plain_path_and_log_the_same(
    stages: Path, stage: int, iter_size: int, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    """The run includes tests, displays and a step of the learning rate."""
    path = small_stages.write_stage(stages, stage, iter_size=iter_size, stepvalue=19)
    monkeypatch.setenv("GLOG_minloglevel", "0")
    said, solvers = [], []
    for recorded in (False, True):
        solver = build_solver(path, recorded, monkeypatch)
        solver.step(22)
        random = torch.get_rng_state()
        lines = [line.partition("] ")[2] for line in capfd.readouterr().err.splitlines()]
        said.append([line for line in lines if "Iteration" in line and " iter/s" not in line])
        solvers.append((solver, random))
    (plain, drawn), (repeated, drawn_by_repeating) = solvers
    assert not plain.recorded and not repeated.recorded.refused
    assert repeated.recorded.recorded == 1
    assert_equal(plain, repeated)
    assert torch.equal(drawn, drawn_by_repeating)
    lost = [line for line in said[1] if line not in said[0]]
    assert lost == ["Iterations are repeated as a CUDA graph, which gave the plain path's bits"]
    assert [line for line in said[0] if line not in said[1]] == []
    # the passes, the update, and the update at the new rate
    recorder = repeated.recorded.graphs
    assert recorder.recordings == 3 and recorder.repetitions > 10


def test_a_run_resumes_exactly_whether_its_iterations_are_repeated_or_not(
    stages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = small_stages.write_stage(stages, 7, snapshot=16)
    whole = build_solver(path, True, monkeypatch)
    whole.step(16)
    drawn = torch.get_rng_state()  # on a GPU this is a part of the complete state
    whole.step(14)
    assert whole.recorded.recorded == 1
    state = path.with_name("snapshot_iter_16.solverstate")
    for recorded in (True, False):
        resumed = build_solver(path, recorded, monkeypatch)
        resumed.restore(str(state))
        extensions.restore_complete(resumed, state)
        torch.set_rng_state(drawn)
        resumed.step(14)
        assert_equal(whole, resumed)


def test_every_change_that_makes_a_recording_stale_causes_a_new_one(
    stages: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = small_stages.write_stage(stages, 7, test_interval=1000)
    plain, repeated = (build_solver(path, recorded, monkeypatch) for recorded in (False, True))
    weights = str(tmp_path / "weights.caffemodel")
    plain.net.save(weights)

    def rate_of_one(solver: Any) -> None:
        solver.net.params_lr[0] = 0.5

    def frozen(solver: Any) -> None:
        solver.net.graph.layers[1].param_propagate_down[0] = False

    def copied(solver: Any) -> None:
        solver.net.copy_from(weights)

    def momentum(solver: Any) -> None:
        solver.parameters.momentum = 0.5

    def looked_at(solver: Any) -> None:
        solver.net.params["conv1"][0].data[0] *= 2

    changes: list[tuple[Callable[[Any], None], int]] = [
        (lambda solver: None, 1),
        (rate_of_one, 1),
        (frozen, 2),
        (copied, 2),
        (momentum, 2),
        (looked_at, 2),
    ]
    steps = 14
    for change, recordings in changes:
        for solver in (plain, repeated):
            change(solver)
            generator = torch.get_rng_state()
            torch.manual_seed(3)
            solver.step(steps)
            torch.set_rng_state(generator)
        steps = 5
        assert_equal(plain, repeated)
        assert repeated.recorded.recorded == recordings, change
    recorder = repeated.recorded.graphs
    before = recorder.repetitions
    repeated.step(1)
    assert recorder.repetitions == before + 2  # the passes and the update


def test_where_the_rate_changes_every_iteration_the_log_says_that_updates_are_not_repeated(
    stages: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    path = small_stages.write_stage(
        stages, 1, display=0, test_interval=1000, lr_policy='"poly"', power=0.5, max_iter=100
    )
    plain = build_solver(path, False, monkeypatch)
    plain.step(16)
    monkeypatch.setenv("GLOG_minloglevel", "0")
    repeated = build_solver(path, True, monkeypatch)
    repeated.step(14)
    recorder = repeated.recorded.graphs
    before = recorder.repetitions
    repeated.step(2)
    assert recorder.repetitions == before + 2  # only the passes
    lines = [line.partition("] ")[2] for line in capfd.readouterr().err.splitlines()]
    assert [line for line in lines if re.match("Iterations are", line)] == [
        "Iterations are repeated as a CUDA graph, which gave the plain path's bits; but not the "
        "updates, whose rate changes each time (lr_policy 'poly')"
    ]
    assert_equal(plain, repeated)


@pytest.fixture
def on_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU, an array given to a script counts as newer than the tensor."""
    given = Part.numpy

    def numpy(self: Part, shape: tuple[int, ...]) -> np.ndarray:
        values = given(self, shape).copy()
        self.host, self.host_is_newer = torch.from_numpy(values), True
        return values

    monkeypatch.setattr(Part, "numpy", numpy)


@pytest.mark.usefixtures("on_a_device")
def test_a_script_that_reads_blobs_every_iteration_sees_the_same_values_from_repeated_iterations(
    stages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reads loss, labels, a gradient and weights after each step, as pycaffe's users do.

    After one of the steps it also writes into the weights.
    """
    path = small_stages.write_stage(stages, 7, display=0, test_interval=1000)
    seen, solvers = [], []
    for recorded in (False, True):
        solver = build_solver(path, recorded, monkeypatch)
        torch.manual_seed(3)
        values = []
        for number in range(24):
            solver.step(1)
            net = solver.net
            values += [net.blobs[name].data.tolist() for name in ("loss", "label")]
            values.append(net.params["fc2"][0].diff.tolist())
            weights = net.params["fc2"][0].data
            values.append(weights.tolist())
            if number == 15:
                weights *= 2
        seen.append(values)
        solvers.append(solver)
    assert seen[0] == seen[1]
    repeated = solvers[1].recorded
    assert repeated.recorded == 1 and repeated.graphs.repetitions > 10
    assert_equal(*solvers)


@pytest.mark.usefixtures("on_a_device")
def test_values_that_a_script_fills_in_after_the_recording_are_used(
    stages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here into the top of an Input layer, which another layer changes in place."""
    path = small_stages.write_stage(stages, 7, display=0, test_interval=1000)
    _with(
        path,
        'layer { name: "filled" type: "Input" top: "filled" input_param { shape { dim: 1 } } } '
        'layer { name: "cut" type: "ReLU" bottom: "filled" top: "filled" }',
    )
    solver = build_solver(path, True, monkeypatch)
    solver.step(14)
    assert solver.recorded.recorded >= 1
    found = []
    for value in (3, -2, 5, -1, 7, 2):
        solver.net.blobs["filled"].data[0] = value
        solver.step(1)
        found.append(solver.net.blobs["filled"].data.tolist())
    assert found == [[3], [0], [5], [0], [7], [2]]
    assert solver.recorded.repeated


def test_a_net_that_changes_every_iteration_is_no_longer_repeated_and_the_log_says_so_once(
    stages: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    path = small_stages.write_stage(stages, 7, display=0, test_interval=1000)
    monkeypatch.setenv("GLOG_minloglevel", "0")
    monkeypatch.setattr(recorded_passes, "MOST_CHANGES", 3)
    solver = build_solver(path, True, monkeypatch)
    solver.step(14)
    layer = solver.net.graph.layers[1]
    for number in range(5):
        layer.param_propagate_down[0] = bool(number % 2)
        solver.step(1)
    lines = [line.partition("] ")[2] for line in capfd.readouterr().err.splitlines()]
    assert [line for line in lines if re.match("Iterations are", line)] == [
        "Iterations are repeated as a CUDA graph, which gave the plain path's bits",
        "Iterations are not repeated as a CUDA graph: it has changed 3 times",
    ]


def _with(path: Path, source: str) -> None:
    """Add layers to the training net, before its first Convolution."""
    where = path.with_name("train_val.prototxt")
    net = text.read(where, schema.NetParameter)
    more = text.parse(source, schema.NetParameter, "more")
    index = next(i for i, layer in enumerate(net.layer) if layer.type == "Convolution")
    layers = [*net.layer[:index], *more.layer, *net.layer[index:]]
    del net.layer[:]
    net.layer.extend(layers)
    text.write(where, net)


@pytest.mark.parametrize(
    ("unusual", "said"),
    [
        ("callback", "it has callbacks or debug_info"),
        ("debug_info", "it has callbacks or debug_info"),
        ("layer", "layer odd is of type DummyData, whose work may change"),
        ("images", "the images of layer data do not stay on the device"),
        ("differs", "its results differ from those of the plain path"),
        ("fails", "torch cannot record it (operation not permitted)"),
    ],
)
def test_iterations_that_cannot_be_repeated_stay_on_the_plain_path_and_the_reason_is_logged_once(
    stages: Path, unusual: str, said: str, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    path = small_stages.write_stage(
        stages, 7, display=0, test_interval=1000, debug_info=str(unusual == "debug_info").lower()
    )
    if unusual == "layer":
        _with(
            path,
            'layer { name: "odd" type: "DummyData" top: "odd" '
            "dummy_data_param { shape { dim: 1 } } }",
        )
    if unusual == "images":
        monkeypatch.setattr("tinynet.torchcaffe.fast.device_images.fits", lambda *_: False)
    if unusual == "differs":
        monkeypatch.setattr(Recorder, "wrong", True)
    if unusual == "fails":

        def fail(self: Recorder, work: graphs.Work) -> None:
            work()
            raise RuntimeError("operation not permitted\nin a stream that is recorded")

        monkeypatch.setattr(Recorder, "record", fail)
    monkeypatch.setenv("GLOG_minloglevel", "0")
    solvers = []
    for recorded in (False, True):
        solver = build_solver(path, recorded, monkeypatch)
        if unusual == "callback":
            solver.add_callback(lambda: None, lambda: None)
        capfd.readouterr()
        solver.step(16)
        lines = [line.partition("] ")[2] for line in capfd.readouterr().err.splitlines()]
        found = [line for line in lines if re.match("Iterations .* CUDA graph", line)]
        wanted = f"Iterations are not repeated as a CUDA graph: {said}"
        assert found == ([wanted] if recorded else [])
        solvers.append(solver)
    assert_equal(*solvers)


def test_when_a_later_recording_fails_the_plain_path_continues_with_the_same_bits(
    stages: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    """The update at the rate after a step fails; then nothing on that device is repeated."""
    path = small_stages.write_stage(stages, 7, display=0, test_interval=1000, stepvalue=17)
    plain = build_solver(path, False, monkeypatch)
    plain.step(26)
    record, failed = Recorder.record, []

    def fail_at_the_third(self: Recorder, work: graphs.Work) -> Callable[[], object]:
        if self.recordings == 2:
            failed.append(True)
            raise RuntimeError("operation not permitted")
        return record(self, work)

    monkeypatch.setattr(Recorder, "record", fail_at_the_third)
    monkeypatch.setattr(Recorder, "failed", lambda self: "it has failed" if failed else "")
    monkeypatch.setenv("GLOG_minloglevel", "0")
    repeated = build_solver(path, True, monkeypatch)
    repeated.step(26)
    lines = [line.partition("] ")[2] for line in capfd.readouterr().err.splitlines()]
    said = [line for line in lines if re.match("Iterations are", line)]
    assert said == [
        "Iterations are repeated as a CUDA graph, which gave the plain path's bits",
        "Iterations are not repeated as a CUDA graph: torch cannot record the update "
        "(operation not permitted)",
    ]
    assert len(failed) == 1
    assert_equal(plain, repeated)


def test_a_recording_that_failed_elsewhere_ends_the_use_of_this_one(
    stages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The failure left torch's generator in a state that only the plain path draws from."""
    path = small_stages.write_stage(stages, 1, display=0, test_interval=1000)
    plain, repeated = (build_solver(path, recorded, monkeypatch) for recorded in (False, True))
    for solver in (plain, repeated):
        torch.manual_seed(3)
        solver.step(14)
    assert repeated.recorded.recorded == 1
    monkeypatch.setattr(Recorder, "failed", lambda self: "it has failed")
    before = repeated.recorded.graphs.repetitions
    for solver in (plain, repeated):
        solver.step(2)
    assert repeated.recorded.refused == "it has failed"
    assert repeated.recorded.graphs.repetitions == before
    assert_equal(plain, repeated)


def test_recording_is_off_without_fast_and_by_its_own_environment_variable(
    stages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = small_stages.write_stage(stages, 1)
    assert build_solver(path, True, monkeypatch).recorded is not None
    assert build_solver(path, False, monkeypatch).recorded is None
    extensions.set_fast(False)
    try:
        assert not hasattr(build_solver(path, True, monkeypatch), "recorded")
    finally:
        extensions.set_fast(True)
