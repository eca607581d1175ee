"""What a run's record says of how a session ended."""

from __future__ import annotations

import json
from pathlib import Path

from tinynet.run import driver
from tinynet.run.paths import RunPaths
from tinynet.run.record import Run
from tinynet.run.session import Outcome


def test_the_record_names_the_gpu_that_the_worker_named(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path)
    run = Run()
    run.begin_session(0)
    outcome = Outcome("finished", 24, engine={"device": "gpu 1", "gpu_name": "Stand-in 3000"})
    driver._record(run, outcome, paths)
    assert json.loads(paths.run_json.read_text())["versions"]["gpu"] == "Stand-in 3000"
