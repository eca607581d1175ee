"""On a GPU iterations that are repeated as a CUDA graph give the bits of the plain path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import tinynet.torchcaffe as torchcaffe
from tests.run import small_stages
from tests.torchcaffe.conftest import needs_gpu, on_gpu
from tests.torchcaffe.left_by_solvers import assert_equal
from tinynet.torchcaffe import extensions
from tinynet.torchcaffe.fast import recorded_passes

pytestmark = needs_gpu
# the images come to the device in the first 10, of batch 4
BEFORE, REPEATED = 14, 20


def made(path: Path, repeated: bool, monkeypatch: pytest.MonkeyPatch) -> Any:
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
            solver = made(path, repeated, monkeypatch)
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
        whole = made(path, True, monkeypatch)
        whole.step(36)
        assert whole.recorded.recorded == 1, whole.recorded.refused
        state = path.with_name("snapshot_iter_20.solverstate")
        for repeated in (True, False):
            resumed = made(path, repeated, monkeypatch)
            resumed.restore(str(state))
            extensions.restore_complete(resumed, state)
            resumed.step(16)
            assert_equal(whole, resumed)
