"""Compares the prototxt and data that a run was begun with to those of now."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from tinynet.caffeformat import schema, text
from tinynet.errors import TinynetError
from tinynet.experiment.solver_values import RATE_FIELDS
from tinynet.run.paths import RunPaths
from tinynet.run.record import sha256
from tinynet.run.solver_files import force_binary_snapshots
from tinynet.run.training_prototxt import TrainingPrototxt

# where files lie, not what is trained: a moved run is the same run
_LOCATIONS = ("net", "train_net", "test_net", "snapshot_prefix")
# fields that --resume may change: how long the run is, and how often it displays, tests and saves
_SCHEDULE = ("max_iter", "display", "test_interval", "test_iter", "snapshot", "average_loss")

# keys of ``checks.require_data``'s entries that describe the records; entries of earlier versions
# have no sample
_CONTENTS = ("digest", "sample")


def changes(
    paths: RunPaths,
    prototxt: TrainingPrototxt,
    moved: Mapping[str, str] | None = None,
    hashes: Mapping[str, str] | None = None,
) -> list[str]:
    """Differences between the run directory's prototxt and that of now, one phrase each.

    ``moved``: the result of ``moved_data``; a net that reads moved data has not changed.
    ``hashes``: of the files as they were written, to find files that have been damaged since.
    """
    found: list[str] = []
    begun = paths.solver.exists()
    if begun and paths.warm_up.exists() != (prototxt.warm_up is not None):
        found.append("a warm-up was " + ("left out" if prototxt.warm_up is None else "added"))
    for name, new in prototxt.texts(paths).items():
        try:
            old = (paths.root / name).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            continue  # the run was begun, but the file not yet written
        written = (hashes or {}).get(name)
        if written not in (None, sha256(new), sha256(old)):
            found.append(f"{paths.root / name} is not as it was written (its SHA-256 differs)")
        if old == new or name == paths.deploy.name:
            continue
        if name == paths.solver.name:
            found += _solver_changes(old, new, str(paths.solver))
        elif name == paths.warm_up.name:
            changed = _solver_changes(old, new, str(paths.warm_up))
            # its other fields are the solver's, whose changes are reported already
            own = [c for c in changed if c.split(" ")[0] in (*RATE_FIELDS, "max_iter")]
            found += [f"the warm-up's {change}" for change in own]
        else:
            found += _net_changes(_with_data(old, moved or {}, name), new, name)
    return found


def moved_data(before: Sequence[dict[str, Any]], after: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Map the old path of each database that has moved to the path of the same content now."""
    kept = {entry["path"] for entry in after}
    return {
        old["path"]: new["path"]
        for old in before
        if old["path"] not in kept
        for new in after
        if _shared(old, new, _CONTENTS) and _is_same(old, new)
    }


def _shared(old: dict[str, Any], new: dict[str, Any], keys: Sequence[str]) -> list[str]:
    return [key for key in keys if key in old and key in new]


def _is_same(old: dict[str, Any], new: dict[str, Any]) -> bool:
    """Whether two entries of ``checks.require_data`` agree in the keys that both have."""
    keys = _shared(old, new, _CONTENTS) or _shared(old, new, ["bytes"])
    return all(old[key] == new[key] for key in keys)


def _with_data(net_text: str, moved: Mapping[str, str], name: str) -> str:
    """The net's text with the new paths of data that has moved."""
    if not moved:
        return net_text
    try:
        net = text.parse(net_text, schema.NetParameter, name)
    except TinynetError:
        return net_text  # damaged: the comparison of its lines shows it
    for layer in net.layer:
        if layer.data_param.source in moved:
            layer.data_param.source = moved[layer.data_param.source]
    return text.format(net)


def _solver_changes(old: str, new: str, name: str) -> list[str]:
    try:
        before = force_binary_snapshots(text.parse(old, schema.SolverParameter, name))
    except TinynetError:
        return [f"{name} cannot be read any more"]
    after = text.parse(new, schema.SolverParameter, name)
    found = []
    for field in schema.fields_of(before):
        if field not in _LOCATIONS and getattr(before, field) != getattr(after, field):
            found.append(f"{field} {_shown(before, field)} -> {_shown(after, field)}")
    return found


def _shown(solver: schema.SolverParameter, field: str) -> str:
    part = schema.SolverParameter()
    other = schema.SolverParameter()
    other.CopyFrom(solver)
    schema.clear(other, [name for name in schema.fields_of(part) if name != field])
    values = [line.partition(": ")[2] for line in text.format(other).splitlines()]
    return " ".join(values) if values else f"{getattr(part, field)}"


def _net_changes(old: str, new: str, name: str) -> list[str]:
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=0)
    found = []
    for line in lines:
        if line[:1] in "+-" and not line.startswith(("+++", "---")):
            found.append(f"{name}: {line[0]} {line[1:].strip()}")
    return found


def is_schedule(change: str) -> bool:
    """Whether a difference found by ``changes`` is one that --resume allows."""
    return change.split(" ")[0] in _SCHEDULE


def data_changes(before: Sequence[dict[str, Any]], after: Sequence[dict[str, Any]]) -> list[str]:
    """Differences between the data that two sessions read, by content if it is recorded.

    A changed path is a change of the prototxt, which ``changes`` reports.
    """
    old = {entry["path"]: entry for entry in before}
    return [
        f"the data in {entry['path']} is not the same"
        for entry in after
        if entry["path"] in old and not _is_same(old[entry["path"]], entry)
    ]
