"""What a run's record says of how a session ended."""

from __future__ import annotations

import json
from pathlib import Path

from tinynet.paths import RunPaths
from tinynet.training import driver
from tinynet.training.run import Run
from tinynet.training.session import Outcome


def test_the_record_names_the_gpu_that_the_worker_named(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path)
    run = Run()
    run.begin_session(0)
    outcome = Outcome("finished", 24, engine={"device": "gpu 1", "gpu_name": "Stand-in 3000"})
    driver._record(run, outcome, paths)
    assert json.loads(paths.run_json.read_text())["versions"]["gpu"] == "Stand-in 3000"
