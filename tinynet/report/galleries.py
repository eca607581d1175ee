"""The page's section of images: what models say of them, and which answers change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from tinynet.errors import TinynetError
from tinynet.predict.guesses import Guesses
from tinynet.report import picks
from tinynet.report.parts import Answer, Card, Gallery, Guess, Part
from tinynet.report.picks import ModelGuesses
from tinynet.report.report_data import ReportData
from tinynet.report.summary import stage_rows
from tinynet.report.table import NONE, Cell, Column, Table, number, percent
from tinynet.study.results import StageRow

_SAMPLES, _MANY, _FEW = 6, 12, 6  # cards of a gallery
DRAWN = (
    "The images here are drawn, each kind of drawing for one class: a page that may be published "
    "holds no image of the data set. 'tinynet report --data DIR' shows the real ones."
)


def section(report_data: ReportData) -> Part | None:
    """The section; None if no finished run has answers for the reported images."""
    models = picks.stages_and_ensemble(report_data)
    if not models:
        return None
    part = Part("images", "What the models say of single images")
    if not report_data.page_images.are_real:
        part.texts.append(DRAWN)
    try:
        part.galleries = list(_galleries(report_data, models))
        part.tables.append(_classes(report_data, models))
    except TinynetError as error:  # the data named is not that of the runs
        part.absent = str(error)
    return part


def _galleries(report_data: ReportData, models: Sequence[ModelGuesses]) -> Iterator[Gallery]:
    last = models[-1]
    card = partial(_card, report_data, last.guesses)
    chosen = picks.at_random(last.guesses, _SAMPLES)
    yield Gallery(
        "Five best guesses of every stage",
        "Images drawn at random by a fixed seed, of different classes. Each stage by its first "
        "seed, over crops if it was evaluated so.",
        [card(at, answers=[_answer(report_data, model, at) for model in models]) for at in chosen],
        is_wide=True,
    )
    wrong = picks.surely_wrong(last.guesses, _MANY)
    yield Gallery(
        "Most confidently wrong",
        f"Wrong answers of the highest probability, by {last.name}.",
        [card(at, answers=[_answer(report_data, last, at, 2)]) for at in wrong],
    )
    yield _often_wrong(report_data, card_of=card)
    yield from _steps(report_data, card_of=card)
    changed = _ensemble_changes(report_data, card_of=card)
    if changed is not None:
        yield changed


def _often_wrong(report_data: ReportData, card_of: partial[Card]) -> Gallery:
    found = [picks.of_run(report_data, run) for run in report_data.runs]
    all_say = [says for says in found if says is not None]
    cards = []
    for at in picks.often_wrong(all_say, _MANY):
        answers = Counter(int(says.best[at]) for says in all_say if not says.right[at])
        wrong = sum(answers.values())
        answer, times = answers.most_common(1)[0]
        note = f"wrong by {wrong} of {len(all_say)}; {times} say {report_data.class_name(answer)}"
        cards.append(card_of(at, note=note))
    return Gallery(
        "Most often confused",
        "Images that the most runs get wrong, of all stages and seeds.",
        cards,
    )


def _steps(report_data: ReportData, card_of: partial[Card]) -> Iterator[Gallery]:
    """What each stage gets right that the stage before did not, for the seeds that both have."""
    steps = [row for row in stage_rows(report_data) if row.is_step and row.finished]
    for before, after in zip(steps, steps[1:]):
        pairs = _paired(report_data, before, after)
        if not pairs:
            continue
        change = picks.change([b for b, _ in pairs], [a for _, a in pairs])
        seeds = "its seed" if len(pairs) == 1 else f"all {len(pairs)} seeds"
        yield Gallery(
            f"Newly right in {after.label}",
            f"{len(change.won)} images are wrong by {seeds} of {before.label} and right by "
            f"{seeds} here; {len(change.lost)} the other way round.",
            [
                card_of(at, note=f"before: {_guess(report_data, pairs[0][0], at)}")
                for at in change.won[:_FEW]
            ],
        )


def _paired(
    report_data: ReportData, before: StageRow, after: StageRow
) -> list[tuple[Guesses, Guesses]]:
    runs = {run.name: run for run in report_data.runs}
    earlier = {row.seed: row.run for row in before.finished}
    found = []
    for row in after.finished:
        names = (earlier.get(row.seed, ""), row.run)
        says = [picks.of_run(report_data, runs[name]) for name in names if name in runs]
        if len(says) == 2 and says[0] is not None and says[1] is not None:
            found.append((says[0], says[1]))
    return found


def _ensemble_changes(report_data: ReportData, card_of: partial[Card]) -> Gallery | None:
    single, ensemble = picks.best_member(report_data), picks.averaged(report_data)
    if single is None or ensemble is None:
        return None
    change = picks.change([single.guesses], [ensemble.guesses])
    differ = int((single.guesses.best != ensemble.guesses.best).sum())
    cards = [
        card_of(at, note=f"{what}: {single.name} says {_guess(report_data, single.guesses, at)}, "
                f"averaged {_guess(report_data, ensemble.guesses, at)}")
        for what, found in (("won", change.won), ("lost", change.lost))
        for at in found[:_FEW]
    ]  # fmt: skip
    return Gallery(
        "Answers that the ensemble changed",
        f"The average answers otherwise than {single.name}, the best member by the images that "
        f"choose, on {differ} of {len(single.guesses.labels):,} images: {len(change.won)} become "
        f"right and {len(change.lost)} wrong.",
        cards,
    )


def _classes(report_data: ReportData, models: Sequence[ModelGuesses]) -> Table:
    """Accuracy class by class, with an example that is right and one that is wrong."""
    last = models[-1].guesses
    classes = len(last.wnids)
    columns = [Column("class", "name"), Column("images", "number", is_main=False)]
    shares = []
    for model in (models[0], *models[1:][-2:]):
        columns.append(Column(f"{model.name} (%)", "number"))
        shares.append(picks.by_class(model.guesses, classes))
    columns.append(Column("most often taken for (times)", "name"))
    counts = np.bincount(last.labels, minlength=classes)
    rows = []
    for label in range(classes):
        mine = last.labels == label
        others = Counter(last.best[mine & (last.best != label)].tolist())
        right = np.flatnonzero(mine & (last.best == label))
        cells = [
            _example(report_data, last, right, report_data.class_name(label)),
            number(float(counts[label]), 0),
            *(percent(None if np.isnan(s[label]) else float(s[label])) for s in shares),
        ]
        if others:
            answer, times = others.most_common(1)[0]
            wrong = np.flatnonzero(mine & (last.best == answer))
            text = f"{report_data.class_name(answer)} ({times})"
            cells.append(_example(report_data, last, wrong, text))
        else:
            cells.append(NONE)
        rows.append(cells)
    who = models[-1].name
    caption = (
        f"Accuracy (top-1) of each class, by the first seed of a stage or {who}. Left the image of "
        f"it that {who} is surest of; right, the one most surely taken for the other class."
    )
    return Table("classes", caption, columns, rows)


def _example(report_data: ReportData, says: Guesses, where: np.ndarray, text: str) -> Cell:
    """A cell with the image among those at ``where`` whose answer is the surest."""
    if not len(where):
        return Cell(text)
    at = int(where[np.argmax(says.shares[where, 0])])
    return Cell(text, image=_address(report_data, says, at))


def _card(
    report_data: ReportData,
    says: Guesses,
    at: int,
    note: str = "",
    answers: Sequence[Answer] = (),
) -> Card:
    title = report_data.class_name(int(says.labels[at]))
    return Card(_address(report_data, says, at), title, note, list(answers))


def _address(report_data: ReportData, says: Guesses, at: int) -> str:
    wnid = str(says.wnids[says.labels[at]])
    return report_data.page_images.uri(str(says.names[at]), wnid, report_data.reported)


def _answer(report_data: ReportData, model: ModelGuesses, at: int, count: int = 5) -> Answer:
    says = model.guesses
    found = [
        Guess(
            report_data.class_name(int(answer)),
            f"{100 * float(share):.0f} %",
            answer == says.labels[at],
        )
        for answer, share in zip(says.answers[at, :count], says.shares[at, :count])
    ]
    return Answer(model.name, found)


def _guess(report_data: ReportData, says: Guesses, at: int) -> str:
    return f"{report_data.class_name(int(says.best[at]))} ({_percent(says.shares[at, 0])})"


def _percent(share: np.floating) -> str:
    return f"{100 * float(share):.0f}\N{NO-BREAK SPACE}%"
