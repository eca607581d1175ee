"""A zero, negative or huge solver number has Caffe's effect or a one-line error, and no hang."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinynet.torchcaffe as caffe
from tests.torchcaffe import both_engines
from tests.torchcaffe.conftest import RealCaffe
from tests.torchcaffe.odd_solver_numbers import ENDLESS, HUGE, Case, cases
from tinynet.torchcaffe import extensions

CASES = [case for case in cases() if (case.field, case.value) not in ENDLESS]
# real Caffe trains all the same: with NaN weights, or without a pass
STRICTER = {("iter_size", 0), ("iter_size", -1)}
# results that depend on the time, or on whether a BLAS kernel makes 0 or NaN of 0 · NaN
BY_CHANCE = {"random_seed=-2", "momentum=1e+38 Adam", "momentum2=-1 Adam", "momentum2=1e+38 Adam"}


def request_of(case: Case, folder: Path) -> dict[str, Any]:
    return {"solver": case.text(str(folder / "s")), "steps": 3}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_extreme_number_works_or_is_refused_in_one_line(case: Case, tmp_path: Path) -> None:
    try:
        both_engines.answer(caffe, request_of(case, tmp_path), {})
    except caffe.CaffeError as refused:
        assert "\n" not in str(refused) and case.field in str(refused)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_extreme_number_has_the_effect_that_it_has_in_real_caffe(
    case: Case, real_caffe: RealCaffe, tmp_path: Path
) -> None:
    request = request_of(case, tmp_path)
    end, _ = real_caffe.attempt(request, {}, tmp_path)
    if end != "done" or (case.field, case.value) in STRICTER:
        with pytest.raises(caffe.CaffeError):
            both_engines.answer(caffe, request, {})
        return
    real = real_caffe.answer(request, {}, tmp_path)
    ours = both_engines.answer(caffe, request, {})
    if str(case) in BY_CHANCE:
        return
    for name in real:
        np.testing.assert_allclose(ours[name], real[name], rtol=2e-4, atol=1e-6, err_msg=name)


def stopped_after(looks: int, case: Case, folder: Path, resumable: bool = False) -> Any:
    """Return a solver that was told to stop at its ``looks``-th check."""
    path = folder / "solver.prototxt"
    path.write_text(case.text(str(folder / "s")))
    solver = caffe.get_solver(str(path))
    if resumable:
        extensions.make_resumable(solver)
    seen = []

    def wanted() -> bool:
        seen.append(solver.iter)
        return len(seen) >= looks

    extensions.stop_when(solver, wanted)
    solver.step(5)
    assert solver.stopped
    return solver


def test_a_stop_ends_an_endless_iteration_which_does_not_count(tmp_path: Path) -> None:
    case = Case("iter_size", HUGE, {})
    solver = stopped_after(4, case, tmp_path)
    assert solver.iter == 0
    weights = solver.net.params["ip"][0].data.copy()
    np.testing.assert_array_equal(
        caffe.get_solver(str(tmp_path / "solver.prototxt")).net.params["ip"][0].data, weights
    )


def test_a_stop_ends_an_endless_test(tmp_path: Path) -> None:
    assert stopped_after(4, Case("test_iter", HUGE, {"test_interval": "2"}), tmp_path).iter == 0


def test_a_run_stopped_within_an_iteration_continues_with_the_same_results(tmp_path: Path) -> None:
    """The random numbers of the passes that were dropped are drawn again."""
    case = Case("iter_size", 4, {"test_iter": "1", "test_interval": "1"})
    stopped = stopped_after(9, case, tmp_path, resumable=True)
    assert stopped.iter == 1
    stopped.snapshot()
    path = str(tmp_path / "solver.prototxt")
    resumed = caffe.get_solver(path)
    extensions.make_resumable(resumed)
    resumed.restore(str(tmp_path / "s_iter_1.solverstate"))
    extensions.restore_complete(resumed, tmp_path / "s_iter_1.solverstate")
    resumed.step(4)
    score = resumed.test_nets[0].forward()["loss"].copy()
    uninterrupted = caffe.get_solver(path)
    uninterrupted.step(5)
    np.testing.assert_array_equal(uninterrupted.test_nets[0].forward()["loss"], score)
    for name, blobs in uninterrupted.net.params.items():
        for blob, again in zip(blobs, resumed.net.params[name]):
            np.testing.assert_array_equal(again.data, blob.data)


def test_a_test_without_batches_has_no_loss(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    case = Case("test_iter", 0, {"test_interval": "2", "test_compute_loss": "true"})
    both_engines.answer(caffe, request_of(case, tmp_path), {})
    assert re.search(r"Test loss: -?nan\n", capfd.readouterr().err)
