"""What decides the outcome of a training, apart from its seed: its recipe.

Results of one table must come from one recipe a stage: two runs may be in one row only if their
recipes are equal.  A recipe is read from prototxt, generated or as run, so that it says what was
done and not what was asked for.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from tinynet.caffeformat import schema, text, upgrade
from tinynet.experiment.paths import WARM_UP

Recipe = dict[str, Any]

# Solver fields that decide where files lie, what is shown, or the seed, but not what is learned.
_NOT_LEARNING = {
    *("net", "snapshot", "snapshot_prefix", "snapshot_diff", "snapshot_format"),
    *("snapshot_after_train", "random_seed", "solver_mode", "device_id", "debug_info"),
    *("display", "average_loss", "test_iter", "test_interval", "test_initialization"),
    *("test_compute_loss", "layer_wise_reduce"),
}


def read_recipe(train_val: Path, solver: Path, max_norm: float | None = None) -> Recipe:
    """The recipe of a net file and a solver file (see ``recipe``).

    Raises TinynetError if a file cannot be read.
    """
    net = upgrade.read_net(train_val)
    settings = text.read(solver, schema.SolverParameter)
    beside = solver.with_name(WARM_UP)
    warm_up = text.read(beside, schema.SolverParameter) if beside.exists() else None
    return recipe(net, settings, max_norm, warm_up)


def recipe(
    net: schema.NetParameter,
    settings: schema.SolverParameter,
    max_norm: float | None = None,
    warm_up: schema.SolverParameter | None = None,
) -> Recipe:
    """The recipe of a net, its solver and perhaps a warm-up's solver, which it modifies.

    Its ``solver``: the solver's fields as texts, a warm-up's where they differ, and ``max_norm``,
    which is in no prototxt.  Its ``net``: a digest.
    """
    fields = _fields(settings)
    if warm_up is not None:
        own = {name: value for name, value in _fields(warm_up).items() if fields.get(name) != value}
        fields.update({f"warm-up {name}": value for name, value in own.items()})
    if max_norm is not None:
        fields["max-norm"] = f"{max_norm:g}"
    for layer in net.layer:
        if layer.type == "Data":
            layer.data_param.ClearField("source")
    digest = hashlib.sha256(text.format(net).encode("utf-8")).hexdigest()[:16]
    return {"solver": fields, "net": digest}


def _fields(settings: schema.SolverParameter) -> dict[str, str]:
    """The fields of a solver that decide what is learned, as texts."""
    schema.clear(settings, _NOT_LEARNING & schema.FIELDS["SolverParameter"].keys())
    fields: dict[str, str] = {}
    for line in text.format(settings).splitlines():
        name, _, value = line.partition(": ")
        fields[name] = f"{fields[name]} {value}" if name in fields else value
    return fields


def differences(mine: Recipe, theirs: Recipe) -> list[str]:
    """The differences, each as a text: ``base_lr 0.01, not 0.02``."""
    found = []
    for name in sorted({*mine["solver"], *theirs["solver"]}):
        one, other = mine["solver"].get(name, "unset"), theirs["solver"].get(name, "unset")
        if one != other:
            found.append(f"{name} {one}, not {other}")
    if mine["net"] != theirs["net"]:
        found.append("another net (layers, fillers, mean values or batch size)")
    return found
