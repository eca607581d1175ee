"""Jobs of the usual experiments: their commands and run directories."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from tinynet.cli import train
from tinynet.errors import TinynetError
from tinynet.jobs.job_list import Job
from tinynet.jobs.jobs_of_stages import Options, jobs_of_members, jobs_of_solver, jobs_of_stage

PROTOTXT = Path(__file__).parents[2] / "prototxt"
OPTIONS = Options(prototxt=PROTOTXT, runs=Path("some runs"))


@pytest.mark.parametrize(
    "jobs",
    [
        jobs_of_stage(7, [1, 2], OPTIONS),
        jobs_of_stage(8, [], OPTIONS),
        jobs_of_members([2, 5], OPTIONS),
        jobs_of_solver(PROTOTXT / "stage1_simple/solver.prototxt", [3], OPTIONS),
        jobs_of_solver(PROTOTXT / "stage1_simple/solver.prototxt", [], OPTIONS),
    ],
    ids=["stage", "ensemble", "members", "solver with seeds", "solver"],
)
def test_a_job_trains_in_the_run_directory_that_it_names(jobs: list[Job]) -> None:
    for job in jobs:
        if job.run is None:
            continue
        given = train.train.make_context("train", list(job.commands[0][1:])).params
        named = (given[key] for key in ("solver", "stage", "member", "prototxt", "runs", "name"))
        solver, paths = train._target(*named, {})
        assert paths.root == job.run and solver.exists()
        assert job.commands[1][:2] == ("evaluate", str(job.run))


def test_a_solver_without_a_deploy_net_is_refused_before_it_is_trained(tmp_path: Path) -> None:
    """Otherwise its evaluation would fail hours later."""
    (tmp_path / "solver.prototxt").write_text('net: "train_val.prototxt"')
    with pytest.raises(TinynetError, match="deploy.prototxt: no such file.*--no-evaluate"):
        jobs_of_solver(tmp_path / "solver.prototxt", [1], OPTIONS)
    only_trained = dataclasses.replace(OPTIONS, evaluate=None)
    assert len(jobs_of_solver(tmp_path / "solver.prototxt", [1], only_trained)) == 1
