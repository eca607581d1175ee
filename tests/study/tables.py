"""A small dissection table, built by hand."""

from __future__ import annotations

from tests.study.results_by_hand import settings
from tinynet.experiment.paper import STAGES
from tinynet.study.results import (
    FINISHED,
    NOT_RUN,
    Dissection,
    Ensemble,
    Estimate,
    RunRow,
    Score,
    StageRow,
    Subset,
)
from tinynet.study.settings import Split

SCORE = Score(images=40, loss=1.25, top1=0.5, top5=0.875, views=1)
RUN = RunRow(
    run="stage1_simple/seed1",
    seed=1,
    state=FINISHED,
    iterations=40,
    scores={"test_center": SCORE, "train_center": SCORE},
)
MISSING = RunRow(run="stage1_simple/seed2", seed=2, state=NOT_RUN)
ESTIMATE = Estimate(0.5, [1], by_image=(0.4, 0.6), by_seed=None, deviation=None)
TABLE = Dissection(
    settings=settings(),
    reported=Split("test", "the validation images", 40),
    tuning=Split("val", "tuning images", 40),
    stages=[
        StageRow(
            number=1,
            name="stage1_simple",
            title="Simple model",
            change="the architecture of section 3",
            epochs=8,
            runs=[RUN, MISSING],
            paper=STAGES[1],
            one_crop=ESTIMATE,
            loss=1.25,
        )
    ],
    variants=[],
    oversampling=Estimate(0.01, [1, 2], (0.0, 0.02), by_seed=(-0.1, 0.12), deviation=0.01),
    ensemble=Ensemble(
        number=8,
        name="stage8_ensemble",
        title="+ ensemble model",
        members=[RUN, RunRow("stage8_ensemble/member04", 804, NOT_RUN)],
        paper=STAGES[8],
        full_by_image=(0.45, 0.55),
        chosen=Subset([1, 2], 0.5, 0.6),
    ),
)
