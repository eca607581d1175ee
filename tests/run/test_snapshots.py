"""Telling whole snapshots from torn ones, and making a moved one fit to resume from."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from tinynet.caffeformat import binary, schema
from tinynet.errors import TinynetError
from tinynet.run import snapshots


def write_snapshot(folder: Path, iteration: int, value: float = 0.5) -> None:
    """A pair as Caffe writes it: two layers of 50 and 20 values, and their history."""
    stem = folder / f"snapshot_iter_{iteration}"
    net = schema.NetParameter(name="small")
    state = schema.SolverState(iter=iteration, learned_net=f"{stem}.caffemodel", current_step=0)
    for name, size in (("fc1", 50), ("fc2", 20)):
        blob = net.layer.add(name=name).blobs.add()
        blob.shape.dim.append(size)
        blob.data.extend([value] * size)
        state.history.add().data.extend([0.25] * size)
    binary.write(Path(f"{stem}.caffemodel"), net)
    binary.write(Path(f"{stem}.solverstate"), state)


@pytest.mark.parametrize("suffix", ["caffemodel", "solverstate"])
def test_a_snapshot_truncated_anywhere_is_never_taken_for_whole(
    tmp_path: Path, suffix: str
) -> None:
    write_snapshot(tmp_path, 10)
    write_snapshot(tmp_path, 20)
    path = tmp_path / f"snapshot_iter_20.{suffix}"
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        found, reasons = snapshots.newest_whole(tmp_path)
        assert found is not None and found.iteration == 10, f"cut at {length} of {len(whole)}"
        assert len(reasons) == 1 and "snapshot_iter_20" in reasons[0]
    path.write_bytes(whole)
    assert snapshots.newest_whole(tmp_path)[0].iteration == 20  # type: ignore[union-attr]


@pytest.mark.parametrize("is_sealed", [False, True])
def test_a_temporary_read_error_does_not_pass_over_a_snapshot(
    is_sealed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Network file systems have hiccups; resuming from an older one would overwrite this one."""
    for iteration in (10, 20):
        write_snapshot(tmp_path, iteration)
        if is_sealed:
            (snapshot,) = [s for s in snapshots.snapshots(tmp_path) if s.iteration == iteration]
            assert snapshots.seal(snapshot) is None
    newest, opened = tmp_path / "snapshot_iter_20.caffemodel", Path.open
    failing = OSError(errno.EIO, os.strerror(errno.EIO))

    def fails(path: Path, *how: Any, **more: Any) -> Any:
        if Path(path) == newest:
            raise failing
        return opened(Path(path), *how, **more)

    monkeypatch.setattr(Path, "open", fails)
    monkeypatch.setattr(binary, "open", fails, raising=False)
    with pytest.raises(TinynetError, match=r"Input/output error: whether .* run the command again"):
        snapshots.newest_whole(tmp_path)
    failing = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(newest))
    found, reasons = snapshots.newest_whole(tmp_path)
    assert found is not None and found.iteration == 10
    assert reasons == [f"{newest}: No such file or directory"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_not_finite_are_passed_over(tmp_path: Path, value: float) -> None:
    write_snapshot(tmp_path, 10)
    write_snapshot(tmp_path, 20, value)
    found, reasons = snapshots.newest_whole(tmp_path)
    assert found is not None and found.iteration == 10
    assert "not finite" in reasons[0]


def test_snapshots_after_the_last_sound_iteration_are_passed_over(tmp_path: Path) -> None:
    for iteration in (10, 20, 30):
        write_snapshot(tmp_path, iteration)
    found, reasons = snapshots.newest_whole(tmp_path, last=20)
    assert found is not None and found.iteration == 20 and len(reasons) == 1


def test_snapshots_are_ordered_by_iteration_and_incomplete_pairs_ignored(tmp_path: Path) -> None:
    for iteration in (9, 100, 20):
        write_snapshot(tmp_path, iteration)
    (tmp_path / "snapshot_iter_100.caffemodel").unlink()
    assert [s.iteration for s in snapshots.snapshots(tmp_path)] == [9, 20]


def test_a_state_whose_path_leads_to_its_model_is_used_unchanged(tmp_path: Path) -> None:
    write_snapshot(tmp_path, 10)
    (snapshot,) = snapshots.snapshots(tmp_path)
    assert snapshots.resumable_state(snapshot) == snapshot.state


def test_a_moved_state_is_pointed_to_the_model_beside_it(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    write_snapshot(tmp_path / "old", 10)
    os.rename(tmp_path / "old", tmp_path / "new")
    # a different model at the old path must not be used either
    (tmp_path / "old").mkdir()
    (tmp_path / "old/snapshot_iter_10.caffemodel").write_bytes(b"")
    (snapshot,) = snapshots.snapshots(tmp_path / "new")
    state = binary.read(snapshots.resumable_state(snapshot), schema.SolverState)
    assert Path(state.learned_net) == tmp_path / "new/snapshot_iter_10.caffemodel"
    assert state.iter == 10 and len(state.history) == 2


def test_a_solverstate_given_as_weights_is_recognised(tmp_path: Path) -> None:
    write_snapshot(tmp_path, 10)
    snapshots.require_whole_model(tmp_path / "snapshot_iter_10.caffemodel")
    with pytest.raises(TinynetError, match="takes the .caffemodel beside it"):
        snapshots.require_whole_model(tmp_path / "snapshot_iter_10.solverstate")
    with pytest.raises(TinynetError, match="no such file"):
        snapshots.require_whole_model(tmp_path / "none.caffemodel")
