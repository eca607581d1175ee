"""The evaluations that finished runs of a dissection still lack, before they are collected.

A job of the list evaluates what it has trained.  A run that was trained by ``tinynet train`` alone,
or by an earlier release that evaluated less, is evaluated by ``dissect --collect --evaluate``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tinynet.predict.evaluate import EvaluationRequest
from tinynet.predict.probabilities import OVERSAMPLE
from tinynet.run import record as runs
from tinynet.run.paths import RunPaths
from tinynet.study import collect
from tinynet.study.settings import Settings
from tinynet.study.trainings import Folders, planned_runs


def left(folders: Folders, settings: Settings, data: Path) -> Iterator[EvaluationRequest]:
    """The missing evaluations of every finished run that the results do not hold yet.

    ``data``: the converted folder that the images are read from.
    """
    for name in planned_runs(settings):
        run = RunPaths(folders.runs / name)
        record = runs.load(run.run_json)
        is_there = folders.results.scores(name).exists()
        if record is None or record.state != runs.FINISHED or is_there:
            continue
        for split, crop in collect.wanted(settings):
            asked = EvaluationRequest(
                run.root,
                split,
                crop == OVERSAMPLE,
                data=data,
                sample=collect.sample_of(split, settings),
            )
            if not asked.out.exists():
                yield asked
