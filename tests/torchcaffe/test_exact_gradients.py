"""The stages' gradients differ from float64's only by rounding, no more than real Caffe's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinynet.torchcaffe as torchcaffe
from tests.torchcaffe import both_engines, exact_gradients
from tests.torchcaffe.conftest import Ask
from tests.torchcaffe.test_stages_against_caffe import write_images, write_solver
from tinynet.torchcaffe.fast import winograd_rows

ROUNDING = 3e-6  # relative; a float32's last digit is 6e-8, and sums have thousands of terms
AS_MUCH = 3  # times real Caffe's error: every library adds in its own order


@pytest.fixture
def asked(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """One pass of a stage as generated, on four drawn images, with kernels for large batches."""
    monkeypatch.setattr(winograd_rows, "_PLACES", 0)
    write_images(tmp_path, real=False)
    return exact_gradients.request(
        write_solver(number, tmp_path, plain=False, base_lr=0.01), seed=3
    )


@pytest.mark.parametrize("number", [1, 5, 7])
def test_every_gradient_of_a_stage_equals_float64s_except_for_rounding(
    number: int, asked: dict[str, Any]
) -> None:
    ours = both_engines.answer(torchcaffe, asked, {})
    exact = exact_gradients.compute(asked["net"], ours, kinks=ours)
    found = exact_gradients.distances(exact.gradients, exact_gradients.gradients(ours))
    assert max(found.values()) < ROUNDING, found
    assert all(np.linalg.norm(gradient) > 1e-4 for gradient in exact.gradients.values())
    # drawn images have no flat regions, in which windows tie
    assert exact.otherwise < 10


@pytest.mark.parametrize("number", [1, 7])
def test_a_stages_rounding_errors_are_about_as_small_as_real_caffes(
    number: int, asked: dict[str, Any], ask_both: Ask
) -> None:
    columns = exact_gradients.compare(asked, *ask_both(asked))
    real, ours = columns["caffe, same kinks"], columns["torch, same kinks"]
    assert max(real.values()) > 0
    for name, distance in ours.items():
        if name != "kinks":
            assert distance < AS_MUCH * real[name] + 1e-7, name
    assert ours["kinks"] <= real["kinks"] + 10


def test_after_some_updates_a_gradient_still_equals_float64s_except_for_rounding(
    tmp_path: Path,
) -> None:
    """The fourth batch, with weights that three updates have moved."""
    write_images(tmp_path, real=False)
    solver = write_solver(2, tmp_path, plain=False, base_lr=0.01)
    first = both_engines.answer(torchcaffe, exact_gradients.request_after(0, solver), {})
    asked = exact_gradients.request_after(3, solver)
    ours = both_engines.answer(torchcaffe, asked, {})
    assert not np.array_equal(first["0/data/data"], ours["0/data/data"])
    assert not np.array_equal(first["0/param/conv1/0"], ours["0/param/conv1/0"])
    exact = exact_gradients.compute(asked["net"], ours, kinks=ours)
    found = exact_gradients.distances(exact.gradients, exact_gradients.gradients(ours))
    assert max(found.values()) < ROUNDING, found
