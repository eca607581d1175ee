"""The valid values of a solver's fields, for options, --set, searches and files alike.

Values that Caffe refuses when it starts (solver_factory.hpp, sgd_solver.cpp, solver.cpp), or with
which it can only diverge, are refused when they are read.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from tinynet.caffeformat import schema
from tinynet.caffeformat.upgrade import SOLVER_TYPES
from tinynet.experiment.hyperparameters import LARGEST_COUNT, LARGEST_SEED

# What each learning rate policy of Caffe reads (sgd_solver.cpp, GetLearningRate).
POLICY_FIELDS: dict[str, tuple[str, ...]] = {
    "fixed": (),
    "step": ("gamma", "stepsize"),
    "exp": ("gamma",),
    "inv": ("gamma", "power"),
    "multistep": ("gamma", "stepvalue"),
    "poly": ("power",),
    "sigmoid": ("gamma", "stepsize"),
}

RATE_FIELDS = ("base_lr", "lr_policy", *sorted({f for fs in POLICY_FIELDS.values() for f in fs}))

WORDS: dict[str, tuple[str, ...]] = {
    "lr_policy": tuple(POLICY_FIELDS),
    "type": SOLVER_TYPES,
    "regularization_type": ("L1", "L2"),
}
_WITHOUT_MOMENTUM = ("AdaGrad", "RMSProp")

# ranges of real numbers: the lowest value, and the value that they must stay below
REALS: dict[str, tuple[float, float]] = {
    "base_lr": (0, math.inf),
    "gamma": (0, math.inf),
    "momentum": (0, 1),
    "weight_decay": (0, math.inf),
    "momentum2": (0, 1),
    "rms_decay": (0, 1),
    "delta": (0, math.inf),
}

_AT_LEAST_ONE = (
    *("max_iter", "test_interval", "test_iter", "iter_size", "average_loss"),
    *("stepsize", "stepvalue"),
)
_INTEGERS = ("int32", "int64", "uint32")


def lowest(name: str) -> int:
    """The lowest value of a field that holds an integer."""
    if name == "random_seed":
        return -1  # Caffe then draws a seed
    return 1 if name in _AT_LEAST_ONE else 0


def largest(name: str) -> int:
    """The largest value of a field that holds an integer."""
    return LARGEST_SEED if name == "random_seed" else LARGEST_COUNT


def fault(name: str, value: Any) -> str | None:
    """What is wrong with a value of a solver's field, as "base_lr is nan; …"; None if nothing."""
    field = schema.FIELDS["SolverParameter"][name]
    if name in WORDS:
        if value in WORDS[name]:
            return None
        return f"{name} is '{value}'; Caffe has {', '.join(WORDS[name])}"
    if field.kind == "float":
        low, below = REALS.get(name, (-math.inf, math.inf))
        if not math.isfinite(value):
            return f"{name} is {value}; it must be a finite number"
        if not low <= value < below:
            most = f" and below {below:g}" if math.isfinite(below) else ""
            return f"{name} is {value:g}; it must be at least {low:g}{most}"
    elif field.kind in _INTEGERS and not lowest(name) <= value <= largest(name):
        return f"{name} is {value}; it lies in {lowest(name)} … {largest(name)}"
    return None


def faults(solver: schema.SolverParameter, names: Iterable[str] | None = None) -> list[str]:
    """What is wrong with the values of a SolverParameter, in the form of ``fault``.

    ``names``: check only these fields, and how they combine with others.  If it is None, the solver
    was read from a file: fields that Caffe ignores may then have any value, and so may random_seed,
    of which Caffe takes the low 32 bits.
    """
    found = []
    asked = set(schema.FIELDS["SolverParameter"] if names is None else names)
    for field in schema.FIELDS["SolverParameter"].values():
        if field.name not in asked or not schema.is_set(solver, field):
            continue
        if names is None and _is_ignored(solver, field.name):
            continue
        values = getattr(solver, field.name)
        each = (fault(field.name, value) for value in (values if field.repeated else [values]))
        found += [what for what in each if what is not None]
    if asked & {"type", "momentum"} and solver.type in _WITHOUT_MOMENTUM and solver.momentum:
        found.append(f"type {solver.type} has no momentum, and momentum is {solver.momentum:g}")
    if names is None:
        if not solver.HasField("lr_policy"):
            found.append(f"lr_policy is not set; Caffe has {', '.join(POLICY_FIELDS)}")
        needed = {"stepsize"} & set(POLICY_FIELDS.get(solver.lr_policy, ()))
    else:
        needed = set(POLICY_FIELDS.get(solver.lr_policy, ())) if asked & set(RATE_FIELDS) else set()
    for name in sorted(needed):
        if not schema.is_set(solver, name):
            found.append(f"lr_policy {solver.lr_policy} needs {name}, which is not set")
    return found


def _is_ignored(solver: schema.SolverParameter, name: str) -> bool:
    """Whether Caffe would run a file whatever value this field has."""
    if name == "test_interval":
        return not (solver.test_iter or solver.test_net or solver.test_net_param)
    if name == "test_iter":
        return min(solver.test_iter) == 0  # a test of nothing
    if name in ("gamma", "power", "stepsize", "stepvalue"):
        return solver.lr_policy in POLICY_FIELDS and name not in POLICY_FIELDS[solver.lr_policy]
    return name == "random_seed"
