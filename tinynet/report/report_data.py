"""The data of a report: run directories or a results folder, all of one data set."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from tinynet.dataset.manifest import Manifest, read_manifest
from tinynet.errors import UsageError
from tinynet.experiment.stages import STAGES
from tinynet.predict.ensemble import Member
from tinynet.predict.guesses import Predictions
from tinynet.predict.probabilities import CENTER, OVERSAMPLE
from tinynet.report.images import Images
from tinynet.report.run_data import RunData
from tinynet.report.sources import Folds, Found, Search, look, read_search
from tinynet.report.table import Link
from tinynet.run import record as runs
from tinynet.run.paths import RunPaths
from tinynet.study.collect import missing
from tinynet.study.cross_validation import read_folds
from tinynet.study.results import Dissection, ResultsPaths, finished_runs, read_dissection


@dataclass(frozen=True, eq=False)
class ReportData:
    """Every run of a report, in the order of stages, seeds and members."""

    runs: list[RunData]
    sources: list[Path] = field(default_factory=list)  # as named by the user
    dissection: Dissection | None = None  # where a results folder was named
    data: Manifest | None = None  # of the converted data set that was named
    data_folder: Path | None = None  # where that lies
    searches: list[Search] = field(default_factory=list)
    folds: list[Folds] = field(default_factory=list)
    lost: list[Path] = field(default_factory=list)  # files that a dissection's runs have lost
    # other dissections of the same data, each by a protocol of its own and with its own table
    others: list[ReportData] = field(default_factory=list)
    suffix: str = ""  # of the ids on the page, where this is one of the others

    @property
    def protocol(self) -> str:
        """How all of it was trained, for a title; "" if nothing says so."""
        if self.dissection is None:
            return ""
        factor = self.dissection.settings.epochs_factor
        schedules = "full schedules" if factor == 1 else f"schedules times {factor:g}"
        return ", ".join([schedules, *self.arithmetic])

    @property
    def arithmetic(self) -> list[str]:
        """["in bf16"] where a dissection's trainings did not compute in Caffe's float32; or []."""
        precision = self.dissection.settings.precision if self.dissection else "float32"
        return [] if precision == "float32" else [f"in {precision}"]

    @property
    def reported(self) -> str:
        """The split whose accuracies are reported."""
        return self.dissection.reported.name if self.dissection else "val"

    @property
    def choosing(self) -> str:
        """The split by which models are chosen: the reported one, unless another is kept apart."""
        tuning = self.dissection.tuning if self.dissection else None
        return tuning.name if tuning else self.reported

    @property
    def classes(self) -> int:
        """The number of classes of the data set; 0 where nothing says so."""
        if self.manifest is not None:
            return self.manifest.classes
        found = next((p for run in self.runs for p in run.predictions.values()), None)
        if found is not None:
            return len(found.wnids)
        return int(self.described.get("classes", 0))

    @property
    def described(self) -> dict[str, Any]:
        """What a dissection's settings say of the data set; {} if nothing does."""
        return self.dissection.settings.data if self.dissection else {}

    @property
    def images(self) -> str:
        """The name of the reported images in a figure."""
        if self.dissection is None:
            return "validation"
        return "held-out" if self.dissection.tuning else "validation"

    @cached_property
    def by_stage(self) -> dict[str, list[RunData]]:
        """Label of a stage → its runs."""
        found: dict[str, list[RunData]] = {}
        for run in self.runs:
            found.setdefault(run.label, []).append(run)
        return found

    @cached_property
    def manifest(self) -> Manifest | None:
        return self.data or next(
            (run.manifest for run in self.runs if run.manifest is not None), None
        )

    @cached_property
    def wnids(self) -> list[str]:
        """The classes in their order; [] if they are unknown."""
        found = next((p for run in self.runs for p in run.predictions.values()), None)
        if found is not None:
            return [str(wnid) for wnid in found.wnids]
        return [] if self.manifest is None else self.manifest.wnids

    @cached_property
    def page_images(self) -> Images:
        """The page's images: real ones only if a data set was named."""
        return Images(self.wnids, self.data_folder, self.data)

    @cached_property
    def class_names(self) -> dict[str, str]:
        """wnid → words, from a manifest or a dissection's settings; {} without either."""
        manifest = self.manifest
        if manifest is not None:
            return dict(zip(manifest.wnids, manifest.class_names))
        known = self.described.get("class_names")
        return {str(k): str(v) for k, v in known.items()} if isinstance(known, dict) else {}

    def class_name(self, label: int) -> str:
        """The first of a class's names, or its wnid where they are unknown."""
        wnid = self.wnids[label]
        name = self.class_names.get(wnid, wnid)
        return name.split(",")[0].strip() or name

    def run_id(self, name: str) -> str:
        """The id of a run's row in the table of runs; "" if no run has that name.

        It is made of the row's number, since a name may hold any character.
        """
        place = self._places.get(name)
        return "" if place is None else f"run-{place}{self.suffix}"

    @cached_property
    def _places(self) -> dict[str, int]:
        """The row of each run, from 1, by its name; of several runs of one name, the first's."""
        rows = enumerate(self.runs, 1)
        return {run.name: row for row, run in reversed(list(rows))}

    def run_links(self, names: Sequence[str], texts: Sequence[str] | None = None) -> list[Link]:
        """Links to the rows of runs, with their names as texts, or as titles of ``texts``.

        A name that is not a run's (such as a prototxt's) is left out.
        """
        return [
            Link(text, f"#{anchor}", "" if text == name else name)
            for text, name in zip(texts or names, names)
            if (anchor := self.run_id(name))
        ]

    @cached_property
    def finished(self) -> list[RunData]:
        """The runs that count: one that was stopped or has diverged is no model to compare."""
        return [run for run in self.runs if run.is_finished]

    @property
    def best(self) -> RunData | None:
        """The single model of the highest accuracy on the choosing split, one crop, else ten.

        An unfinished one is taken only where no finished one has been evaluated.
        """
        for runs_of, crop in itertools.product((self.finished, self.runs), (CENTER, OVERSAMPLE)):
            scored = [
                (m.top1, run)
                for run in runs_of
                if (m := run.metrics(self.choosing, crop)) is not None
            ]
            if scored:
                return max(scored, key=lambda pair: pair[0])[1]
        return None

    @cached_property
    def members(self) -> list[RunData]:
        """The finished runs of the ensemble that have ten crops.

        They are those that a results folder names, else those of the last stage that has two, or
        of a variant where no stage has.
        """
        if self.dissection is not None:
            ensemble = self.dissection.ensemble
            names = [row.run for row in ensemble.members] if ensemble else []
            by_name = {run.name: run for run in self.finished}
            named = [by_name[name] for name in names if name in by_name]
            found = [run for run in named if run.ten_crops(self.reported) is not None]
            return found if len(found) > 1 else []
        last_first = reversed(list(self.by_stage.values()))
        for runs_of in sorted(last_first, key=lambda group: group[0].stage is None):
            able = [run for run in runs_of if run.is_finished]
            found = [run for run in able if run.ten_crops(self.reported) is not None]
            if len(found) > 1:
                return found
        return []

    def members_on(self, split: str) -> list[Member]:
        """The members with labelled ten-crop probabilities of a split, and those probabilities."""
        found = [(run.folder, run.ten_crops(split)) for run in self.members]
        return [Member(folder, p) for folder, p in found if p is not None]


def collect(sources: Sequence[Path], data: Path | None = None) -> ReportData:
    """Read every run below the folders, and require that all are of one data set.

    ``data``: the converted data set, for its images and the names of its classes.  Raises
    UsageError if a folder is missing or holds no run, or runs differ in their data.
    """
    seen = Found()
    for source in sources:
        here = look(source)
        if not here:
            what = "holds no run (no run.json)" if source.is_dir() else "no such folder"
            what = "is a file" if source.is_file() else what
            raise UsageError(f"{source}: {what}; name run directories, or a folder of them")
        seen.add(here)
    _require_tables_alone(seen)
    manifest = read_manifest(data) if data is not None else None
    tables = [_of_dissection(*each) for each in seen.dissections]
    found: dict[Path, RunData] = {}
    for folder in seen.runs:
        _add(found, folder)
    ordered = sorted(found.values(), key=_order)
    require_one_data_set([*ordered, *(run for table in tables for run in table.runs)])
    _require_one_question(tables)
    first = tables[0] if tables else ReportData(ordered)
    for run in (run for table in (tables or [first]) for run in table.runs):
        for found_p in run.predictions.values():
            if manifest is not None and found_p.wnids.tolist() != manifest.wnids:
                raise UsageError(f"--data {data}: its classes are not those of {run.folder}")
    return replace(
        first,
        sources=list(sources),
        data=manifest,
        data_folder=data,
        searches=[read_search(folder) for folder in seen.searches],
        folds=[Folds(folder, *read_folds(folder)) for folder in seen.folds],
        others=[
            replace(table, data=manifest, data_folder=data, suffix=f"-{number}")
            for number, table in enumerate(tables[1:], 2)
        ],
    )


def _of_dissection(results: Path, whole: Path | None) -> ReportData:
    """The data of a results folder; ``whole``: the folder of its run directories, if at hand."""
    dissection = read_dissection(results)
    lost: list[Path] = []
    for name in finished_runs(dissection):
        folder = results / name
        gone = missing(ResultsPaths(results), name, dissection.settings)
        lost += gone if folder.exists() else [folder]
    found: dict[Path, RunData] = {}
    for folder in look(results, inside=True).runs:
        _add(found, folder, whole / folder.relative_to(results) if whole else None)
    ordered = sorted(found.values(), key=_order)
    return ReportData(ordered, sources=[results], dissection=dissection, lost=lost)


def _order(run: RunData) -> tuple[Any, ...]:
    number = run.stage.number if run.stage else len(STAGES) + 1
    # seed2 comes before seed10
    return number, run.stage_name, [
        int(part) if part.isdigit() else part for part in re.split(r"(\d+)", run.folder.name)
    ]  # fmt: skip


def _add(found: dict[Path, RunData], folder: Path, whole: Path | None = None) -> None:
    record = runs.load(RunPaths(folder).run_json)
    if record is not None:
        if whole is not None and not whole.is_dir():
            whole = None
        found.setdefault(folder.resolve(), RunData(folder, record, whole))


def _require_tables_alone(seen: Found) -> None:
    """Raise UsageError if runs are named beside a dissection, whose table has its own runs."""
    if seen.dissections and seen.runs:
        here = [os.fspath(folder) for folder, _ in seen.dissections]
        raise UsageError(
            f"{', '.join(here)} and {len(seen.runs)} runs: a dissection has a table of its own "
            "runs; name it alone, or with other dissections"
        )


def _require_one_question(tables: Sequence[ReportData]) -> None:
    """Raise UsageError unless all dissections are of the same data and report the same split."""
    asked = [
        (table.dissection.settings.data.get("digests"), table.dissection.reported)
        for table in tables
        if table.dissection is not None
    ]
    for table, each in zip(tables, asked):
        if each != asked[0]:
            raise UsageError(
                f"{tables[0].sources[0]} and {table.sources[0]}: are not of the same data and "
                "split; make a page of each"
            )


def require_one_data_set(found: Iterable[RunData]) -> None:
    """Raise UsageError, naming both, where two runs were trained or measured on different data."""
    by_file: dict[str, tuple[str, RunData]] = {}
    by_split: dict[tuple[str, int], tuple[Predictions, RunData]] = {}
    for run in found:
        for entry in run.record.data:
            digest = str(entry.get("digest") or "")
            split = Path(str(entry.get("path", ""))).name
            if digest and split:
                known, first = by_file.setdefault(split, (digest, run))
                if known != digest:
                    raise _differ(first, run, f"their {split} holds other images")
        for (split, _), probabilities in run.predictions.items():
            count = len(probabilities.names)
            # training accuracies are compared with those of as many images, and with no others
            part = (split, count if split == "train" else 0)
            known_p, first = by_split.setdefault(part, (probabilities, run))
            if known_p.wnids.tolist() != probabilities.wnids.tolist():
                raise _differ(first, run, "their classes differ")
            if len(known_p.names) != count:
                raise UsageError(
                    f"{first.folder} has answers for {len(known_p.names):,} {split} images, but "
                    f"{run.folder} for {count:,}; evaluate both on the same ones, with or without "
                    "--sample"
                )
            if known_p.names.tolist() != probabilities.names.tolist():
                raise _differ(first, run, f"their {split} images differ")


def _differ(first: RunData, second: RunData, how: str) -> UsageError:
    return UsageError(
        f"{first.folder} and {second.folder} are of different data sets ({how}); a report "
        "compares runs of one: make one report for each"
    )
