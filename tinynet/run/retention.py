"""Decides which snapshots a run keeps: seals the new ones, then deletes old ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from tinynet.run import snapshots
from tinynet.run.log import Record, scan_history
from tinynet.run.paths import RunPaths
from tinynet.run.snapshots import Snapshot

KEEP = 3  # newest snapshots, besides the best


def best(history: Iterable[Record], found: Sequence[Snapshot]) -> Snapshot | None:
    """The snapshot with the highest validation accuracy; the first among equals.

    A test at iteration N scores the weights of the snapshot at N.  None if none was tested.
    """
    by_iteration = {snapshot.iteration: snapshot for snapshot in found}
    tested = [
        (record["val_accuracy"], -record["iteration"])
        for record in history
        if record.get("val_accuracy") is not None and record["iteration"] in by_iteration
    ]
    return by_iteration[-max(tested)[1]] if tested else None


def seal_and_prune(
    paths: RunPaths, solver_type: str, keep: int, iteration: int, warn: Callable[[str], None]
) -> None:
    """Seal the snapshots written up to ``iteration``, then delete those no longer kept.

    ``keep``: how many of the newest to keep, besides the best; 0: all.  A snapshot that is not
    whole is reported by ``warn``, stays, and does not count as kept.  Raises OSError.
    """
    found = snapshots.snapshots(paths.snapshots)
    for snapshot in found:
        # that of this iteration may have replaced one from before a fallback, with its old seal
        if snapshot.iteration > iteration or (
            snapshot.iteration < iteration and snapshot.seal.exists()
        ):
            continue
        reason = snapshots.seal(snapshot, solver_type)
        if reason is not None:
            warn(f"the snapshot of iteration {snapshot.iteration} is not whole: {reason}")
    # a damaged history does not end a training; it is rebuilt when the training ends
    history, _ = scan_history(paths.history)
    snapshots.prune(paths.snapshots, keep, best(history, found))
