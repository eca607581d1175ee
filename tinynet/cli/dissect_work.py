"""Runs the trainings of ``tinynet dissect`` on its devices, and reports their pace."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tinynet.cli.messages import say
from tinynet.errors import UsageError
from tinynet.jobs import gpus, local
from tinynet.jobs.additions import add_jobs
from tinynet.jobs.slots import Slots, shares_of_cores
from tinynet.study.cost import Cost, Pace
from tinynet.study.trainings import DissectionPaths

if TYPE_CHECKING:
    from tinynet.engine.discovery import Engine
    from tinynet.jobs.job_list import Job
    from tinynet.jobs.local import JobsReport


@dataclass(frozen=True)
class Devices:
    """What the trainings run on, as it was asked for.

    ``precision``: of the trainings.  ``processes``: how many at once on the CPU; ``per_gpu``: at
    once on each GPU; None: not said.  ``per_job``: GPUs of each training.
    """

    engine: str
    caffe_python: str | None
    cpu: bool
    precision: str
    processes: int | None
    per_gpu: int | None
    per_job: int = 1

    def require_engine(self) -> Engine:
        """The engine.  Raises where it is missing, or lacks the arithmetic."""
        from tinynet.engine import discovery
        from tinynet.engine.precision import require_precision

        engine = discovery.find(self.engine, self.caffe_python)
        require_precision(self.precision, engine, None if self.on_cores else 0)
        return engine

    @property
    def on_cores(self) -> bool:
        return self.cpu or self.processes is not None or not gpus.are_here()

    @property
    def at_once(self) -> int:
        """How many trainings run side by side, each at the rate that it has alone."""
        if self.on_cores:
            return 1  # trainings at once share the cores
        return max(1, len(self._gpus()) // self.per_job)

    def slots(self) -> Slots:
        """Raises UsageError if GPUs are asked for and none is here."""
        if self.on_cores:
            if self.per_gpu is not None:
                raise UsageError("--per-gpu: no GPU is here; --processes N shares the cores")
            return shares_of_cores(self.processes or 1)
        made = gpus.Gpus(self._gpus(), per_gpu=self.per_gpu or 1)
        made.require(self.per_job, "--gpus-per-job")
        return made

    def _gpus(self) -> list[gpus.Gpu]:
        return gpus.chosen(gpus.look(), None, os.environ.get("CUDA_VISIBLE_DEVICES"))


def write_list(folders: DissectionPaths, jobs: Sequence[Job]) -> None:
    """Write the job list, and say how to begin it."""
    if not jobs:
        say(f"{folders.results.root}: has all of it; no job is left")
        return
    add_jobs(folders.jobs, jobs, known_unfinished=True)
    where = shlex.quote(os.fspath(folders.jobs))
    say(
        f"{folders.jobs}: {len(jobs)} {'job' if len(jobs) == 1 else 'jobs'}; begin with "
        f"tinynet jobs local {where}, or with tinynet jobs slurm|sge {where}"
    )


def work(
    folders: DissectionPaths,
    jobs: Sequence[Job],
    devices: Devices,
    costs: dict[str, Cost] | None,
    within: float | None,
) -> JobsReport:
    """Write the job list and do its jobs.

    ``costs``: of the runs, to report the pace; None: without it.  ``within``: a training is begun
    only if it would end in so many seconds from now.
    """
    slots = devices.slots()
    add_jobs(folders.jobs, jobs, known_unfinished=True)
    pace = None if costs is None else Pace(costs, folders.runs)
    return local.run(
        folders.jobs,
        slots,
        say,
        only=[job.name for job in jobs],
        again=True,
        watch=None if pace is None else _watch(pace),
        fits=None if pace is None or within is None else _fits(pace, within),
    )


def _watch(pace: Pace) -> Callable[[list[Job], list[Job]], None]:
    def watch(active: list[Job], left: list[Job]) -> None:
        for line in pace.lines(_runs(active), _runs(left)):
            say(line)

    return watch


def _fits(pace: Pace, within: float) -> Callable[[Job], bool]:
    """Whether a job would end in time; one of unknown rate is taken to do so."""
    end = time.monotonic() + within

    def fits(job: Job) -> bool:
        left = end - time.monotonic()
        seconds = [pace.expected(run) for run in _runs([job])]
        return left > 0 and all(each is None or each <= left for each in seconds)

    return fits


def _runs(jobs: Sequence[Job]) -> list[str]:
    return [f"{job.run.parent.name}/{job.run.name}" for job in jobs if job.run is not None]
