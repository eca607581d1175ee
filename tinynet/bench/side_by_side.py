"""Several of our own trainings at once on this machine's cores, beside one after another.

``trainings``: images a second of all together, beside those of one alone that has all threads.
``jobs``: how long ``tinynet jobs local`` takes for a list, with so many jobs at once or with one.
"""

from __future__ import annotations

import subprocess
import sys
import time
from functools import partial
from pathlib import Path

from tinynet.bench.rounds import JOB, Row, Say, Start, alternate
from tinynet.bench.workers import Workers
from tinynet.dataset.paths import DataPaths
from tinynet.engine.discovery import Engine
from tinynet.engine.process import start_worker
from tinynet.jobs.slots import Cores

_STAGE = 7


def trainings(
    engine: Engine, solver: Path, at_once: int, rounds: int, size: int, say: Say
) -> list[Row]:
    """A round is ``size`` iterations of each training of ``solver``."""
    part = f"{at_once} trainings at once, stage {_STAGE}"
    alone, each = threads(1), threads(at_once)
    one = Row(part, f"1 training, {_threads(alone)}", "img")
    all_of_them = Row(part, f"{at_once} trainings, {_threads(each)} each", "img", of=one.name)
    work = ["bench", "train", f"--solver={solver}"]
    entries: list[tuple[Row, Start, int]] = [
        (one, partial(start_worker, engine, work, threads=alone, with_input=True), size),
        (all_of_them, partial(Workers, engine, [work] * at_once, each), size),
    ]
    return alternate(entries, rounds, say)


def threads(at_once: int) -> int:
    """With how many threads ``jobs local`` lets each of so many trainings compute."""
    slot = Cores(at_once).take()
    assert slot is not None
    return int(slot.environment["OMP_NUM_THREADS"])


def _threads(count: int) -> str:
    return f"{count} thread{'s' * (count > 1)}"


def jobs(
    data: DataPaths, scratch: Path, at_once: int, rounds: int, iterations: int, say: Say
) -> list[Row]:
    """A round is a new list of twice ``at_once`` jobs of so many iterations, done to its end."""
    count = 2 * at_once
    part = f"jobs local, {count} jobs of stage {_STAGE}"
    one = Row(part, "one after another", JOB)
    several = Row(part, f"{at_once} at once", JOB, of=one.name)
    prototxt = _prototxt(data, scratch)
    for number in range(rounds):
        for row, processes in ((one, 1), (several, at_once)):
            if row.skipped:
                continue
            say(f"{part}: round {number + 1} of {rounds}, {row.name}")
            folder = scratch / f"list{number}-{processes}"
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


def _prototxt(data: DataPaths, scratch: Path) -> Path:
    """The folder of a stage's files, as a user generates them, but that no test comes first."""
    from tinynet.experiment import generate
    from tinynet.experiment.data_description import describe
    from tinynet.experiment.solvers import Overrides
    from tinynet.experiment.stages import STAGES

    stage = next(stage for stage in STAGES if stage.number == _STAGE)
    overrides = Overrides(solver={"test_initialization": False})
    root = scratch / "jobs-prototxt"
    generate.write(generate.generate(root, describe(data.root), [stage], overrides))
    return root
