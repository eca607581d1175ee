"""Compares several of our own trainings at once on this machine's cores with one at a time.

``trainings``: images a second of all together, beside those of one alone that has all threads.
``jobs``: how long ``tinynet jobs local`` takes for a list, with several jobs at once or with one.
"""

from __future__ import annotations

import subprocess
import sys
import time
from functools import partial
from pathlib import Path

from tinynet.bench.bench import Bench
from tinynet.bench.rounds import JOB, Row, alternate
from tinynet.bench.stage_files import stage_files
from tinynet.bench.workers import Workers
from tinynet.engine.discovery import Engine
from tinynet.experiment.solvers import Overrides
from tinynet.jobs.slots import shares_of_cores

_STAGE = 7


def trainings(bench: Bench, engine: Engine, size: int) -> list[Row]:
    """A round is ``size`` iterations of each training."""
    part = f"{bench.at_once} trainings at once, stage {_STAGE}"
    alone, each = threads(1), threads(bench.at_once)
    one = Row(part, f"1 training, {_threads(alone)}", "img")
    name = f"{bench.at_once} trainings, {_threads(each)} each"
    work = ["train", f"--solver={bench.prototxt(_STAGE)[0].solver}"]
    several = partial(Workers, engine, [["bench", *work]] * bench.at_once, each)
    entries = [
        (one, bench.worker(engine, *work, threads=alone), size),
        (Row(part, name, "img", of=one.name), several, size),
    ]
    return alternate(entries, bench.rounds, bench.say)


def threads(at_once: int) -> int:
    """The number of threads that ``jobs local`` gives each of so many trainings at once."""
    slot = shares_of_cores(at_once).take()
    assert slot is not None
    return int(slot.environment["OMP_NUM_THREADS"])


def _threads(count: int) -> str:
    return f"{count} thread{'s' * (count > 1)}"


def jobs(bench: Bench, iterations: int) -> list[Row]:
    """A round is a new list of twice ``at_once`` jobs of so many iterations, done to its end."""
    count = 2 * bench.at_once
    part = f"jobs local, {count} jobs of stage {_STAGE}"
    one = Row(part, "one after another", JOB)
    several = Row(part, f"{bench.at_once} at once", JOB, of=one.name)
    # as a user generates them, but without a test at the start
    overrides = Overrides(solver={"test_initialization": False})
    prototxt = bench.scratch / "jobs-prototxt"
    stage_files(prototxt, bench.data, _STAGE, overrides, without=())
    for number in range(bench.rounds):
        for row, processes in ((one, 1), (several, bench.at_once)):
            if row.skipped:
                continue
            bench.say(f"{part}: round {number + 1} of {bench.rounds}, {row.name}")
            folder = bench.scratch / f"list{number}-{processes}"
            what = [f"--stage={_STAGE}", f"--seeds=1-{count}", f"--prototxt={prototxt}"]
            how = [f"--train=--max-iter {iterations}", f"--runs={folder / 'runs'}", "--no-evaluate"]
            try:
                _tinynet_jobs("create", folder, *what, *how)
                start = time.perf_counter()
                _tinynet_jobs("local", folder, f"--processes={processes}")
                row.rates.append(count / (time.perf_counter() - start))
            except subprocess.CalledProcessError as error:
                said = error.stderr.decode("utf-8", "replace").strip().splitlines()
                row.skipped = said[-1] if said else f"ended with status {error.returncode}"
                row.rates.clear()
    return [one, several]


def _tinynet_jobs(*arguments: str | Path) -> None:
    command = [sys.executable, "-m", "tinynet", "jobs", *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True)
