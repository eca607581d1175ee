"""The numbers of a report: what every stage reaches and gains, from its runs."""

from __future__ import annotations

import math
import statistics

from tinynet.evaluation.ensemble import Member, average
from tinynet.evaluation.metrics import score
from tinynet.reporting.bars import Bar, Interval
from tinynet.reporting.evidence import Evidence, RunEvidence, stage_label
from tinynet.stages import STAGES


def validation_accuracy(run: RunEvidence) -> float | None:
    """One-crop top-1 accuracy from 0 to 1: of val.npz, else the last that training logged."""
    metrics = run.metrics("val")
    if metrics is not None:
        return metrics.top1
    logged = [r["val_accuracy"] for r in run.history if r.get("val_accuracy") is not None]
    return float(logged[-1]) if logged else None


def stage_bars(evidence: Evidence) -> tuple[list[Bar], str]:
    """Figure 7's bars, every stage in order with what has not run, and a note on what they are."""
    labels = [stage_label(stage) for stage in STAGES if not stage.is_ensemble]
    labels += [
        label
        for label in evidence.by_stage
        if label not in labels and label != stage_label(STAGES[-1])
    ]
    bars = []
    for label in labels:
        runs = evidence.by_stage.get(label, [])
        values = [v for run in runs if (v := validation_accuracy(run)) is not None]
        mean = statistics.fmean(values) if values else None
        bars.append(Bar(label, mean, _spread(values)))
    bars += _over_crops(evidence)
    note = (
        "One crop; mean of the runs of a stage, error bars: their standard deviation.\n"
        "Over crops and ensemble: Caffe's ten crops of each picture, averaged."
    )
    return bars, note


def _over_crops(evidence: Evidence) -> list[Bar]:
    """The mean member over crops, with its gain over one crop, and the average of all members."""
    members = evidence.members
    if not members:
        return [Bar(stage_label(STAGES[-1]), None)]
    found = [p for run in members if (p := run.of("val", "oversample")) is not None]
    singles = [score(p.probabilities, p.labels).top1 for p in found]
    one_crop = [v for run in members if (v := validation_accuracy(run)) is not None]
    crops_gain = None
    if len(one_crop) == len(singles):
        crops_gain = statistics.fmean(singles) - statistics.fmean(one_crop)
    mean = average([Member(run.folder, p) for run, p in zip(members, found)])
    together = score(mean.probabilities, mean.labels).top1
    of = f"stage {members[0].stage.number}" if members[0].stage else members[0].stage_name
    return [
        Bar(f"{of} over crops", statistics.fmean(singles), _spread(singles), gain=crops_gain),
        Bar(f"{of}, {len(found)} averaged", together, gain=together - statistics.fmean(singles)),
    ]


def _spread(values: list[float]) -> Interval | None:
    if len(values) < 2:
        return None
    mean, deviation = statistics.fmean(values), statistics.stdev(values)
    return (mean - deviation, mean + deviation) if math.isfinite(deviation) else None
