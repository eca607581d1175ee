"""What a resumed run resumes with: how exactly, with which history, and what the log says of it."""

from __future__ import annotations

from collections.abc import Sequence

from tinynet import files
from tinynet.caffeformat import schema, text
from tinynet.caffeformat.glog import glog_line
from tinynet.errors import TinynetError
from tinynet.run import log as logs
from tinynet.run import positions, snapshots
from tinynet.run.paths import RunPaths
from tinynet.run.prepare import Prepared
from tinynet.run.snapshots import Snapshot


def exactness(snapshot: Snapshot, prepared: Prepared, engine: str) -> tuple[bool, list[str]]:
    """Whether the run can resume exactly, and what to say of what it loses where it can't."""
    notes = []
    if engine == "torch" and snapshot.complete.exists():
        reason = snapshots.complete_fault(snapshot)
        if reason is None:
            return True, []
        notes.append(reason)
    lost = positions.lost(prepared)
    who = "real Caffe" if engine == "caffe" else "this snapshot"
    notes.append(
        f"{who} cannot restore random states: {', '.join(lost)} will not be those of an unbroken "
        "run; the data resumes where it was"
        if lost
        else "nothing in this net is drawn at random, and the data resumes where it was"
    )
    return False, notes


def history_before(
    paths: RunPaths, prepared: Prepared, first: int, last_start: int = 0
) -> tuple[list[logs.Record], list[str]]:
    """Cut the history at ``first``, hold it against the log, which it comes from, and return it.

    A kill may leave a record in the log alone, and a bit may have flipped since: the second value
    says so.  ``last_start``: where the last session began; earlier ones may have displayed others.
    """
    notes = []
    kept = logs.truncate_history(paths.history, first)
    rebuilt = logs.rebuild_history(paths.log, prepared.effective_batch) if first else []
    rebuilt = [record for record in rebuilt if record["iteration"] < first]
    if rebuilt and rebuilt != kept:
        differing = next(
            (a["iteration"] for a, b in zip(rebuilt, kept) if a != b),
            rebuilt[min(len(kept), len(rebuilt) - 1)]["iteration"],
        )
        notes.append(
            f"{paths.history.name} did not agree with {paths.log.name} from iteration {differing} "
            "on, and has been made from it again"
        )
        logs.write_history(paths.history, rebuilt)
        kept = rebuilt
    missing = logs.missing_displays(kept, prepared.solver.display, first)
    missing = [iteration for iteration in missing if iteration >= last_start]
    if missing and _displayed_as_now(paths, prepared):
        notes.append(
            f"the log has no losses of iteration {', '.join(map(str, missing[:5]))}"
            f"{' …' if missing[5:] else ''}: they were lost when the run was ended"
        )
    return kept, notes


def mend_history(paths: RunPaths, prepared: Prepared) -> str | None:
    """Make a damaged history again from the log that it comes from; what to say of it, or None."""
    _, fault = logs.scan_history(paths.history)
    rebuilt = [] if fault is None else logs.rebuild_history(paths.log, prepared.effective_batch)
    if not rebuilt:
        return None
    logs.write_history(paths.history, rebuilt)
    return f"{fault}; the file has been made from {paths.log.name} again"


def _displayed_as_now(paths: RunPaths, prepared: Prepared) -> bool:
    """Whether the last session, whose solver still lies in the run, displayed as often."""
    try:
        before = text.read(paths.solver, schema.SolverParameter)
    except (TinynetError, OSError):
        return False
    return bool(before.display == prepared.solver.display)


def write_to_log(
    paths: RunPaths, snapshot: Snapshot, engine: str, exact: bool, notes: Sequence[str]
) -> None:
    """Say in the log from where the run resumes, and what is not as in an unbroken one."""
    how = "exactly, from its complete state" if exact else "from Caffe's files alone"
    line = f"Resuming at iteration {snapshot.iteration} from {snapshot.state} on {engine}: {how}"
    lines = [glog_line(line, "I" if exact else "W", logs.RESUME_SOURCE)]
    lines += [glog_line(note, "W", "driver.py:2") for note in notes]
    with files.naming(paths.log), paths.log.open("a", encoding="utf-8") as log:
        log.write("".join(line + "\n" for line in lines))
