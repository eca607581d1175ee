"""Reads a solver.prototxt and the warm-up beside it, and applies the command line's overrides."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from tinynet.caffeformat import schema, text, upgrade
from tinynet.errors import TinynetError, UsageError
from tinynet.experiment.paths import WARM_UP
from tinynet.experiment.solver_values import RATE_FIELDS, faults


def load(
    path: Path, overrides: Mapping[str, str] | None = None
) -> tuple[schema.SolverParameter, schema.SolverParameter | None]:
    """Return the solver and its warm-up (None if it has none) as they run, without nets.

    Raises as ``training_prototxt.load`` does.
    """
    if not path.exists():
        raise UsageError(f"{path}: no such solver; 'tinynet generate' writes the stages' files")
    solver = read_solver(path)
    warm_up = _warm_up(path, solver, overrides or {})
    apply_overrides(solver, overrides or {})
    for what in faults(solver):  # after the overrides, which may replace a wrong value
        raise TinynetError(f"{path}: {what}")
    if not solver.random_seed >= 0:
        solver.random_seed = 1
    if not solver.HasField("max_iter"):
        raise TinynetError(f"{path}: max_iter is not set; it says how long to train")
    return solver, _with_overrides_of(path, warm_up, solver)


def read_solver(path: Path) -> schema.SolverParameter:
    """Read a solver; the older ``solver_type`` is upgraded as Caffe does.

    Raises TinynetError if the file cannot be read or sets both types, and UsageError, which names
    the solver beside it, if the file is a net.
    """
    schema.load_installed()  # before the first message: solver and net are copied into each other
    try:
        solver = text.read(path, schema.SolverParameter)
    except TinynetError:
        if path.suffix in _SNAPSHOTS:
            raise UsageError(
                f"{path}: is a snapshot, not a solver; name the run directory, which resumes from "
                "it, or a solver.prototxt with --weights FILE"
            ) from None
        if _is_net(path):
            raise UsageError(f"{path}: is a net, not a solver; {_solvers_of(path)}") from None
        raise
    upgrade.upgrade_solver(solver, str(path))
    return force_binary_snapshots(solver)


_SNAPSHOTS = (".caffemodel", ".solverstate", ".h5")


def _is_net(path: Path) -> bool:
    try:
        text.read(path, schema.NetParameter)
    except TinynetError:
        return False
    return True


def _solvers_of(net: Path) -> str:
    """What to run instead of training a net file: the solvers beside it that name it."""
    beside = [
        os.fspath(path)
        for path in sorted(net.parent.glob("*solver*.prototxt"))
        if net.name in path.read_text(encoding="utf-8", errors="replace") and path.name != WARM_UP
    ]
    if beside:
        return " or ".join(f"'tinynet train {shlex.quote(path)}'" for path in beside) + " trains it"
    return "name the solver.prototxt whose 'net' it is"


def force_binary_snapshots(solver: schema.SolverParameter) -> schema.SolverParameter:
    """Set in place what is the same for every run, whatever its file says; return the solver.

    Snapshots are Caffe's binary files, which resume and evaluation read whichever engine wrote
    them, and the last iteration always has one, so that nothing trained is lost.
    """
    if solver.HasField("snapshot_format"):
        solver.snapshot_format = schema.SolverParameter.BINARYPROTO
    if solver.HasField("snapshot_after_train"):
        solver.snapshot_after_train = True
    return solver


def _warm_up(
    path: Path, solver: schema.SolverParameter, overrides: Mapping[str, str]
) -> schema.SolverParameter | None:
    """The warm-up beside a solver, or None.

    Raises TinynetError if it differs from the solver in more than its learning rate and max_iter.
    """
    beside = path.with_name(WARM_UP)
    if not beside.exists():
        return None
    found = read_solver(beside)
    for what in faults(found):
        raise TinynetError(f"{beside}: {what}")
    different = [
        name
        for name in schema.fields_of(found)
        if name not in (*RATE_FIELDS, "max_iter") and getattr(found, name) != getattr(solver, name)
    ]
    if different:
        raise TinynetError(
            f"{beside}: differs from {path.name} in {', '.join(different)}; a warm-up has its own "
            "learning rate and max_iter, and everything else as in the solver that follows it"
        )
    for name in overrides:
        if name in RATE_FIELDS:
            raise UsageError(
                f"--set {name}: {beside} has a rate of its own, which would not follow; "
                "'tinynet generate' with that option writes both"
            )
    return found


def _with_overrides_of(
    path: Path, warm_up: schema.SolverParameter | None, solver: schema.SolverParameter
) -> schema.SolverParameter | None:
    """The warm-up with everything but its learning rate and max_iter taken from the solver."""
    if warm_up is None:
        return None
    if not 0 < warm_up.max_iter < solver.max_iter:
        raise TinynetError(
            f"{path.with_name(WARM_UP)}: is {warm_up.max_iter} iterations long, where all of "
            f"training has {solver.max_iter}; 'tinynet generate --max-iter {solver.max_iter}' "
            "writes a shorter one"
        )
    made = schema.SolverParameter()
    made.CopyFrom(solver)
    own = (*RATE_FIELDS, "max_iter")
    schema.clear(made, own)
    for name in own:
        if schema.is_set(warm_up, name):
            schema.assign(made, name, getattr(warm_up, name))
    return made


# fields that the run decides, or that are set in another way
_NOT_TO_SET = {
    "snapshot_prefix": "a run's snapshots lie in its directory; --runs and --name say where",
    "snapshot_format": "a run keeps Caffe's binary files, which both engines read",
    "snapshot_after_train": "a run ends with a snapshot, which is what is evaluated",
    "solver_mode": "--cpu and --gpu N choose the device",
    "device_id": "--gpu N chooses the device",
    **dict.fromkeys(
        ("net_param", "train_net_param", "test_net_param"),
        "a net is a file; --set net=FILE names another",
    ),
    "solver_type": "give the newer type, as in --set type=Adam",
}


def apply_overrides(solver: schema.SolverParameter, overrides: Mapping[str, str]) -> None:
    """Set solver fields in place from values written as in a prototxt.

    Raises UsageError that names the field and the values that it may have.
    """
    for name, value in overrides.items():
        shown = f"--set {name}={value}"
        known = schema.fields_of(solver)
        if name not in known:
            raise UsageError(f"no solver field '{name}' (as in --set base_lr=0.01)")
        if name in _NOT_TO_SET:
            raise UsageError(f"{shown}: {_NOT_TO_SET[name]}")
        part = _one_field(name, value, shown)
        if set(_fields_set(part)) != {name}:
            raise UsageError(f"{shown}: sets more than {name}; give --set for each field")
        schema.clear(solver, [name])
        solver.MergeFrom(part)
    for what in faults(solver, overrides):
        name = what.split(" ")[0]
        shown = f"--set {name}={overrides[name]}" if name in overrides else "--set"
        raise UsageError(f"{shown}: {what}")
    if "random_seed" in overrides and solver.random_seed < 0:
        raise UsageError(f"--set random_seed={solver.random_seed}: a run has a seed, from 0 on")


def _one_field(name: str, value: str, shown: str) -> schema.SolverParameter:
    """A SolverParameter with one field, parsed from ``value``."""
    try:
        return text.parse(f"{name}: {value}", schema.SolverParameter, shown)
    except TinynetError as error:
        if schema.FIELDS["SolverParameter"][name].kind != "string":
            raise UsageError(re.sub(r":1: ", ": ", str(error), count=1)) from None
    quoted = value.replace("\\", "\\\\").replace('"', '\\"')  # the value has no quotes of its own
    return text.parse(f'{name}: "{quoted}"', schema.SolverParameter, shown)


def _fields_set(part: schema.SolverParameter) -> list[str]:
    return [field.name for field in schema.fields_of(part).values() if schema.is_set(part, field)]
