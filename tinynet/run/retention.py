"""Which snapshots a run keeps: each is sealed once it is seen to be whole, then old ones go."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from tinynet.run import snapshots
from tinynet.run.log import Record, scan_history
from tinynet.run.paths import RunPaths
from tinynet.run.snapshots import Snapshot

KEEP = 3  # newest snapshots, besides the best


def best(history: Iterable[Record], found: Sequence[Snapshot]) -> Snapshot | None:
    """Which of the snapshots has the highest validation accuracy; of equal ones the first.

    A test at iteration N scores the weights of the snapshot at N.  None where none was tested.
    """
    by_iteration = {snapshot.iteration: snapshot for snapshot in found}
    tested = [
        (record["val_accuracy"], -record["iteration"])
        for record in history
        if record.get("val_accuracy") is not None and record["iteration"] in by_iteration
    ]
    return by_iteration[-max(tested)[1]] if tested else None


def take(
    paths: RunPaths, solver_type: str, keep: int, iteration: int, warn: Callable[[str], None]
) -> None:
    """Seal what was written up to ``iteration``, then delete what is no longer kept.

    ``keep``: how many of the newest, besides the best; 0: all.  What is not whole is told and left,
    and nothing is deleted for it.  Raises OSError.
    """
    found = snapshots.snapshots(paths.snapshots)
    for snapshot in found:
        # one of this very iteration may have been written over one from before a fallback
        if snapshot.iteration > iteration or (
            snapshot.iteration < iteration and snapshot.seal.exists()
        ):
            continue
        reason = snapshots.seal(snapshot, solver_type)
        if reason is not None:
            warn(f"the snapshot of iteration {snapshot.iteration} is not whole: {reason}")
    # damage in the history is no reason to end a training; its end makes it again
    history, _ = scan_history(paths.history)
    snapshots.prune(paths.snapshots, keep, best(history, found))
