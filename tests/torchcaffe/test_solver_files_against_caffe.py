"""Snapshots pass from one engine to the other and back; histories are laid out as Caffe's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinynet.torchcaffe as caffe
from tests.torchcaffe import both_engines
from tests.torchcaffe.conftest import Answer, RealCaffe
from tests.torchcaffe.test_solvers_against_caffe import OTHERS, SGD, inputs, solver
from tinynet.caffeformat import binary, blob_proto, schema

HALF = 30
CASES = {
    "SGD": SGD["L2"],
    "SGD, multistep": SGD["multistep"],
    **{name: options for name, options in OTHERS.items() if "," not in name and " " not in name},
}


def run(
    engine: str, real: RealCaffe, folder: Path, options: str, request: dict[str, Any]
) -> Answer:
    """Run ``request`` on one engine; its snapshots go to ``folder/ENGINE_iter_N``."""
    text = solver(f'{options} snapshot_prefix: "{folder}/{engine}"', folder)
    request = {**request, "solver": text}
    if engine == "real":
        return real.answer(request, inputs(), folder)
    return both_engines.answer(caffe, request, inputs())


def weights(answer: Answer) -> dict[str, np.ndarray]:
    return {name: values for name, values in answer.items() if name.startswith("end/")}


def assert_close(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert set(found) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=2e-6, err_msg=name)


def state_of(path: Path) -> dict[str, Any]:
    state = binary.read(path, schema.SolverState)
    return {
        "iter": state.iter,
        "current_step": state.current_step,
        "history": [blob_proto.decode(blob, "history") for blob in state.history],
        "model": Path(state.learned_net).name.split("_", 1)[1],
    }


@pytest.mark.parametrize("case", CASES)
def test_a_run_resumes_in_the_other_engine(
    case: str, real_caffe: RealCaffe, tmp_path: Path
) -> None:
    options = CASES[case]
    whole = run("real", real_caffe, tmp_path, options, {"steps": 2 * HALF})
    for engine in ("real", "ours"):
        run(engine, real_caffe, tmp_path, options, {"steps": HALF, "snapshot": True})
    written = state_of(tmp_path / f"real_iter_{HALF}.solverstate")
    ours = state_of(tmp_path / f"ours_iter_{HALF}.solverstate")
    assert [h.shape for h in ours["history"]] == [h.shape for h in written["history"]]
    for found, expected in zip(ours.pop("history"), written.pop("history")):
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6)
    assert ours == written
    for writer, reader in (("ours", "real"), ("real", "ours")):
        state = str(tmp_path / f"{writer}_iter_{HALF}.solverstate")
        rest = run(reader, real_caffe, tmp_path, options, {"steps": HALF, "restore": state})
        assert rest["iter"] == 2 * HALF
        assert_close(weights(rest), weights(whole))
