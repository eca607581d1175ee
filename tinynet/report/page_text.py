"""The page's words: the result in a sentence, facts and warnings."""

from __future__ import annotations

import math

from tinynet.experiment import paper
from tinynet.predict.probabilities import CENTER, OVERSAMPLE
from tinynet.report.report_data import ReportData
from tinynet.report.sources import Search
from tinynet.report.summary import ensemble_of, stage_rows
from tinynet.run.record import DIVERGED
from tinynet.study.results import TAKEN_AGAIN, StageRow
from tinynet.study.settings import choices


def title(report_data: ReportData) -> str:
    name = _data_set(report_data)
    return f"Dissection of a convolutional net on {name}" if name else "tinynet report"


def _data_set(report_data: ReportData) -> str:
    if report_data.manifest is not None:
        return report_data.manifest.source
    if report_data.described:
        return str(report_data.described.get("source", ""))
    for search in report_data.searches:
        chosen = search.facts.get("selection_set")
        if isinstance(chosen, dict):
            return str(chosen.get("source", ""))
    return ""


def facts(report_data: ReportData) -> list[tuple[str, str]]:
    """What a reader wants to know first."""
    found = [("data set", _data_set(report_data) or "unknown")]
    if report_data.classes:
        chance = 100 / report_data.classes
        found.append(("classes", f"{report_data.classes:,} (chance is {chance:.3g} %)"))
    manifest = report_data.manifest
    if manifest is not None:
        counts = ", ".join(f"{manifest.counts[split]:,} {split}" for split in manifest.counts)
        found.append(("images", counts))
    states: dict[str, int] = {}
    for run in report_data.runs:
        states[run.record.state] = states.get(run.record.state, 0) + 1
    found.append(("runs", ", ".join(f"{n} {state}" for state, n in states.items()) or "none"))
    dissection = report_data.dissection
    if dissection is not None:
        found.append(("reported on", f"{dissection.reported.images:,} images: "
                      f"{dissection.reported.role}"))  # fmt: skip
        if dissection.tuning:
            tuning = dissection.tuning
            found.append(("chosen on", f"{tuning.images:,} images: {tuning.role}"))
        made = choices(dissection.settings)
        found += [("searched", choice.text) for choice in made if choice.is_honest]
    found.append(("made from", ", ".join(map(str, report_data.sources)) or "nothing"))
    return found


def warnings(report_data: ReportData) -> list[str]:
    """What a reader must know before trusting a number."""
    out = []
    if report_data.dissection is not None:
        found = choices(report_data.dissection.settings)
        out += [f"{choice.text}." for choice in found if not choice.is_honest]
    out += [
        f"{path} is missing: figures and tables leave out what it held; {TAKEN_AGAIN}."
        for path in report_data.lost
    ]
    for run in report_data.runs:
        record = run.record
        if record.state == DIVERGED:
            out.append(f"{run.name} diverged ({record.message}); it counts in no mean.")
        elif not run.is_finished:
            out.append(
                f"{run.name} is not finished ({record.state}, iteration {record.iteration:,} of "
                f"{record.max_iter:,}); it counts in no mean."
            )
    lengths: dict[str, set[int]] = {}
    for run in report_data.runs:
        if run.is_finished:
            lengths.setdefault(run.label, set()).add(run.record.max_iter)
    out += [
        f"The runs of {label} are of different lengths: "
        f"{', '.join(f'{n:,}' for n in sorted(found))} iterations."
        for label, found in lengths.items()
        if len(found) > 1
    ]
    return out


def searched(search: Search) -> str:
    """The result of a search: the values, the images they were chosen on, and the command."""
    best = search.best
    if best is None:
        return f"{search.folder}: no trial was completed."
    values = ", ".join(f"{name} {value:.4g}" for name, value in best.values.items())
    text = f"{search.stage_name}: {values} won, of {len(search.trials)} trials"
    chosen = search.facts.get("selection_set")
    if isinstance(chosen, dict):
        text += f", on {chosen.get('images')} images of {chosen.get('source')}"
        text += f" ({chosen.get('role')})"
    asked = search.facts.get("search")
    if isinstance(asked, dict) and asked.get("command"):
        text += f". Repeated by: {asked['command']}"
    return text + "."


def optimism(report_data: ReportData) -> list[str]:
    """How optimistic it is to choose on the reported images, if other images were held out."""
    dissection = report_data.dissection
    ensemble = dissection.ensemble if dissection else None
    if dissection is None or dissection.tuning is None:
        return [
            "No images were held out: models were chosen, where any were, on the images that "
            "are reported, as in the paper. 'tinynet dissect --split-seed' keeps some apart."
        ]
    if ensemble is None or ensemble.chosen is None or ensemble.flattered is None:
        return [
            "Images were held out, and the table has each stage's accuracy on both kinds. How "
            "optimistic it is to choose a subset on the reported images takes the whole ensemble, "
            "which has not run."
        ]
    chosen, flattered = ensemble.chosen, ensemble.flattered
    gap = paper.ENSEMBLE - paper.ENSEMBLE_TEST
    return [
        f"The best subset by the tuning images reaches {100 * chosen.reported:.2f} % on the "
        f"images on which nothing was chosen; the best by those very images "
        f"{100 * flattered.reported:.2f} %. So choosing on what one reports is optimistic by "
        f"{100 * (flattered.reported - chosen.reported):.2f} points here; the paper's gap between "
        f"validation and test is {gap:.2f} points."
    ]


def _subject(row: StageRow) -> str:
    """A stage or variant within a sentence."""
    if row.is_step:
        return f"stage {row.number} ({row.title})"
    return f"the variant of stage {row.number} ({row.title})" if row.number else row.label


def lead(report_data: ReportData) -> str:
    """The result in one sentence, with its 95 % interval by image."""
    every = stage_rows(report_data)
    rows = [row for row in every if row.one_crop is not None]
    over_crops = [row for row in every if row.ten_crop is not None]
    ensemble = ensemble_of(report_data)
    images = f"{report_data.images} images"
    if ensemble is not None and ensemble.full is not None:
        count = len(ensemble.members)
        subject = f"Averaged, {count} models name"
        best, by_image = ensemble.full.top1, ensemble.full_by_image
        images = f"{ensemble.full.images:,} {images}"
    elif rows or over_crops:
        crop = CENTER if rows else OVERSAMPLE
        found = rows or over_crops
        last = ([row for row in found if row.is_step] or found)[-1]
        one = last.one_crop if rows else last.ten_crop
        assert one is not None
        subject = f"{'With one crop' if rows else 'Over crops'}, {_subject(last)} names"
        best, by_image = one.mean, one.by_image
        first = last.finished[0].score(report_data.reported, crop)
        images = f"{first.images:,} {images}" if first is not None else images
    else:
        return "No run that is finished has been evaluated yet: 'tinynet evaluate RUN' does."
    text = f"{subject} {100 * best:.1f} % of {images} right"
    if by_image is not None:
        low, high = (100 * end for end in by_image)
        text += f" (95 % interval {low:.1f} to {high:.1f})"
    simple = next((row.one_crop.mean for row in rows if row.number == 1 and row.one_crop), best)
    beside = []
    if not math.isclose(simple, best):
        beside.append(f"the simple model names {100 * simple:.1f} %")
    if report_data.classes:
        chance = 100 / report_data.classes
        beside.append(f"chance {'is ' if not beside else ''}{chance:.3g} %")
    return text + (f", where {' and '.join(beside)}." if beside else ".")
