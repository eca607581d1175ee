"""What a run has come to, for the user and for scripts."""

from __future__ import annotations

import os
from typing import Any

from tinynet.errors import TinynetError
from tinynet.run import record as runs
from tinynet.run import retention, snapshots
from tinynet.run.log import read_history
from tinynet.run.paths import RunPaths


def summary(paths: RunPaths) -> dict[str, Any]:
    """What a run has come to: state, last and best scores, where its snapshot is."""
    run = runs.load(paths.run_json)
    if run is None:
        raise TinynetError(f"{paths.root}: holds no run (no run.json)")
    result: dict[str, Any] = {
        "run": os.fspath(paths.root),
        "state": run.state,
        "engine": run.engine.get("name", ""),
        "device": run.device,
        "solvers": run.solvers,
        "effective_batch": run.effective_batch,
        "seed": run.seed,
        "iteration": run.iteration,
        "max_iter": run.max_iter,
    }
    history = read_history(paths.history)
    for key in ("train_loss", "val_loss", "val_accuracy", "val_accuracy_top5"):
        values = [record[key] for record in history if record.get(key) is not None]
        if values:
            result[key] = values[-1]
    if run.last_loss is not None:
        displayed = [record["iteration"] for record in history if "train_loss" in record]
        if not displayed or displayed[-1] < run.iteration - 1:  # the last iteration was not
            result["train_loss"] = run.last_loss
    tested = [record for record in history if record.get("val_accuracy") is not None]
    if tested:
        best = max(tested, key=lambda record: record["val_accuracy"])
        result["best_val_accuracy"] = best["val_accuracy"]
        result["best_iteration"] = best["iteration"]
    speeds = [record["images_per_second"] for record in history if "images_per_second" in record]
    if speeds:
        result["images_per_second"] = sorted(speeds)[len(speeds) // 2]
    if history:
        result["seconds"] = history[-1].get("seconds")
    found = snapshots.snapshots(paths.snapshots)
    if found:
        result["snapshot"] = os.fspath(found[-1].model)
        kept = retention.best_iteration(history, [snapshot.iteration for snapshot in found])
        if kept is not None:
            result["best_snapshot"] = os.fspath(retention.at(found, kept).model)
    return result
