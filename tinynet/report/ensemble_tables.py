"""The tables of an ensemble: its figures beside the paper's, and its best subsets by size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tinynet.experiment import paper
from tinynet.predict.probabilities import OVERSAMPLE
from tinynet.predict.subsets import MAX_MEMBERS, SubsetScores, members_of
from tinynet.report.report_data import ReportData
from tinynet.report.summary import ensemble_of, subset_scores
from tinynet.report.table import (
    NONE,
    NOT_RUN,
    Cell,
    Column,
    Link,
    Table,
    interval_cell,
    number,
    percent,
)
from tinynet.study.results import Ensemble, absence

_Fact = tuple[str, Cell, Cell]  # what, ours, the paper's


def ensemble_facts(report_data: ReportData) -> Table | None:
    """The ensemble's figures, beside the paper's if it is that one; None without an ensemble."""
    ensemble = ensemble_of(report_data)
    if ensemble is None:
        return None
    singles = [
        s.top1 for row in ensemble.members if (s := row.score(report_data.reported, OVERSAMPLE))
    ]
    facts = [
        ("models of the ensemble", _member_links(report_data, ensemble), Cell("11")),
        *_averages(ensemble, singles),
        *_best_subsets(ensemble),
    ]
    if ensemble.is_papers:
        test = "images of the challenge's test set (%)"
        facts.append((test, Cell(NOT_RUN, ""), number(paper.ENSEMBLE_TEST)))
    columns = [Column("quantity", "name"), Column("ours", "number"), Column("paper's", "number")]
    rows = [[Cell(what), ours, theirs] for what, ours, theirs in facts]
    if ensemble.is_papers:
        return Table("ensemble", "The ensemble beside the paper's, of 200 classes.", columns, rows)
    caption = f"The average of {len(ensemble.members)} models, which is not the paper's ensemble."
    return Table("ensemble", caption, columns[:2], [row[:2] for row in rows])


def _averages(ensemble: Ensemble, singles: Sequence[float]) -> Iterator[_Fact]:
    """All members averaged, beside the single ones, whose ten-crop accuracies are ``singles``."""
    full = ensemble.full
    yield (
        "all of them (%)",
        percent(full.top1 if full else None, missing=absence(ensemble.members)),
        number(paper.ENSEMBLE),
    )
    if ensemble.so_far is not None:
        yield (
            f"those {len(singles)} that have run, averaged (%): not the full ensemble",
            percent(ensemble.so_far.top1),
            NONE,
        )
    yield (
        "single models over crops, lowest and highest (%)",
        interval_cell((min(singles), max(singles)) if singles else None),
        interval_cell((paper.MEMBERS_RANGE[0] / 100, paper.MEMBERS_RANGE[1] / 100)),
    )
    yield (
        "their standard deviation (points)",
        percent(ensemble.deviation),
        number(paper.MEMBERS_DEVIATION),
    )
    yield (
        "gain over the best of them on these very images (points)",
        percent(full.top1 - max(singles) if full and singles else None, sign=True),
        number(ensemble.paper.gain, sign=True),
    )
    yield (
        "gain over the best of them by the tuning images (points)",
        percent(ensemble.gain_over_best, sign=True),
        NONE,
    )


def _best_subsets(ensemble: Ensemble) -> Iterator[_Fact]:
    """The best subset by either kind of images, and what choosing on the reported ones adds."""
    flattered, chosen = ensemble.flattered, ensemble.chosen
    yield (
        "best subset, chosen on these very images (%)",
        percent(flattered.reported if flattered else None),
        number(paper.BEST_SUBSET),
    )
    yield (
        "its members",
        Cell(_members(flattered.members) if flattered else "—"),
        Cell(f"{paper.BEST_SUBSET_SIZE} models"),
    )
    yield (
        "best subset by the tuning images, on the held-out ones (%)",
        percent(chosen.reported if chosen else None),
        NONE,
    )
    yield (
        "optimism of choosing on what is reported (points)",
        percent(flattered.reported - chosen.reported if flattered and chosen else None, True),
        NONE,
    )


def _member_links(report_data: ReportData, ensemble: Ensemble) -> Cell:
    """The number of members, or their numbers as links where all have run."""
    names = [row.run for row in ensemble.members]
    links = report_data.run_links(names, [str(n) for n in range(1, len(names) + 1)])
    return Cell(str(len(names)), None, links if len(links) == len(names) else [])


def _members(members: Sequence[int]) -> str:
    return f"{len(members)}: " + " ".join(map(str, members))


def subset_sizes(report_data: ReportData) -> Table | None:
    """The best subset of each size."""
    members = report_data.members[:MAX_MEMBERS]
    if len(members) < 2:
        return None
    numbers = [str(n + 1) for n in range(len(members))]
    links = report_data.run_links([run.name for run in members], numbers)
    return subsets_table(subset_scores(report_data), links)


def subsets_table(scores: SubsetScores, links: Sequence[Link] = ()) -> Table:
    """The best, mean and worst accuracy of each size; ``links`` lead to the members' runs."""
    rows = []
    for size in range(1, scores.members + 1):
        mask = scores.best_of_size(size)
        at_size = scores.correct[scores.sizes == size] / scores.images
        best = members_of(mask)
        found = (scores.accuracy(mask), float(at_size.mean()), float(at_size.min()))
        models = " ".join(str(m + 1) for m in best)
        cells = [number(size, 0), number(len(at_size), 0), *map(percent, found)]
        rows.append([*cells, Cell(models, None, [links[m] for m in best if links])])
    columns = [
        *(Column(name, "number") for name in ("models", "subsets", "best %", "mean %", "worst %")),
        Column("models of the best", "runs"),
    ]
    caption = (
        "Every subset by its size; the best is chosen on these very images. Models are numbered "
        "in the ensemble's order."
    )
    return Table("subset-sizes", caption, columns, rows)
