"""The report: one HTML page, without other files."""

from __future__ import annotations

import base64
import hashlib
import os
import shlex
from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from tinynet import __version__, files
from tinynet.dataset.paths import SPLITS
from tinynet.errors import TinynetError
from tinynet.predict.evaluate import EvaluationRequest
from tinynet.predict.probabilities import OVERSAMPLE
from tinynet.report import (
    canvas,
    claims,
    ensemble_tables,
    figures,
    galleries,
    inline_svg,
    page_text,
    search_and_folds,
    stage_tables,
)
from tinynet.report.confusion_table import confusion_table
from tinynet.report.figure import Figure, FigureOptions
from tinynet.report.parts import Command, Drawn, Part
from tinynet.report.report_data import ReportData
from tinynet.report.run_data import RunData
from tinynet.report.runs_table import runs_table
from tinynet.report.table import Link, as_csv

_NAMED_RUNS = 4  # runs that a caption names one by one
_FILES = Path(__file__).parent / "page_files"


# name of the figure, title of its section
_SECTIONS = (
    ("dissection", "What each step adds (figure 7 of the paper)"),
    ("subsets", "Every subset of the models (figure 5)"),
    ("accuracies", "Training, validation, test (figure 6)"),
    ("curves", "Learning curves"),
    ("filters", "Filters of the first layer (figure 3)"),
    ("feature-maps", "Feature maps of the first layer (figure 4)"),
    ("occlusion", "Where an answer comes from"),
    ("confusion", "Which classes are confused"),
    ("folds", "Cross-validation"),
    ("search", "The search for hyperparameters"),
    ("architecture", "Architectures (figures 1 and 2)"),
)


def write_report(report_data: ReportData, options: FigureOptions, path: Path) -> None:
    """Draw everything that the runs allow, and write the page atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(path, render(report_data, options, path))


def render(report_data: ReportData, options: FigureOptions, path: Path) -> str:
    """The page's HTML; ``path``: its future place, to which the links to the runs are relative."""
    asked = {"folds": report_data.folds, "search": report_data.searches}  # others are always shown
    parts = [
        _section(name, title, report_data, options)
        for name, title in _SECTIONS
        if asked.get(name, True)
    ]
    by_id = {part.id: part for part in parts}
    _name_protocol(by_id["dissection"], report_data)
    by_id["dissection"].tables.append(stage_tables.stages(report_data))
    for name, made in (
        ("dissection", claims.table(report_data)),
        ("subsets", ensemble_tables.ensemble_facts(report_data)),
        ("subsets", ensemble_tables.subset_sizes(report_data)),
        ("accuracies", stage_tables.tuning_and_held_out(report_data)),
        ("confusion", confusion_table(report_data)),
    ):
        if made is not None:
            by_id[name].tables.append(made)
    for number, folds in enumerate(report_data.folds, 1):
        by_id["folds"].tables.append(
            search_and_folds.folds_table(folds.stages, number, str(folds.folder))
        )
    for number, search in enumerate(report_data.searches, 1):
        by_id["search"].texts.append(page_text.searched(search))
        by_id["search"].tables.append(
            search_and_folds.trials_table(search.trials, search.names, number, str(search.folder))
        )
    by_id["architecture"].open = 1
    by_id["accuracies"].texts += page_text.optimism(report_data)
    images = galleries.section(report_data)
    if images is not None:
        parts.insert(parts.index(by_id["confusion"]) + 1, images)
    runs = Part("all-runs", "Every run", tables=[runs_table(report_data, path)])
    place = parts.index(by_id["dissection"]) + 1
    parts[place:place] = [_other(other, options, path) for other in report_data.others]
    parts += [runs, _repeat(report_data, options, path)]
    return filled(
        "report.html",
        title=page_text.title(report_data),
        lead=page_text.lead(report_data),
        facts=page_text.facts(report_data),
        warnings=page_text.warnings(report_data),
        parts=parts,
    )


def filled(template: str, **values: Any) -> str:
    """Fill a template of ``page_files`` with these values, the style and the script."""
    script = (_FILES / "report.js").read_text(encoding="utf-8")
    digest = hashlib.sha256(script.encode("utf-8")).digest()
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FILES), autoescape=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template(template).render(
        style=Markup(_style()),
        script=Markup(script),
        script_hash=f"sha256-{base64.b64encode(digest).decode('ascii')}",
        version=__version__,
        made=datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC"),
        **values,
    )


def _style() -> str:
    dark = inline_svg.variables(dark=True)
    return (
        (_FILES / "report.css").read_text(encoding="utf-8")
        + f":root {{ {inline_svg.variables(dark=False)} }}\n"
        + f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n"
    )


def _name_protocol(part: Part, report_data: ReportData) -> None:
    """Put the protocol into the title, since a table is of one protocol."""
    if report_data.protocol:
        part.title += f": {report_data.protocol}"


def _other(report_data: ReportData, options: FigureOptions, path: Path) -> Part:
    """The section of another dissection of the same data, by a protocol of its own."""
    part = _section("dissection", "The same by another protocol", report_data, options)
    part.id += report_data.suffix
    _name_protocol(part, report_data)
    part.texts.append(
        f"From {report_data.sources[0]}. Nothing here enters the tables and figures of the other "
        "sections."
    )
    part.texts += page_text.warnings(report_data)
    for made in (
        stage_tables.stages(report_data),
        ensemble_tables.ensemble_facts(report_data),
        claims.table(report_data),
        runs_table(report_data, path),
    ):
        if made is not None:
            part.tables.append(replace(made, id=made.id + report_data.suffix))
    part.commands = _experiment(report_data)
    return part


def _section(name: str, title: str, report_data: ReportData, options: FigureOptions) -> Part:
    part = Part(name, title)
    try:
        found = figures.make(name, report_data, options)
        part.figures = [
            drawn(figure, _sources(report_data, figure.runs), report_data.suffix)
            for figure in found
        ]
    except TinynetError as error:  # this figure alone is missing; the page says why
        part.absent = str(error)
    return part


def drawn(figure: Figure, links: list[Link], suffix: str = "") -> Drawn:
    """Draw the figure for the page; ``links``: to its runs, ``suffix``: of its id."""
    name = f"figure-{figure.stem.replace('_', '-')}{suffix}"
    name = "".join(c if c.isascii() and (c.isalnum() or c == "-") else "-" for c in name)
    with canvas.narrow():
        narrow = _inline(figure, f"{name}-narrow")
    svg = _inline(figure, name)
    return Drawn(name, figure.title, figure.caption, svg, narrow, links, csv=_csv(figure))


def _inline(figure: Figure, name: str) -> Markup:
    svg = canvas.content(figure.draw(), ".svg").decode("utf-8")
    return Markup(inline_svg.inline(svg, name, figure.title, figure.alt))


def _csv(figure: Figure) -> str:
    """The figure's numbers as the ``data:`` address of a CSV file."""
    content = as_csv(figure.numbers()).encode("utf-8")
    return "data:text/csv;base64," + base64.b64encode(content).decode("ascii")


def _sources(report_data: ReportData, names: list[str]) -> list[Link]:
    """Links to the runs of a figure; a single one to the table of runs if they are many."""
    links = report_data.run_links(list(dict.fromkeys(names)))
    all_runs = f"#runs{report_data.suffix}"
    return links if len(links) <= _NAMED_RUNS else [Link(f"{len(links)} runs", all_runs)]


def _experiment(report_data: ReportData) -> list[Command]:
    """The command of a dissection, [] if there is none or none is recorded."""
    command = report_data.dissection.settings.command if report_data.dissection else ""
    return [Command("The experiment", command)] if command else []


def _repeat(report_data: ReportData, options: FigureOptions, path: Path) -> Part:
    """The commands and versions that give these numbers again."""
    part = Part("repeat", "To repeat it", commands=_experiment(report_data))
    part.commands += [
        Command(f"The cross-validation in {found.folder}", found.command)
        for found in report_data.folds
        if found.command
    ]
    lines = [shlex.join(run.record.command) for run in report_data.runs if run.record.command]
    if lines:
        part.commands.append(Command("Every run's training", "\n".join(dict.fromkeys(lines))))
        evaluations = "\n".join(line for run in report_data.runs for line in evaluations_of(run))
        part.commands.append(Command("Their evaluation", evaluations or "not run"))
    part.commands.append(Command("This page", command_line(report_data, options, path)))
    versions: dict[str, set[str]] = {}
    for run in report_data.runs:
        for package, version in run.record.versions.items():
            versions.setdefault(package, set()).add(version)
    text = "\n".join(f"{name} {', '.join(sorted(found))}" for name, found in versions.items())
    part.commands.append(Command("Versions that the runs ran on", text or "unknown"))
    return part


def evaluations_of(run: RunData) -> Iterator[str]:
    """The ``tinynet evaluate`` commands that give the run's probabilities."""
    for (split, crop), found in run.predictions.items():
        if split not in SPLITS:  # a file that no such command writes
            continue
        whole = EvaluationRequest(run.folder, split, crop == OVERSAMPLE)
        sample = replace(whole, sample=len(found.names))
        yield shlex.join(["tinynet", *(sample if sample.out.exists() else whole).arguments])


def command_line(report_data: ReportData, options: FigureOptions, path: Path) -> str:
    """The ``tinynet report`` command that makes the page."""
    words = ["tinynet", "report", *map(os.fspath, report_data.sources), "--out", os.fspath(path)]
    if report_data.data_folder is not None:
        words += ["--data", os.fspath(report_data.data_folder)]
    for option in fields(options):  # named as the command's own options
        value = getattr(options, option.name)
        if value != option.default:
            words += [f"--{option.name}", str(value)]
    return shlex.join(words)
