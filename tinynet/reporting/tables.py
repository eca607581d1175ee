"""The tables of a report: stages beside the paper, ensemble, confusions, and every run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from tinynet.evaluation.subsets import members_of
from tinynet.experiments import paper
from tinynet.experiments.results import Ensemble, StageRow
from tinynet.reporting import confusion
from tinynet.reporting.evidence import CENTER, OVERSAMPLE, Evidence, RunEvidence
from tinynet.reporting.figures import Absent, confused
from tinynet.reporting.summary import Oversampling, ensemble_of, interval, oversampling, stage_rows

NOT_RUN = "not run"


@dataclass(frozen=True)
class Link:
    text: str
    href: str
    title: str = ""


@dataclass(frozen=True)
class Cell:
    """``value`` is what it sorts by, where that is not its text; "" comes last."""

    text: str
    value: str | None = None
    links: list[Link] = field(default_factory=list)
    is_code: bool = False
    title: str = ""


@dataclass(frozen=True)
class Column:
    """``kind`` is its style: "number", "name", "hash", "path" or ""."""

    name: str
    kind: str = ""

    @property
    def is_number(self) -> bool:
        return self.kind == "number"


@dataclass(frozen=True)
class Row:
    cells: list[Cell]
    id: str = ""


@dataclass(frozen=True)
class Table:
    id: str
    caption: str
    columns: list[Column]
    rows: list[Row]


def run_id(evidence: Evidence, name: str) -> str:
    """The id of a run's row in the table of runs: by its place, since names may hold anything."""
    names = [run.name for run in evidence.runs]
    return f"run-{names.index(name) + 1}" if name in names else ""


def run_links(evidence: Evidence, names: Sequence[str], short: bool = True) -> list[Link]:
    """Links to the rows of runs, called by their folder's name alone where ``short``.

    A name that is no run's (a prototxt) is left out.
    """
    found = [(name, run_id(evidence, name)) for name in names]
    return [
        Link(name.rsplit("/", 1)[-1] if short else name, f"#{anchor}", name if short else "")
        for name, anchor in found
        if anchor
    ]


def number(value: float | None, digits: int = 2, sign: bool = False, missing: str = "—") -> Cell:
    if value is None:
        return Cell(missing, "")
    text = f"{value:{'+' if sign else ''},.{digits}f}".replace("-", "−")
    return Cell(text, f"{value:.9g}")


def percent(value: float | None, sign: bool = False, missing: str = "—") -> Cell:
    return number(None if value is None else 100 * value, sign=sign, missing=missing)


def interval_cell(found: tuple[float, float] | None, sign: bool = False) -> Cell:
    """Two shares as percent; it sorts by its width."""
    if found is None:
        return Cell("—", "")
    form = "+.2f" if sign else ".2f"
    low, high = (f"{100 * end:{form}}".replace("-", "−") for end in found)
    return Cell(f"{low} … {high}", f"{found[1] - found[0]:.9g}")


def stages(evidence: Evidence) -> Table:
    """What every stage reaches and gains, beside what the paper's text says of it."""
    columns = [
        Column("stage", "name"),
        Column("runs", ""),
        Column("accuracy, one crop (%)", "number"),
        Column("95 % by picture", "number"),
        Column("95 % by seed", "number"),
        Column("over crops (%)", "number"),
        Column("training (%)", "number"),
        Column("loss (nats)", "number"),
        Column("gain (points)", "number"),
        Column("95 % of the gain", "number"),
        Column("paper's gain", "number"),
        Column("paper's accuracy (%)", "number"),
        Column("paper's training (%)", "number"),
    ]
    rows = [Row(_stage_cells(evidence, row)) for row in stage_rows(evidence)]
    rows.append(Row(_crops_cells(oversampling(evidence))))
    ensemble = ensemble_of(evidence)
    if ensemble is not None:
        rows.append(Row(_ensemble_cells(evidence, ensemble)))
    return Table(
        "stages",
        f"Accuracy (top-1) on the {evidence.pictures} pictures, means over seeds. By picture: a "
        "paired bootstrap over the pictures, these runs being as they are. By seed: Student's t "
        "over seeds, these pictures being what they are. Of a gain the interval is by seed where "
        "two seeds are shared, else by picture.",
        columns,
        rows,
    )


def _stage_cells(evidence: Evidence, row: StageRow) -> list[Cell]:
    one = row.one_crop
    missing = NOT_RUN if one is None else "—"
    done = [run.run for run in row.finished]
    links = run_links(evidence, done)
    return [
        Cell(f"{row.number} {row.title}" if row.number else row.title, f"{row.number:03d}"),
        Cell(str(len(done)) if done else NOT_RUN, str(len(done)), links),
        percent(one.mean if one else None, missing=missing),
        interval_cell(one.by_picture if one else None),
        interval_cell(one.by_seed if one else None),
        percent(row.ten_crop.mean if row.ten_crop else None),
        percent(row.training.mean if row.training else None),
        number(row.loss, 3),
        percent(row.gain.mean if row.gain else None, sign=True),
        interval_cell(interval(row.gain), sign=True),
        number(row.paper.gain, sign=True),
        number(row.paper.validation),
        number(row.paper.training),
    ]


def _crops_cells(over: Oversampling) -> list[Cell]:
    none = Cell("—", "")
    ten, gain = over.ten_crop, over.gain
    accuracy = paper.BEST_MEMBER_TEN_CROPS if over.paper_gain is not None else None
    return [
        *(
            Cell(over.label, f"{over.label[:1]:0>3}.5"),
            Cell("as above" if over.ten_crop else NOT_RUN, ""),
        ),
        none,
        interval_cell(ten.by_picture if ten else None),
        interval_cell(ten.by_seed if ten else None),
        percent(ten.mean if ten else None, missing=NOT_RUN),
        *(none, none),
        percent(gain.mean if gain else None, sign=True),
        interval_cell(interval(gain), sign=True),
        number(over.paper_gain, sign=True),
        number(accuracy),
        none,
    ]


def _ensemble_cells(evidence: Evidence, ensemble: Ensemble) -> list[Cell]:
    gain, full = ensemble.gain_over_mean, ensemble.full
    title = f"{ensemble.number} {ensemble.title}"
    if evidence.dissection is None:
        title = ensemble.title
    done = [run.run for run in ensemble.members if run.state == "finished"]
    return [
        Cell(title, f"{ensemble.number:03d}"),
        Cell(f"{len(done)} of {len(ensemble.members)}", str(len(done)), run_links(evidence, done)),
        Cell("—", ""),
        interval_cell(ensemble.full_by_picture),
        Cell("—", ""),
        percent(full.top1 if full else None, missing=NOT_RUN),
        Cell("—", ""),
        number(full.loss if full else None, 3),
        percent(gain.mean if gain else None, sign=True),
        interval_cell(gain.by_picture if gain else None, sign=True),
        number(ensemble.paper.gain, sign=True),
        number(ensemble.paper.validation),
        number(ensemble.paper.training),
    ]


def ensemble_facts(evidence: Evidence) -> Table | None:
    """What the paper says of its ensemble, and the same of ours."""
    ensemble = ensemble_of(evidence)
    if ensemble is None:
        return None
    singles = [
        s.top1 for row in ensemble.members if (s := row.score(evidence.reported, OVERSAMPLE))
    ]
    flattered, chosen, full = ensemble.flattered, ensemble.chosen, ensemble.full
    both = [
        ("models of the ensemble", Cell(str(len(ensemble.members))), Cell("11")),
        (
            "all of them (%)",
            percent(full.top1 if full else None, missing=NOT_RUN),
            number(paper.ENSEMBLE),
        ),
        (
            f"those {len(singles)} that have run, averaged (%): not the full ensemble",
            percent(ensemble.so_far.top1 if ensemble.so_far else None),
            Cell("—", ""),
        ),
        (
            "single models over crops, lowest and highest (%)",
            interval_cell((min(singles), max(singles)) if singles else None),
            interval_cell((paper.MEMBERS_RANGE[0] / 100, paper.MEMBERS_RANGE[1] / 100)),
        ),
        (
            "their standard deviation (points)",
            percent(ensemble.deviation),
            number(paper.MEMBERS_DEVIATION),
        ),
        (
            "best subset, chosen on these very pictures (%)",
            percent(flattered.reported if flattered else None),
            number(paper.BEST_SUBSET),
        ),
        (
            "its members",
            Cell(_members(flattered.members) if flattered else "—"),
            Cell(f"{paper.BEST_SUBSET_SIZE} models"),
        ),
        (
            "best subset by the tuning pictures, on the held-out ones (%)",
            percent(chosen.reported if chosen else None),
            Cell("—", ""),
        ),
        (
            "optimism of choosing on what is reported (points)",
            percent(flattered.reported - chosen.reported if flattered and chosen else None, True),
            Cell("—", ""),
        ),
        (
            "pictures of the challenge's test set (%)",
            Cell(NOT_RUN, ""),
            number(paper.ENSEMBLE_TEST),
        ),
    ]
    if ensemble.so_far is None:
        del both[2]
    columns = [Column("quantity", "name"), Column("ours", "number"), Column("paper's", "number")]
    rows = [Row([Cell(what), ours, theirs]) for what, ours, theirs in both]
    return Table("ensemble", "The ensemble beside the paper's, of 200 classes.", columns, rows)


def _members(members: Sequence[int]) -> str:
    return f"{len(members)}: " + " ".join(map(str, members))


def subset_sizes(evidence: Evidence) -> Table | None:
    """The best subset of each size."""
    from tinynet.evaluation.subsets import MAX_MEMBERS, score_subsets

    members = evidence.members[:MAX_MEMBERS]
    found = [p for run in members if (p := run.of(evidence.reported, OVERSAMPLE)) is not None]
    if len(found) < 2:
        return None
    scores = score_subsets([p.probabilities for p in found], found[0].labels)
    rows = []
    for size in range(1, len(found) + 1):
        mask = scores.best_of_size(size)
        at_size = scores.correct[scores.sizes == size] / scores.images
        names = [members[m].name for m in members_of(mask)]
        rows.append(
            Row(
                [
                    Cell(str(size)),
                    number(len(at_size), 0),
                    percent(scores.accuracy(mask)),
                    percent(float(at_size.mean())),
                    percent(float(at_size.min())),
                    Cell("", ", ".join(names), run_links(evidence, names)),
                ]
            )
        )
    columns = [
        *(Column(name, "number") for name in ("models", "subsets", "best %", "mean %", "worst %")),
        Column("models of the best"),
    ]
    caption = "Every subset by its size; the best is chosen on these very pictures."
    return Table("subset-sizes", caption, columns, rows)


def confusions(evidence: Evidence, limit: int = 20) -> Table | None:
    """The pairs of classes that are confused most."""
    try:
        name, found = confused(evidence)
    except Absent:
        return None
    matrix = confusion.confusion_matrix(found)
    wnids = found.wnids.tolist()
    names = [evidence.class_names.get(wnid, wnid) for wnid in wnids]
    rows = [
        Row(
            [
                Cell(names[pair.label]),
                Cell(names[pair.answer]),
                percent(pair.share),
                number(pair.count, 0),
                number(pair.pictures, 0),
            ]
        )
        for pair in confusion.top_confusions(matrix, limit)
    ]
    columns = [
        Column("class", "name"),
        Column("taken for", "name"),
        Column("% of its pictures", "number"),
        Column("pictures", "number"),
        Column("of", "number"),
    ]
    return Table("confusions", f"The {len(rows)} pairs confused most, by {name}.", columns, rows)


def runs(evidence: Evidence, page: Path) -> Table:
    """Every run: where it lies, how it ended, what it is made of."""
    columns = [
        *(Column("run", "name"), Column("state"), Column("iteration", "number")),
        *(Column("of", "number"), Column("seed", "number")),
        Column("accuracy, one crop (%)", "number"),
        Column("over crops (%)", "number"),
        *(Column("engine"), Column("device")),
        *(Column("weights (SHA-256)", "hash"), Column("solver (SHA-256)", "hash")),
        Column("folder", "path"),
    ]
    rows = [
        Row(_run_cells(evidence, run, page), run_id(evidence, run.name)) for run in evidence.runs
    ]
    caption = (
        "Every run, finished or not. The hashes are of the weights that were measured and of the "
        "solver.prototxt as run; point at one to see it whole."
    )
    return Table("runs", caption, columns, rows)


def _run_cells(evidence: Evidence, run: RunEvidence, page: Path) -> list[Cell]:
    record = run.record
    state = record.state + (f": {record.message}" if record.message else "")
    engine = record.engine or _session_engine(record.sessions)
    link = quote(Path(os.path.relpath(run.folder.resolve(), page.resolve().parent)).as_posix())
    return [
        Cell(run.name),
        Cell(state),
        number(record.iteration, 0),
        number(record.max_iter, 0),
        Cell(str(record.seed), str(record.seed)),
        percent(run.scored_or_measured(evidence.reported, CENTER), missing=NOT_RUN),
        percent(run.scored_or_measured(evidence.reported, OVERSAMPLE), missing=NOT_RUN),
        Cell(" ".join(engine.get(key, "") for key in ("name", "version")).strip() or "—"),
        Cell(record.device),
        _hash(run.model_sha256),
        _hash(str(record.hashes.get("solver.prototxt", ""))),
        Cell(str(run.folder), None, [Link(str(run.folder), f"{link}/")]),
    ]


def _session_engine(sessions: Sequence[dict[str, object]]) -> dict[str, str]:
    """A published record has no engine of its own, but its sessions say."""
    if not sessions:
        return {}
    last = sessions[-1]
    return {"name": str(last.get("engine", "")), "version": str(last.get("engine_version", ""))}


def _hash(digest: str) -> Cell:
    return Cell(digest[:12], digest, is_code=True, title=digest) if digest else Cell("—", "")
