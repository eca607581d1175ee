"""A run interrupted any number of times ends with the bits of an uninterrupted run."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from tests.run import small_stages
from tinynet.caffeformat import schema, text
from tinynet.errors import TinynetError
from tinynet.torchcaffe import extensions
from tinynet.torchcaffe import solver as solvers
from tinynet.torchcaffe.context import CONTEXT
from tinynet.torchcaffe.errors import CaffeError
from tinynet.torchcaffe.snapshots import complete_state

LAST = 16
_TIME = re.compile(r"^\S+ \S+ +\d+ |\(\S+ iter/s, \S+s/")


def start(path: Path) -> Any:
    solver = solvers.get_solver(path)
    extensions.make_resumable(solver)
    return solver


def state_at(solver: Any, iteration: int) -> Path:
    return Path(f"{solver.parameters.snapshot_prefix}_iter_{iteration}.solverstate")


def resume(path: Path, iteration: int) -> Any:
    """Return a solver, as in a new process, that resumes from a snapshot."""
    CONTEXT.seed(123456)
    solver = start(path)
    state = state_at(solver, iteration)
    solver.restore(state)
    extensions.restore_complete(solver, state)
    return solver


def result(solver: Any) -> dict[str, str]:
    """Hashes of what a snapshot writes."""
    solver.snapshot()
    stem = f"{solver.parameters.snapshot_prefix}_iter_{solver.iter}"
    return {
        suffix: hashlib.sha256(Path(stem + suffix).read_bytes()).hexdigest()
        for suffix in (".caffemodel", ".solverstate", ".complete.json")
    }


def displayed(log: str) -> list[str]:
    """Return the log's lines with losses and scores, without times and speeds."""
    lines = [_TIME.sub("", line) for line in log.splitlines()]
    return [line for line in lines if "loss" in line or "accuracy" in line or "lr = " in line]


@pytest.mark.parametrize("stops", [(1, 6, 7, 12)], ids=["stopped 4 times"])
# stage 7 has every type of layer of stages 4 and 6, and stage 5 has 5×5 windows of its own
@pytest.mark.parametrize("number", [1, 2, 3, 5, 7])
def test_a_stage_resumes_to_the_bit_and_logs_the_same_losses(
    stages: Path,
    number: int,
    stops: tuple[int, ...],
    capfd: pytest.CaptureFixture[str],
    device: str,
) -> None:
    path = small_stages.write_stage(stages, number)
    uninterrupted = start(path)
    capfd.readouterr()
    uninterrupted.step(LAST)
    expected_log = displayed(capfd.readouterr().err)
    expected = result(uninterrupted)

    solver = start(path)
    log: list[str] = []
    for stop in (*stops, LAST):
        capfd.readouterr()
        solver.step(stop - solver.iter)
        log += displayed(capfd.readouterr().err)
        if stop != LAST:
            solver.snapshot()
            solver = resume(path, stop)
    assert result(solver) == expected
    assert log == expected_log
    assert any("loss = " in line for line in log)


@pytest.mark.parametrize("kind", ["Adam", "AdaDelta", "Nesterov", "RMSProp"])
def test_other_solvers_and_iter_size_resume_to_the_bit(
    stages: Path, kind: str, device: str
) -> None:
    extra = {"momentum": 0.0} if kind == "RMSProp" else {}
    path = small_stages.write_stage(stages, 7, type=f'"{kind}"', iter_size=2, **extra)
    uninterrupted = start(path)
    uninterrupted.step(10)
    solver = start(path)
    solver.step(7)
    solver.snapshot()
    solver = resume(path, 7)
    solver.step(3)
    assert result(solver) == result(uninterrupted)


def test_bf16_resumes_to_the_bit(stages: Path, device: str) -> None:
    try:
        extensions.set_precision("bf16")
    except CaffeError as error:
        pytest.skip(str(error))
    try:
        path = small_stages.write_stage(stages, 7)
        uninterrupted = start(path)
        uninterrupted.step(8)
        solver = start(path)
        solver.step(5)
        solver.snapshot()
        solver = resume(path, 5)
        solver.step(3)
        assert result(solver) == result(uninterrupted)
        assert '"precision": "bf16"' in complete_state.path_beside(state_at(solver, 5)).read_text()
    finally:
        extensions.set_precision("float32")
    with pytest.raises(CaffeError, match="made in bf16 arithmetic, and this run is in float32"):
        resume(path, 5)


def test_a_snapshot_in_hdf5_resumes_to_the_bit(stages: Path) -> None:
    pytest.importorskip("h5py")
    path = small_stages.write_stage(stages, 7, snapshot_format="HDF5")
    uninterrupted = start(path)
    uninterrupted.step(8)
    solver = start(path)
    solver.step(5)
    solver.snapshot()
    CONTEXT.seed(5)
    solver = start(path)
    state = Path(f"{solver.parameters.snapshot_prefix}_iter_5.solverstate.h5")
    solver.restore(state)
    extensions.restore_complete(solver, state)
    solver.step(3)
    for mine, other in zip(solver.net.learnable_params, uninterrupted.net.learnable_params):
        assert mine.data.tobytes() == other.data.tobytes()


def test_a_run_that_resumes_after_an_interrupted_test_ends_with_the_same_bits(stages: Path) -> None:
    path = small_stages.write_stage(stages, 7)
    uninterrupted = start(path)
    uninterrupted.step(LAST)
    solver = start(path)
    solver.step(6)
    cursors = solver.test_net_states()
    asked = iter([False, False])
    extensions.stop_when(solver, lambda: next(asked, True))
    solver.step(1)
    assert solver.iter == 6 and solver.test_net_states() == cursors
    solver.snapshot()
    solver = resume(path, 6)
    solver.step(LAST - 6)
    assert result(solver) == result(uninterrupted)


def test_a_stop_during_a_test_ends_it_at_once(
    stages: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    solver = start(small_stages.write_stage(stages, 1))
    solver.step(6)
    cursors = solver.test_net_states()
    asked = iter([False, False])
    extensions.stop_when(solver, lambda: next(asked, True))
    solver.step(5)
    assert solver.iter == 6 and "Test interrupted" in capfd.readouterr().err
    assert solver.test_net_states() == cursors


# ------------------------------------------------------------------ what must not be restored


@pytest.fixture
def saved(stages: Path) -> tuple[Path, Path]:
    """A solver's path and its snapshot of iteration 3."""
    path = small_stages.write_stage(stages, 7)
    solver = start(path)
    solver.step(3)
    solver.snapshot()
    return path, state_at(solver, 3)


def test_resuming_without_a_complete_state_is_an_error_that_names_the_file(
    saved: tuple[Path, Path],
) -> None:
    path, state = saved
    complete_state.path_beside(state).unlink()
    with pytest.raises(CaffeError, match=r"complete.json: no such complete state"):
        resume(path, 3)


def test_a_flipped_bit_anywhere_in_the_complete_state_is_detected(saved: tuple[Path, Path]) -> None:
    path, state = saved
    complete = complete_state.path_beside(state)
    whole = complete.read_bytes()
    solver = start(path)
    solver.restore(state)
    for at in range(0, len(whole), max(1, len(whole) // 60)):
        flipped = bytearray(whole)
        flipped[at] ^= 1 << (at % 7)
        complete.write_bytes(flipped)
        if json.dumps(_parsed(flipped)) == json.dumps(_parsed(whole)):
            continue  # only a blank between two values changed
        with pytest.raises((TinynetError, CaffeError), match="complete.json"):
            extensions.restore_complete(solver, state)


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return None


def test_weights_of_another_snapshot_are_refused(saved: tuple[Path, Path]) -> None:
    path, state = saved
    model = state.with_suffix(".caffemodel")
    data = bytearray(model.read_bytes())
    data[-5] ^= 1
    model.write_bytes(data)
    with pytest.raises(CaffeError, match="belongs to another snapshot_iter_3.caffemodel"):
        resume(path, 3)


def _without_data_layer_names(net: Any) -> None:
    net.layer[0].name = "other"


def _another_batch_count(net: Any) -> None:
    net.layer[0].data_param.source = net.layer[1].data_param.source


@pytest.mark.parametrize(
    ("change", "message"),
    [(_without_data_layer_names, "layers data; this"), (_another_batch_count, "one in 37 records")],
)
def test_another_net_or_data_set_is_refused(
    saved: tuple[Path, Path], change: Callable[[Any], None], message: str
) -> None:
    path, _ = saved
    net_path = path.with_name("train_val.prototxt")
    net = text.read(net_path, schema.NetParameter)
    change(net)
    text.write(net_path, net)
    with pytest.raises(CaffeError, match=message):
        resume(path, 3)


def test_another_precision_is_refused(
    saved: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    made_with = complete_state._made_with
    monkeypatch.setattr(
        complete_state, "_made_with", lambda: {**made_with(), "precision": "bfloat16"}
    )
    with pytest.raises(CaffeError, match="float32 arithmetic, and this run is in bfloat16"):
        resume(saved[0], 3)


def test_without_a_complete_state_a_snapshot_is_caffes_pair_of_files(stages: Path) -> None:
    path = small_stages.write_stage(stages, 1, snapshot_prefix=f'"{stages}/plain"')
    solver = solvers.get_solver(path)
    solver.step(2)
    solver.snapshot()
    found = sorted(file.name for file in stages.glob("plain*"))
    assert found == ["plain_iter_2.caffemodel", "plain_iter_2.solverstate"]
