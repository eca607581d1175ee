"""The report: one HTML page that holds everything that it shows."""

from __future__ import annotations

import base64
import hashlib
import os
import shlex
import tempfile
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from tinynet import __version__, files
from tinynet.errors import TinynetError
from tinynet.report import ensemble_tables, figures, inline_svg, search_and_folds, tables
from tinynet.report.cells import Link, Table, run_links
from tinynet.report.figure import Choice, Figure
from tinynet.report.report_data import ReportData
from tinynet.report.sources import Search
from tinynet.run.record import DIVERGED, FINISHED
from tinynet.study.results import TAKEN_AGAIN
from tinynet.study.settings import choices

_NAMED_RUNS = 4  # runs that a caption names one by one
_FILES = Path(__file__).parent / "page_files"


@dataclass(frozen=True)
class Drawn:
    """A figure as the page has it."""

    id: str
    title: str
    caption: str
    svg: Markup
    links: list[Link]


@dataclass(frozen=True)
class Command:
    title: str
    text: str


@dataclass
class Part:
    """A section.  ``open`` is how many of its figures are not folded away."""

    id: str
    title: str
    texts: list[str] = field(default_factory=list)
    figures: list[Drawn] = field(default_factory=list)
    absent: str = ""
    tables: list[Table] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    open: int = 99


# name of the figure, title of its section
_SECTIONS = (
    ("dissection", "What each step adds (figure 7 of the paper)"),
    ("subsets", "Every subset of the models (figure 5)"),
    ("accuracies", "Training, validation, test (figure 6)"),
    ("curves", "Learning curves"),
    ("filters", "Filters of the first layer (figure 3)"),
    ("feature-maps", "Feature maps of the first layer (figure 4)"),
    ("confusion", "Which classes are confused"),
    ("folds", "Cross-validation"),
    ("search", "The search for hyper-parameters"),
    ("architecture", "Architectures (figures 1 and 2)"),
)


def write_report(report_data: ReportData, choice: Choice, path: Path) -> None:
    """Draw everything that the runs allow, and write the page, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(path, render(report_data, choice, path))


def render(report_data: ReportData, choice: Choice, path: Path) -> str:
    """The page's HTML; ``path`` is where it will lie, from which links to the runs lead."""
    asked = {"folds": report_data.folds, "search": report_data.searches}  # others are always shown
    parts = [
        _section(name, title, report_data, choice)
        for name, title in _SECTIONS
        if asked.get(name, True)
    ]
    by_id = {part.id: part for part in parts}
    by_id["dissection"].tables.append(tables.stages(report_data))
    for name, made in (
        ("subsets", ensemble_tables.ensemble_facts(report_data)),
        ("subsets", ensemble_tables.subset_sizes(report_data)),
        ("accuracies", tables.tuning_and_held_out(report_data)),
        ("confusion", tables.confusions(report_data)),
    ):
        if made is not None:
            by_id[name].tables.append(made)
    for number, folds in enumerate(report_data.folds, 1):
        by_id["folds"].tables.append(search_and_folds.folds_table(folds, number))
    for number, search in enumerate(report_data.searches, 1):
        by_id["search"].texts.append(_searched(search))
        by_id["search"].tables.append(search_and_folds.trials_table(search, number))
    by_id["architecture"].open = 1
    by_id["accuracies"].texts += _optimism(report_data)
    runs = Part("all-runs", "Every run", tables=[tables.runs(report_data, path)])
    parts += [runs, _repeat(report_data)]
    script = (_FILES / "report.js").read_text(encoding="utf-8")
    digest = hashlib.sha256(script.encode("utf-8")).digest()
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FILES), autoescape=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template("report.html").render(
        title=_title(report_data),
        facts=_facts(report_data),
        warnings=_warnings(report_data),
        parts=parts,
        style=Markup(_style()),
        script=Markup(script),
        script_hash=f"sha256-{base64.b64encode(digest).decode('ascii')}",
        version=__version__,
        made=datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
    )


def _style() -> str:
    dark = inline_svg.variables(dark=True)
    return (
        (_FILES / "report.css").read_text(encoding="utf-8")
        + f":root {{ {inline_svg.variables(dark=False)} }}\n"
        + f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n"
    )


def _section(name: str, title: str, report_data: ReportData, choice: Choice) -> Part:
    part = Part(name, title)
    try:
        found = figures.make(name, report_data, choice)
        part.figures = [_drawn(figure, report_data) for figure in found]
    except TinynetError as error:  # this figure alone is missing; the page says why
        part.absent = str(error)
    return part


def _drawn(figure: Figure, report_data: ReportData) -> Drawn:
    name = f"figure-{figure.stem.replace('_', '-')}"
    name = "".join(c if c.isascii() and (c.isalnum() or c == "-") else "-" for c in name)
    with tempfile.TemporaryDirectory(prefix="tinynet-") as folder:
        file = Path(folder) / "figure.svg"
        figure.draw(file)
        svg = file.read_text(encoding="utf-8")
    return Drawn(
        name,
        figure.title,
        figure.caption,
        Markup(inline_svg.inline(svg, name, figure.title, figure.alt)),
        _sources(report_data, figure.runs),
    )


def _sources(report_data: ReportData, names: list[str]) -> list[Link]:
    """Links to the runs of a figure; one to the table of runs where they are many."""
    links = run_links(report_data, list(dict.fromkeys(names)))
    return links if len(links) <= _NAMED_RUNS else [Link(f"{len(links)} runs", "#runs")]


def _title(report_data: ReportData) -> str:
    name = _data_set(report_data)
    return f"Dissection of a convolutional net on {name}" if name else "tinynet report"


def _data_set(report_data: ReportData) -> str:
    if report_data.manifest is not None:
        return report_data.manifest.source
    if report_data.dissection is not None:
        data: Any = report_data.dissection.settings.get("data")
        if isinstance(data, dict):
            return str(data.get("source", ""))
    for search in report_data.searches:
        chosen = search.facts.get("selection_set")
        if isinstance(chosen, dict):
            return str(chosen.get("source", ""))
    return ""


def _facts(report_data: ReportData) -> list[tuple[str, str]]:
    """What a reader wants to know first."""
    facts = [("data set", _data_set(report_data) or "unknown")]
    if report_data.classes:
        chance = 100 / report_data.classes
        facts.append(("classes", f"{report_data.classes:,} (chance is {chance:.3g} %)"))
    manifest = report_data.manifest
    if manifest is not None:
        counts = ", ".join(f"{manifest.counts[split]:,} {split}" for split in manifest.counts)
        facts.append(("images", counts))
    states: dict[str, int] = {}
    for run in report_data.runs:
        states[run.record.state] = states.get(run.record.state, 0) + 1
    facts.append(("runs", ", ".join(f"{n} {state}" for state, n in states.items()) or "none"))
    dissection = report_data.dissection
    if dissection is not None:
        facts.append(("reported on", f"{dissection.reported.images:,} images: "
                      f"{dissection.reported.role}"))  # fmt: skip
        if dissection.tuning:
            tuning = dissection.tuning
            facts.append(("chosen on", f"{tuning.images:,} images: {tuning.role}"))
        found = choices(dissection.settings)
        facts += [("searched", choice.text) for choice in found if choice.is_honest]
    facts.append(("made from", ", ".join(map(str, report_data.sources)) or "nothing"))
    return facts


def _warnings(report_data: ReportData) -> list[str]:
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
        elif record.state != FINISHED:
            out.append(
                f"{run.name} is not finished ({record.state}, iteration {record.iteration:,} of "
                f"{record.max_iter:,}); it counts in no mean."
            )
    lengths: dict[str, set[int]] = {}
    for run in report_data.runs:
        if run.record.state == FINISHED:
            lengths.setdefault(run.label, set()).add(run.record.max_iter)
    out += [
        f"The runs of {label} are of different lengths: "
        f"{', '.join(f'{n:,}' for n in sorted(found))} iterations."
        for label, found in lengths.items()
        if len(found) > 1
    ]
    return out


def _searched(search: Search) -> str:
    """Who chose, from how many trials, by which command."""
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


def _optimism(report_data: ReportData) -> list[str]:
    """The honest split's answer to the paper's puzzle, where there is one."""
    dissection = report_data.dissection
    ensemble = dissection.ensemble if dissection else None
    if dissection is None or dissection.tuning is None:
        return [
            "No images were held out: models were chosen, where any were, on the images that "
            "are reported, as in the paper. 'tinynet dissect --split-seed' keeps some apart."
        ]
    if ensemble is None or ensemble.chosen is None or ensemble.flattered is None:
        return [
            "Images were held out, and the table has what each stage reaches on both kinds. How "
            "much choosing a subset on the reported images flatters needs the whole ensemble, "
            "which has not run."
        ]
    chosen, flattered = ensemble.chosen, ensemble.flattered
    return [
        f"The best subset by the tuning images reaches {100 * chosen.reported:.2f} % on the "
        f"images that chose nothing; the best by those very images "
        f"{100 * flattered.reported:.2f} %. So choosing on what one reports flatters by "
        f"{100 * (flattered.reported - chosen.reported):+.2f} points here; the paper's gap between "
        "validation and test is 5.02 points."
    ]


def _repeat(report_data: ReportData) -> Part:
    """The commands and versions that lead to these numbers once more."""
    part = Part("repeat", "To repeat it")
    if report_data.dissection is not None:
        command = report_data.dissection.settings.get("command")
        if command:
            part.commands.append(Command("The experiment", str(command)))
    part.commands += [
        Command(f"The cross-validation in {found.folder}", found.command)
        for found in report_data.folds
        if found.command
    ]
    lines = [shlex.join(run.record.command) for run in report_data.runs if run.record.command]
    if lines:
        part.commands.append(Command("Every run's training", "\n".join(dict.fromkeys(lines))))
        evaluations = []
        for run in report_data.runs:
            for split, crop in run.predictions:
                words = ["tinynet", "evaluate", str(run.folder), "--split", split]
                words += ["--oversample"] if crop == "oversample" else []
                evaluations.append(shlex.join(words))
        part.commands.append(Command("Their evaluation", "\n".join(evaluations) or "not run"))
    sources = " ".join(shlex.quote(os.fspath(source)) for source in report_data.sources)
    part.commands.append(Command("This page", f"tinynet report {sources} --out report.html"))
    versions: dict[str, set[str]] = {}
    for run in report_data.runs:
        for package, version in run.record.versions.items():
            versions.setdefault(package, set()).add(version)
    text = "\n".join(f"{name} {', '.join(sorted(found))}" for name, found in versions.items())
    part.commands.append(Command("Versions that the runs ran on", text or "unknown"))
    return part
