"""A training that diverges ends, and its last sound snapshot is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.run.small_runs import RUN, last_line, record, train
from tinynet.run import snapshots


def test_divergence_stops_the_run_with_advice_and_keeps_the_last_good_snapshot(
    folder: Path, engine: str
) -> None:
    wild = ("--set", "base_lr=1e10", "--set", "snapshot=1", "--set", "display=1")
    child = train(folder, "--engine", engine, "--max-iter", "100000", *wild)
    assert child.returncode == 1
    assert "diverged" in last_line(child) and "base_lr" in last_line(child)
    run = record(folder)
    assert run["state"] == "diverged"
    assert run["last_good"] is not None and run["iteration"] <= run["last_good"]
    again = train(folder, "--engine", engine, "--max-iter", "100000", *wild)
    assert again.returncode == 1
    assert record(folder)["sessions"] == run["sessions"], "a diverged run went on unasked"


@pytest.mark.parametrize(
    "hidden", ["average_loss=1000", pytest.param("display=100", marks=pytest.mark.long)]
)
def test_divergence_that_the_displayed_loss_does_not_show_stops_the_run_too(
    folder: Path, engine: str, hidden: str
) -> None:
    """An average over 1000 losses stays below the bound for long, as does a loss not displayed."""
    wild = ("--set", "base_lr=1e10", "--set", "snapshot=1", "--set", "display=1", "--set", hidden)
    child = train(folder, "--engine", engine, "--max-iter", "100000", *wild)
    assert child.returncode == 1
    assert "diverged: the " in last_line(child) and "base_lr" in last_line(child)
    run = record(folder)
    # within one display interval, and nothing unsound was sealed
    assert run["sessions"][-1]["to"] <= 101
    if run["iteration"]:
        state = folder / RUN / f"snapshots/snapshot_iter_{run['iteration']}.solverstate"
        assert (
            snapshots.fault(
                snapshots.Snapshot(run["iteration"], state, state.with_suffix(".caffemodel"))
            )
            is None
        )


def test_weights_that_overflow_at_the_last_iteration_are_no_result(
    folder: Path, engine: str
) -> None:
    """The last loss is finite; the update after it is not."""
    wild = ("--set", "base_lr=1e38", "--set", "weight_decay=1e30", "--set", "display=0")
    child = train(folder, "--engine", engine, "--max-iter", "2", "--snapshot", "0", *wild)
    assert child.returncode == 1, child.stderr
    assert "not finite" in last_line(child)
    assert record(folder)["state"] == "diverged"
