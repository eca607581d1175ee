"""How a run's record describes the end of a session."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.run import small_runs
from tinynet.engine.discovery import Engine
from tinynet.errors import StoppedEarly
from tinynet.run.launched import OtherRanks
from tinynet.run.session import Session

#: a worker that says what it computes on, and that it has ended as the last line tells
STAND_IN = f"""#!{sys.executable}
import json, sys
print(json.dumps({{"event": "engine", "device": "gpu 1", "gpu_name": "Stand-in 3000"}}))
print(json.dumps({{"event": END, "iteration": 24, "loss": 0.25}}), flush=True)
sys.exit(0 if END == "done" else 75)
"""


def session(folder: Path, end: str) -> tuple[Session, Path]:
    """Run a session of the stand-in and return the record that it writes."""
    python = folder / "python"
    python.write_text(STAND_IN.replace("END", repr(end)))
    python.chmod(0o755)
    plan = small_runs.plan(folder, Engine("torch", "tinynet.torchcaffe", str(python), "1"))
    return Session(plan, print, OtherRanks(None), lambda: None), plan.paths.run_json


def test_the_record_names_the_gpu_that_the_worker_named_and_the_last_loss(tmp_path: Path) -> None:
    made, run_json = session(tmp_path, "done")
    assert made.run()
    record = json.loads(run_json.read_text())
    assert record["versions"]["gpu"] == "Stand-in 3000"
    assert (record["state"], record["iteration"], record["last_loss"]) == ("finished", 24, 0.25)
    assert record["sessions"][0]["worker"]["device"] == "gpu 1"


def test_a_stopped_run_is_recorded_at_its_newest_snapshot(tmp_path: Path) -> None:
    made, run_json = session(tmp_path, "stopped")
    with pytest.raises(StoppedEarly, match="at iteration 24 of 24; .* resumes it from the start"):
        made.run()
    record = json.loads(run_json.read_text())
    assert (record["state"], record["iteration"], record["last_loss"]) == ("stopped", 0, None)
