"""On a GPU, work repeated as a CUDA graph gives the bits of the plain path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tinynet.torchcaffe as torchcaffe
from tests.run import small_stages
from tests.torchcaffe.conftest import needs_gpu, on_gpu
from tests.torchcaffe.solver_state import assert_equal
from tinynet.caffeformat.transform import crop_origins
from tinynet.torchcaffe import extensions
from tinynet.torchcaffe.fast import graphs, recorded_passes
from tinynet.torchcaffe.fast.dense_crops import ViewPredictor
from tinynet.torchcaffe.layer_types.dropout import Dropout

pytestmark = needs_gpu
# the first 10, of batch 4, copy the images to the device
BEFORE, REPEATED = 14, 20


def build_solver(path: Path, repeated: bool, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv(recorded_passes.VARIABLE, "1" if repeated else "0")
    solver = torchcaffe.get_solver(path)
    extensions.make_resumable(solver)
    return solver


@pytest.mark.parametrize("iter_size", [1, 2])
@pytest.mark.parametrize("precision", ["float32", "tf32", "bf16"])
@pytest.mark.parametrize("stage", [1, 7])
def test_twenty_repeated_iterations_leave_the_bits_of_the_plain_path(
    stages: Path, stage: int, precision: str, iter_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = small_stages.write_stage(
        stages, stage, full_size=True, iter_size=iter_size, stepvalue=25, max_iter=100
    )
    with on_gpu():
        extensions.set_precision(precision)
        solvers = []
        for repeated in (False, True):
            solver = build_solver(path, repeated, monkeypatch)
            solver.step(BEFORE + REPEATED)
            solvers.append((solver, torch.cuda.get_rng_state()))
        (plain, drawn), (graph, drawn_by_graph) = solvers
        assert graph.recorded.recorded == 1, graph.recorded.refused
        assert plain.recorded is None
        assert_equal(plain, graph)
        assert torch.equal(drawn, drawn_by_graph)


@pytest.mark.parametrize("stage", [1, 7])
def test_a_run_resumes_exactly_across_repeated_iterations(
    stages: Path, stage: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = small_stages.write_stage(stages, stage, full_size=True, snapshot=20, max_iter=100)
    with on_gpu():
        whole = build_solver(path, True, monkeypatch)
        whole.step(36)
        assert whole.recorded.recorded == 1, whole.recorded.refused
        state = path.with_name("snapshot_iter_20.solverstate")
        for repeated in (True, False):
            resumed = build_solver(path, repeated, monkeypatch)
            resumed.restore(str(state))
            extensions.restore_complete(resumed, state)
            resumed.step(16)
            assert_equal(whole, resumed)


def test_after_a_failed_recording_the_plain_path_draws_and_frees_memory_as_before(
    stages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The work reads a value back while it is recorded, which CUDA does not permit."""
    path = small_stages.write_stage(stages, 7, full_size=True, max_iter=100)
    draw = Dropout._draw

    def ask(self: Dropout, values: torch.Tensor) -> torch.Tensor:
        if torch.cuda.is_current_stream_capturing():
            float(values.sum())
        return draw(self, values)

    monkeypatch.setattr(Dropout, "_draw", ask)
    monkeypatch.setattr(graphs, "_FAILED", {})
    with on_gpu():
        main = torch.cuda.current_stream()
        plain, failed = (build_solver(path, repeated, monkeypatch) for repeated in (False, True))
        drawn = []
        for solver in (plain, failed):
            torch.cuda.manual_seed(3)
            solver.step(BEFORE + REPEATED)
            drawn.append(torch.cuda.get_rng_state())
        assert "torch cannot record it" in failed.recorded.refused
        assert_equal(plain, failed)
        assert torch.equal(*drawn)
        assert torch.cuda.current_stream() == main
        torch.cuda.empty_cache()  # torch refuses this while it believes it is recording


@pytest.mark.parametrize("precision", ["float32", "tf32", "bf16"])
@pytest.mark.parametrize("stage", [1, 7])
def test_repeated_tests_leave_the_bits_of_the_plain_path(
    stages: Path, stage: int, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = small_stages.write_stage(stages, stage, full_size=True, test_interval=3, max_iter=100)
    with on_gpu():
        extensions.set_precision(precision)
        plain, repeated = (build_solver(path, graph, monkeypatch) for graph in (False, True))
        for solver in (plain, repeated):
            solver.step(19)
        (passes,) = repeated._recorded_tests.values()
        assert passes.recorded == 1, passes.refused
        for name, blob in plain.test_nets[0].blobs.items():
            found = repeated.test_nets[0].blobs[name].tensor
            assert graphs.same_bits([found.contiguous()], [blob.tensor.contiguous()]), name


@pytest.mark.parametrize("precision", ["float32", "tf32", "bf16"])
@pytest.mark.parametrize("crops", [1, 10])
def test_repeated_predictions_have_the_bits_of_the_plain_path(
    crops: int, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = str(small_stages.ROOT / "prototxt/stage7_dropout2/deploy.prototxt")
    numbers = np.random.default_rng(1)
    origins = crop_origins(64, 64, 60) if crops == 10 else [(2, 2)]
    mean = numbers.uniform(90, 160, (3, 64, 64)).astype(np.float32)
    with on_gpu():
        extensions.set_precision(precision)
        net = torchcaffe.Net(model, torchcaffe.TEST)
        for blobs in net.params.values():
            for blob in blobs:
                inputs = np.prod(blob.data.shape[1:])
                blob.data[...] = numbers.normal(0, (2.0 / inputs) ** 0.5, blob.data.shape)
        predictors = []
        for graph in ("0", "1"):
            monkeypatch.setenv(recorded_passes.VARIABLE, graph)
            given = net, origins, crops == 10, mean, 0.02
            predictors.append(ViewPredictor(*given, measure=False))
        plain, repeated = predictors
        for count in (8, 8, 8, 8, 8, 5, 8):
            images = numbers.integers(0, 256, (count, 3, 64, 64)).astype(np.uint8)
            np.testing.assert_array_equal(repeated(images), plain(images))
        assert repeated._run.recorded == 1, repeated._run.refused
