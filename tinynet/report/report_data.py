"""What a report is made from: run directories or a results folder, read, and of one data set."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tinynet import files
from tinynet.dataset.manifest import Manifest, read_manifest
from tinynet.errors import TinynetError, UsageError
from tinynet.experiment.stages import STAGES, Stage
from tinynet.experiment.variants import VARIANTS
from tinynet.predict import inputs
from tinynet.predict.first_layer import FirstLayer, read_first_layer
from tinynet.predict.guesses import Predictions, read_guesses
from tinynet.predict.metrics import Metrics
from tinynet.predict.probabilities import EVALUATE_AGAIN, Probabilities, read_probabilities
from tinynet.report.images import Images
from tinynet.report.sources import Folds, Found, Search, look, read_search
from tinynet.run import record as runs
from tinynet.run.log import Record, read_history
from tinynet.run.paths import RunPaths
from tinynet.study.collect import missing
from tinynet.study.cross_validation import read_folds
from tinynet.study.results import (
    TAKEN_AGAIN,
    Dissection,
    ResultsPaths,
    RunRow,
    Score,
    finished_runs,
    read_dissection,
)

CENTER, OVERSAMPLE = "center", "oversample"


@dataclass(frozen=True, eq=False)
class RunData:
    """One run directory and what it says; files are read when they are first asked for.

    ``whole``: of a run in a results folder the run directory itself, with its snapshots, where it
    is at hand.
    """

    folder: Path
    record: runs.Run
    whole: Path | None = None

    @property
    def name(self) -> str:
        """STAGE/NAME, as the folders are called."""
        return f"{self.folder.resolve().parent.name}/{self.folder.resolve().name}"

    @property
    def stage_name(self) -> str:
        return self.folder.resolve().parent.name

    @property
    def stage(self) -> Stage | None:
        """The stage whose folder it lies in, or None: a bare solver's run, or a variant's."""
        return next((stage for stage in STAGES if stage.name == self.stage_name), None)

    @property
    def label(self) -> str:
        """How a figure calls its stage: number and title, or the folder's name."""
        return label_of(self.stage_name)

    @property
    def paths(self) -> RunPaths:
        return RunPaths(self.folder)

    @cached_property
    def history(self) -> list[Record]:
        return read_history(self.paths.history)

    @property
    def _scores(self) -> Path:
        """Where a results folder keeps the run's scores; a run directory has no such file."""
        return ResultsPaths(self.folder.parent.parent).scores(self.name)

    @property
    def _remedy(self) -> str:
        return TAKEN_AGAIN if self._scores.is_file() else EVALUATE_AGAIN

    @cached_property
    def probabilities(self) -> dict[tuple[str, str], Probabilities]:
        """(split, crop) → probabilities, of every ``.npz`` that lies in the folder."""
        found: dict[tuple[str, str], Probabilities] = {}
        for path in sorted(self.folder.glob("*.npz")):
            if path == self.paths.first_layer or path.stem.endswith("_guesses"):
                continue
            probabilities = read_probabilities(path, self._remedy)
            split = probabilities.split or path.stem.removesuffix("_10crop")
            known = found.get((split, probabilities.crop))
            # a sample of a split may lie beside all of it
            if known is None or len(known.names) < len(probabilities.names):
                found[(split, probabilities.crop)] = probabilities
        return found

    @cached_property
    def predictions(self) -> dict[tuple[str, str], Predictions]:
        """(split, crop) → guesses, or probabilities where no guesses lie beside them."""
        found: dict[tuple[str, str], Predictions] = dict(self.probabilities)
        for path in sorted(self.folder.glob("*_guesses.npz")):
            guesses = read_guesses(path, self._remedy)
            found[(guesses.split, guesses.crop)] = guesses
        return found

    def averaged(self, split: str) -> Probabilities | None:
        """Labelled ten-crop probabilities of a split, which an ensemble averages, or None."""
        found = self.probabilities.get((split, OVERSAMPLE))
        return found if found is not None and found.labelled else None

    def of(self, split: str, crop: str = "center") -> Predictions | None:
        """What the run says of a split's labelled images, or None."""
        found = self.predictions.get((split, crop))
        return found if found is not None and found.labelled else None

    def metrics(self, split: str, crop: str = "center") -> Metrics | None:
        found = self.of(split, crop)
        return None if found is None else found.metrics

    def scored(self, split: str, crop: str = CENTER) -> Score | None:
        """What probabilities scored that were not kept, from a results folder's scores."""
        if not self._scores.is_file():
            return None
        try:
            return files.typed(RunRow, files.read_json(self._scores)).score(split, crop)
        except (ValueError, TinynetError):
            return None

    def scored_or_measured(self, split: str, crop: str) -> float | None:
        """Top-1 accuracy, from the probabilities or else from the scores; None: not measured."""
        found = self.metrics(split, crop) or self.scored(split, crop)
        return None if found is None else found.top1

    @cached_property
    def weights(self) -> inputs.Weights | None:
        """The newest whole .caffemodel, or None where the folder holds none."""
        return inputs.newest_weights(RunPaths(self.whole or self.folder))[0]

    @cached_property
    def first_layer(self) -> FirstLayer | None:
        """What a results folder keeps of the weights, or None where it keeps nothing."""
        if not self.paths.first_layer.exists():
            return None
        return read_first_layer(self.paths.first_layer, self._remedy)

    @property
    def model_sha256(self) -> str:
        """Of the weights that the probabilities are of; else of the newest snapshot; else ""."""
        hashes = {p.model_sha256 for p in self.predictions.values() if p.model_sha256}
        if len(hashes) == 1:
            return hashes.pop()
        return self.weights.sha256 if self.weights else ""

    @property
    def manifest(self) -> Manifest | None:
        """The manifest beside the images that it was trained on, where they still are."""
        for entry in self.record.data:
            path = Path(str(entry.get("path", "")))
            for folder in (path.parent, Path(self.record.folder) / path.parent):
                try:
                    return read_manifest(folder)
                except (TinynetError, OSError):
                    continue
        return None


def label_of(name: str) -> str:
    """How a figure calls the stage or variant of a folder name; another folder by that name."""
    found = next((stage for stage in STAGES if stage.name == name), None)
    if found is not None:
        return found.label
    variant = next((variant for variant in VARIANTS if variant.name == name), None)
    return f"variant of {variant.number}: {variant.title}" if variant else name


@dataclass(frozen=True, eq=False)
class ReportData:
    """Every run of a report, in the order of stages, seeds and members."""

    runs: list[RunData]
    sources: list[Path] = field(default_factory=list)  # as they were named
    dissection: Dissection | None = None  # where a results folder was named
    data: Manifest | None = None  # of the converted data set that was named
    data_folder: Path | None = None  # where that lies
    searches: list[Search] = field(default_factory=list)
    folds: list[Folds] = field(default_factory=list)
    lost: list[Path] = field(default_factory=list)  # files of its runs that a dissection lacks

    @property
    def reported(self) -> str:
        """The split whose accuracies are reported."""
        return self.dissection.reported.name if self.dissection else "val"

    @property
    def choosing(self) -> str:
        """The split by which models are chosen: the reported one, where no other is kept apart."""
        tuning = self.dissection.tuning if self.dissection else None
        return tuning.name if tuning else self.reported

    @property
    def classes(self) -> int:
        """How many classes the data set has; 0 where nothing says so."""
        if self.manifest is not None:
            return self.manifest.classes
        found = next((p for run in self.runs for p in run.predictions.values()), None)
        return 0 if found is None else len(found.wnids)

    @property
    def images(self) -> str:
        """What a figure calls the reported images."""
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
        """The classes in their order; [] where nothing says them."""
        found = next((p for run in self.runs for p in run.predictions.values()), None)
        if found is not None:
            return [str(wnid) for wnid in found.wnids]
        return [] if self.manifest is None else self.manifest.wnids

    @cached_property
    def page_images(self) -> Images:
        """Where the page's images come from: real ones only of a data set that was named."""
        return Images(self.wnids, self.data_folder, self.data)

    @cached_property
    def class_names(self) -> dict[str, str]:
        """wnid → words, from a manifest that is at hand or a dissection's settings; else {}."""
        manifest = self.manifest
        if manifest is not None:
            return dict(zip(manifest.wnids, manifest.class_names))
        data = self.dissection.settings.get("data") if self.dissection else None
        known = data.get("class_names") if isinstance(data, dict) else None
        return {str(k): str(v) for k, v in known.items()} if isinstance(known, dict) else {}

    def class_name(self, label: int) -> str:
        """The first of a class's words, or its wnid where nothing says them."""
        wnid = self.wnids[label]
        name = self.class_names.get(wnid, wnid)
        return name.split(",")[0].strip() or name

    @property
    def best(self) -> RunData | None:
        """The single model of the highest accuracy on the choosing split, one crop, else ten."""
        for crop in (CENTER, OVERSAMPLE):
            scored = [
                (m.top1, run)
                for run in self.runs
                if (m := run.metrics(self.choosing, crop)) is not None
            ]
            if scored:
                return max(scored, key=lambda pair: pair[0])[1]
        return None

    @cached_property
    def members(self) -> list[RunData]:
        """The runs of the ensemble that have ten crops.

        Those that a results folder names; else those of the last stage that has two.
        """
        if self.dissection is not None:
            ensemble = self.dissection.ensemble
            names = [row.run for row in ensemble.members] if ensemble else []
            by_name = {run.name: run for run in self.runs}
            named = [by_name[name] for name in names if name in by_name]
            found = [run for run in named if run.averaged(self.reported) is not None]
            return found if len(found) > 1 else []
        for runs_of in reversed(list(self.by_stage.values())):
            found = [run for run in runs_of if run.averaged(self.reported) is not None]
            if len(found) > 1:
                return found
        return []


def collect(sources: Sequence[Path], data: Path | None = None) -> ReportData:
    """Read every run below the folders named, and require that all are of one data set.

    ``data``: the converted data set, whose manifest names the classes, where it has moved.

    Raises UsageError where a folder is missing, holds no run, or runs differ in their data.
    """
    seen = Found()
    for source in sources:
        here = look(source)
        if not here:
            what = "holds no run (no run.json)" if source.is_dir() else "no such folder"
            raise UsageError(f"{source}: {what}; name run directories, or a folder of them")
        seen.add(here)
    _require_one_table(seen)
    found: dict[Path, RunData] = {}
    dissection = None
    lost: list[Path] = []
    for results, whole in seen.dissections:
        dissection = read_dissection(results)
        for name in finished_runs(dissection):
            folder = results / name
            gone = missing(ResultsPaths(results), name, dissection)
            lost += gone if folder.exists() else [folder]
        for folder in look(results, inside=True).runs:
            snapshots = whole / folder.relative_to(results) if whole else None
            _add(found, folder, snapshots)
    for folder in seen.runs:
        _add(found, folder)
    ordered = sorted(found.values(), key=_order)
    require_one_data_set(ordered)
    manifest = read_manifest(data) if data is not None else None
    if manifest is not None:
        for run in ordered:
            for found_p in run.predictions.values():
                if found_p.wnids.tolist() != manifest.wnids:
                    raise UsageError(f"--data {data}: its classes are not those of {run.folder}")
    return ReportData(
        ordered,
        list(sources),
        dissection,
        manifest,
        data,
        [read_search(folder) for folder in seen.searches],
        [Folds(folder, *read_folds(folder)) for folder in seen.folds],
        lost,
    )


def _order(run: RunData) -> tuple[Any, ...]:
    number = run.stage.number if run.stage else len(STAGES) + 1
    # seed2 comes before seed10
    return number, run.stage_name, [
        int(part) if part.isdigit() else part for part in re.split(r"(\d+)", run.folder.name)
    ]  # fmt: skip


def _add(found: dict[Path, RunData], folder: Path, whole: Path | None = None) -> None:
    record = runs.load(folder / RunPaths(folder).run_json.name)
    if record is not None:
        if whole is not None and not whole.is_dir():
            whole = None
        found.setdefault(folder.resolve(), RunData(folder, record, whole))


def _require_one_table(seen: Found) -> None:
    """Raise UsageError where there is more than one table's worth of runs."""
    if len(seen.dissections) > 1 or (seen.dissections and seen.runs):
        here = [os.fspath(folder) for folder, _ in seen.dissections]
        others = f" and {len(seen.runs)} runs" if seen.runs else ""
        raise UsageError(
            f"{', '.join(here)}{others}: a dissection has a table of its own runs; name it alone"
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
            # a sample of a split's images is compared with such samples alone
            part = (split, len(probabilities.names))
            known_p, first = by_split.setdefault(part, (probabilities, run))
            if known_p.wnids.tolist() != probabilities.wnids.tolist():
                raise _differ(first, run, "their classes differ")
            if known_p.names.tolist() != probabilities.names.tolist():
                raise _differ(first, run, f"their {split} images differ")


def _differ(first: RunData, second: RunData, how: str) -> UsageError:
    return UsageError(
        f"{first.folder} and {second.folder} are of different data sets ({how}); a report "
        "compares runs of one: make one report for each"
    )
