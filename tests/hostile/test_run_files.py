"""A run's own files, damaged or forged, are read as far as possible or refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.hostile.mangling import FUZZ, mangled
from tests.hostile.small_snapshot import small_net, small_state
from tinynet import files
from tinynet.errors import TinynetError
from tinynet.run import log, snapshots
from tinynet.run import record as run
from tinynet.run.paths import RunPaths

STATE = {
    "format": "tinynet complete state 1", "iteration": 10, "losses": [1.5],
    "files": {"model": {"name": "../../m", "sha256": "0"}, "state": {"name": "s", "sha256": "0"}},
    "made_with": {"precision": "float32"}, "nets": [{"data": {"record": 3, "records": 10}}],
    "random": {"main": {"key": "00" * 2496, "position": 624}},
}  # fmt: skip


@FUZZ
@given(mangled(json.dumps(STATE).encode()))
def test_an_unsealed_complete_state_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x_iter_10.complete.json"
    path.write_bytes(data)
    with pytest.raises(TinynetError, match="complete.json"):
        files.read_sealed_json(path, 1 << 20)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["model", "state", "name", "sha256", "data", "record", "records", "main", "key", "position"]
    ), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@settings(FUZZ, max_examples=50)
@given(st.dictionaries(st.sampled_from(sorted(STATE)), json_values, max_size=4))
def test_a_sealed_complete_state_of_any_content_is_applied_or_refused(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    """A seal detects accidents; anyone can seal a forged file."""
    pytest.importorskip("torch")
    from tinynet.torchcaffe.snapshots import complete_state

    class Solver:
        iter = 10
        net = None
        test_nets = ()

        def resume_losses(self, losses: list[float]) -> None:
            assert all(isinstance(loss, float) for loss in losses)

    state = tmp_path / "x_iter_10.solverstate"
    files.write_sealed_json(tmp_path / "x_iter_10.complete.json", {**STATE, **changes})
    with pytest.raises(TinynetError):
        complete_state.restore(Solver(), state)  # type: ignore[arg-type]
    assert {path.name for path in tmp_path.iterdir()} == {"x_iter_10.complete.json"}
    snapshot = snapshots.Snapshot(10, state, state.with_suffix(".caffemodel"))
    snapshot.model.write_bytes(small_net())
    state.write_bytes(small_state())
    assert snapshots.fault(snapshot) is not None
    for path in tmp_path.iterdir():
        path.unlink()


@FUZZ
@given(mangled(b'{"iteration": 10, "train_loss": 1.5}\n{"iteration": 20, "val_accuracy": 0.5}\n'))
def test_a_mangled_history_or_log_is_read_or_named(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "history.jsonl"
    path.write_bytes(data)
    records, fault = log.scan_history(path)
    assert all(isinstance(record["iteration"], int) for record in records)
    try:
        assert log.read_history(path) == records and fault is None
    except TinynetError as error:
        assert fault is not None and str(error).startswith(fault)
    path.write_bytes(b"I1122 23:59:51.000000 77 solver.cpp:239] Iteration 10, loss = 4.5\n" + data)
    log.rebuild_history(path)


@FUZZ
@given(mangled(json.dumps({"state": "running", "iteration": 3, "sessions": []}).encode()))
def test_a_mangled_run_json_is_read_or_refused(tmp_path: Path, data: bytes) -> None:
    paths = RunPaths(tmp_path)
    paths.run_json.write_bytes(data)
    try:
        run.load(paths.run_json)
    except TinynetError as error:
        assert str(error).startswith(str(paths.run_json))
