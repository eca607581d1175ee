"""Which snapshots a run keeps, and what a seal guarantees."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.run.test_snapshots import write_snapshot
from tinynet.run import log, retention, snapshots
from tinynet.run.paths import RunPaths


def sealed(folder: Path, *iterations: int) -> None:
    for iteration in iterations:
        write_snapshot(folder, iteration)
    for snapshot in snapshots.snapshots(folder):
        assert snapshots.seal(snapshot) is None


def iterations(folder: Path) -> list[int]:
    return [snapshot.iteration for snapshot in snapshots.snapshots(folder)]


def test_the_newest_k_and_the_best_are_kept(tmp_path: Path) -> None:
    sealed(tmp_path, 10, 20, 30, 40, 50)
    best = snapshots.snapshots(tmp_path)[1]
    snapshots.prune(tmp_path, 2, best)
    assert iterations(tmp_path) == [20, 40, 50]
    assert len(list(tmp_path.iterdir())) == 3 * 3
    snapshots.prune(tmp_path, 0, best=None)
    assert iterations(tmp_path) == [20, 40, 50]


def test_unverified_snapshots_are_neither_counted_nor_deleted(tmp_path: Path) -> None:
    sealed(tmp_path, 10, 20, 30)
    for iteration in (5, 40, 50):
        write_snapshot(tmp_path, iteration)
    snapshots.prune(tmp_path, 2, best=None)
    assert iterations(tmp_path) == [5, 20, 30, 40, 50]


def test_remains_of_an_interrupted_deletion_are_removed_next_time(tmp_path: Path) -> None:
    sealed(tmp_path, 10, 20)
    (tmp_path / "snapshot_iter_10.solverstate").unlink()
    snapshots.prune(tmp_path, 2, best=None)
    assert {path.name for path in tmp_path.iterdir()} == {
        f"snapshot_iter_20.{suffix}" for suffix in ("caffemodel", "solverstate", "sha256")
    }


def test_the_best_snapshot_has_the_highest_accuracy_of_those_present() -> None:
    history = [
        {"iteration": 10, "val_accuracy": 0.5},
        {"iteration": 20, "val_accuracy": 0.9},
        {"iteration": 30, "val_accuracy": 0.7},
        {"iteration": 40, "val_accuracy": 0.7},
        {"iteration": 50, "val_accuracy": None},
        {"iteration": 60, "train_loss": 1.0},
    ]
    for there, best in (((10, 30, 40, 50, 60), 30), ((10, 20), 20), ((50, 60), None)):
        found = [snapshots.Snapshot(iteration, Path("s"), Path("m")) for iteration in there]
        kept = retention.best(history, found)
        assert best == (kept and kept.iteration)


def test_whole_snapshots_are_sealed_and_others_reported(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path)
    paths.snapshots.mkdir()
    messages: list[str] = []
    log.append_history(paths.history, [{"iteration": 10, "val_accuracy": 0.9}])
    for iteration in (10, 20, 30):
        write_snapshot(paths.snapshots, iteration)
        retention.seal_and_prune(paths, "SGD", 1, iteration, messages.append)
    assert iterations(paths.snapshots) == [10, 30] and messages == []
    write_snapshot(paths.snapshots, 40, float("nan"))
    retention.seal_and_prune(paths, "SGD", 1, 40, messages.append)
    assert "iteration 40 is not whole" in messages[0] and "not finite" in messages[0]
    assert iterations(paths.snapshots) == [10, 30, 40]  # nothing was deleted for it


def test_a_seal_can_be_checked_by_sha256sum(tmp_path: Path) -> None:
    sealed(tmp_path, 10)
    check = ["sha256sum", "--check", "--strict", "snapshot_iter_10.sha256"]
    assert subprocess.run(check, cwd=tmp_path, capture_output=True).returncode == 0
    model = tmp_path / "snapshot_iter_10.caffemodel"
    model.write_bytes(model.read_bytes()[:-1] + b"?")
    assert subprocess.run(check, cwd=tmp_path, capture_output=True).returncode == 1


@pytest.mark.parametrize("suffix", ["caffemodel", "solverstate", "sha256"])
def test_a_flipped_bit_anywhere_in_a_sealed_snapshot_is_detected(
    tmp_path: Path, suffix: str
) -> None:
    sealed(tmp_path, 10, 20)
    path = tmp_path / f"snapshot_iter_20.{suffix}"
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << at % 8)]) + whole[at + 1 :])
        found, reasons = snapshots.newest_whole(tmp_path)
        assert found is not None and found.iteration == 10 and len(reasons) == 1, at


def test_a_snapshot_cut_short_before_its_complete_state_is_passed_over(tmp_path: Path) -> None:
    sealed(tmp_path, 10)
    write_snapshot(tmp_path, 20)  # of real Caffe, or of ours until the disk was full
    found, _ = snapshots.newest_whole(tmp_path)
    assert found is not None and found.iteration == 20
    found, reasons = snapshots.newest_whole(tmp_path, by_torch=True)
    assert found is not None and found.iteration == 10 and "cut short" in reasons[0]


def test_a_snapshot_beyond_the_resume_point_never_counts_again(tmp_path: Path) -> None:
    """A kill after a divergence must not let a run resume from what diverged."""
    sealed(tmp_path, 10, 20, 30)
    found, _ = snapshots.newest_whole(tmp_path, last=10)
    assert found is not None and found.iteration == 10
    snapshots.remove_after(tmp_path, 10)
    assert iterations(tmp_path) == [10] and len(list(tmp_path.glob("*.sha256"))) == 1
    found, _ = snapshots.newest_whole(tmp_path)
    assert found is not None and found.iteration == 10
