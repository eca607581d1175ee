"""What ``tinynet ensemble`` prints: members, best subset of each size, the full ensemble."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tinynet.predict.ensemble import Member
from tinynet.predict.metrics import Metrics
from tinynet.predict.probabilities import Probabilities
from tinynet.predict.subsets import SubsetScores, members_of
from tinynet.report.ensemble_tables import subsets_table
from tinynet.report.table import as_text, of_texts


@dataclass
class EnsembleReport:
    """An ensemble's results as text or as plain data; ``scores`` where its subsets were scored."""

    members: list[Member]
    mean: Probabilities
    file: Path
    scores: SubsetScores | None = None
    figure: Path | None = None

    def unscored(self) -> str:
        return (
            f"{self.file}: average of {len(self.members)} members on {len(self.mean.names):,} "
            "images; no scores, since they have no labels"
        )

    def text(self) -> str:
        """The tables, then a line each on the best subset, the full ensemble and the files."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        single = [member.probabilities.metrics for member in self.members]
        rows = [
            [str(number), str(member.path), *_cells(metrics)]
            for number, (member, metrics) in enumerate(zip(self.members, single), 1)
        ]
        rows.append(["", "mean member", *_cells(_mean(single))])
        full = self._full()
        rows.append(["", f"all {len(self.members)} averaged", *_cells(full)])
        yield as_text(
            of_texts(["#", "member", "top-1 %", "top-5 %", "loss"], rows, right=(0, 2, 3, 4))
        )
        if len(single) > 1:
            spread = statistics.stdev(metrics.top1 for metrics in single)
            yield f"top-1 of single members: standard deviation {100 * spread:.2f} points"
        if self.scores is not None:
            yield ""
            yield from self._subset_lines(self.scores)
        yield f"probabilities: {self.file}"
        if self.figure is not None:
            yield f"figure:        {self.figure}"

    def _subset_lines(self, scores: SubsetScores) -> Iterator[str]:
        yield as_text(subsets_table(scores))
        best = scores.best
        size = len(members_of(best))
        yield (
            f"best subset: {size} of {scores.members}, {100 * scores.accuracy(best):.2f} % "
            "(optimistic: chosen on these very images)"
        )
        yield f"all {scores.members}: {100 * scores.accuracy(scores.full):.2f} %"

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``; members are counted from 1, accuracies lie between 0 and 1."""
        out: dict[str, Any] = {
            "split": self.mean.split,
            "crop": self.mean.crop,
            "images": len(self.mean.names),
            "file": str(self.file),
            "members": [self._member(member) for member in self.members],
        }
        if self.mean.labelled:
            out["full"] = _values(self._full())
        if self.scores is not None:
            scores = self.scores
            out["subsets"] = len(scores.correct) - 1
            out["best"] = _subset(scores, scores.best)
            sizes = range(1, scores.members + 1)
            out["best_of_size"] = [_subset(scores, scores.best_of_size(size)) for size in sizes]
            out["figure"] = str(self.figure)
        return out

    def _member(self, member: Member) -> dict[str, Any]:
        p = member.probabilities
        out: dict[str, Any] = {"path": str(member.path), "iteration": p.iteration}
        if p.labelled:
            out |= _values(p.metrics)
        return out

    def _full(self) -> Metrics:
        metrics = self.mean.metrics
        if self.scores is None:
            return metrics
        # from exact sums: probabilities rounded to float32 for the file may tie where these do not
        return replace(metrics, top1=self.scores.accuracy(self.scores.full))


def _subset(scores: SubsetScores, mask: int) -> dict[str, Any]:
    members = [m + 1 for m in members_of(mask)]
    return {"size": len(members), "top1": scores.accuracy(mask), "members": members}


def _values(metrics: Metrics) -> dict[str, float]:
    return {"loss": metrics.loss, "top1": metrics.top1, "top5": metrics.top5}


def _mean(metrics: list[Metrics]) -> Metrics:
    return Metrics(
        images=metrics[0].images,
        loss=statistics.fmean(m.loss for m in metrics),
        top1=statistics.fmean(m.top1 for m in metrics),
        top5=statistics.fmean(m.top5 for m in metrics),
    )


def _cells(metrics: Metrics) -> list[str]:
    return [f"{100 * metrics.top1:.2f}", f"{100 * metrics.top5:.2f}", f"{metrics.loss:.4f}"]
