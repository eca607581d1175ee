"""The Python API, for notebooks: the steps of the command line as functions.

``import tinynet`` offers what this module defines.  Every function leaves the same files as its
command does, so that the two can be mixed freely.
"""

from __future__ import annotations

import html
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

from tinynet.dataset import convert as conversion
from tinynet.dataset import synthetic
from tinynet.dataset.manifest import Manifest
from tinynet.errors import UsageError
from tinynet.experiment import data_description
from tinynet.experiment import generate as generator
from tinynet.experiment.paths import PROTOTXT_ROOT, StagePaths, member_name
from tinynet.experiment.solvers import Overrides
from tinynet.experiment.stages import STAGES, Stage, stage
from tinynet.experiment.variants import VARIANTS, Variant, net_of_folder, variant
from tinynet.predict import evaluate as evaluation
from tinynet.predict.metrics import Metrics
from tinynet.predict.probabilities import Probabilities
from tinynet.run import driver
from tinynet.run import record as records
from tinynet.run.log import Record, read_history
from tinynet.run.paths import RUNS_ROOT, RunPaths, stage_of
from tinynet.run.request import TrainingRequest

if TYPE_CHECKING:
    from tinynet.predict.subsets import SubsetScores
    from tinynet.report.canvas import MatplotlibFigure as Figure

PathLike = Union[str, Path]

stages: tuple[Stage, ...] = STAGES
"""The eight stages of the paper, in order; each shows its layers in a notebook."""

variants: tuple[Variant, ...] = VARIANTS
"""Nets that the paper tried or named, besides its stages."""


def synthesize(
    out: PathLike,
    classes: int = 20,
    *,
    train_per_class: int = 75,
    val_per_class: int = 50,
    test_per_class: int = 10,
    seed: int = 1,
) -> Path:
    """Draw a data set of shapes in clutter, in Tiny ImageNet's layout; return its folder.

    Raises UsageError for more classes than there are kinds of shapes, TinynetError if ``out``
    exists.
    """
    sizes = synthetic.Sizes(classes, train_per_class, val_per_class, test_per_class)
    synthetic.synthesize(out, sizes, seed=seed)
    return Path(out)


def convert(source: PathLike, out: PathLike, *, seed: int = 1, overwrite: bool = False) -> Manifest:
    """Convert a data set (folder or zip) into LMDBs, a mean and a manifest, which is returned.

    ``seed``: of the order of the records.  Raises TinynetError for anything wrong with the data.
    """
    options = conversion.Options(seed=seed)
    return conversion.convert(source, out, options, overwrite=overwrite)


def generate(
    which: int | str | None = None,
    *,
    data: PathLike | None = None,
    classes: int | None = None,
    out: PathLike = PROTOTXT_ROOT,
    batch_size: int | None = None,
    epochs: int | None = None,
    **solver: Any,
) -> list[Path]:
    """Write the prototxt of a stage (a number), of a variant (a name), or of every stage.

    ``data``: a converted folder, whose classes, sizes and mean the nets take; without it
    ``data/lmdb``, or Tiny ImageNet-200's where that is not there.  ``solver``: fields of the
    solver, as in ``max_iter=1000``.  Returns the files.  Raises UsageError if the arguments
    contradict each other, or nets of another number of classes are there and neither was given.
    """
    described = data_description.describe(None if data is None else Path(data), classes)
    found = list(STAGES) if which is None else [_net(which)]
    files = generator.generate(
        Path(out), described, found, Overrides(batch_size, epochs, solver=solver)
    )
    if data is None and classes is None:
        generator.require_same_classes(files, described, Path(out))
    generator.write(files)
    return list(files)


def train(
    which: int | str | PathLike,
    *,
    member: int | None = None,
    prototxt: PathLike = PROTOTXT_ROOT,
    runs: PathLike = RUNS_ROOT,
    name: str | None = None,
    seed: int = 1,
    max_iter: int | None = None,
    engine: str = "auto",
    gpu: int | None = None,
    cpu: bool = False,
    settings: Mapping[str, Any] | None = None,
    on_record: Callable[[Record], None] | None = None,
    say: Callable[[str], None] = lambda line: print(line, file=sys.stderr),
) -> Run:
    """Train a stage (a number), a variant (a name) or a solver.prototxt (a path); return the run.

    ``member``: which one of stage 8, 1 to 11; it has a seed of its own.  A run that was begun
    resumes, and a finished one is returned as it is.  ``settings``: fields of the solver.
    ``on_record`` is called with each record of the history as it comes: iteration, lr, train_loss,
    val_accuracy and so on.  Interrupting the kernel leaves a snapshot and raises StoppedEarly.
    Raises UsageError if ``which`` and ``member`` do not go together, TinynetError if the
    training cannot start, fails or diverges.
    """
    if isinstance(which, Path) or (isinstance(which, str) and which.endswith(".prototxt")):
        if member is not None:
            raise UsageError(f"member={member}: {which} is a solver; stage 8 alone has members")
        solver, max_norm = Path(which), None
        folder = stage_of(solver)
    else:
        found = _net(which)
        found.require_member(member)
        solver, max_norm = StagePaths(Path(prototxt), found.name, member).solver, found.max_norm
        folder = found.name
    default = f"seed{seed}" if member is None else member_name(member)
    paths = RunPaths.of(Path(runs), folder, name or default)
    overrides = {key: str(value) for key, value in (settings or {}).items()}
    overrides["random_seed"] = str(seed)
    if member is not None:
        del overrides["random_seed"]  # each member has a seed of its own
    if max_iter is not None:
        overrides["max_iter"] = str(max_iter)
    request = TrainingRequest(
        solver=solver,
        paths=paths,
        engine=engine,
        gpu=gpu,
        cpu=cpu,
        overrides=overrides,
        max_norm=max_norm,
        quiet=True,
        on_record=on_record,
    )
    driver.train(request, say)
    return Run(paths.root)


def load_run(folder: PathLike) -> Run:
    """The run in a run directory.  Raises UsageError if the folder is none."""
    run = Run(Path(folder))
    if not run.paths.run_json.exists():
        raise UsageError(f"{folder}: is not a run directory (no run.json)")
    return run


def evaluate(
    run: Run | PathLike,
    split: str = "val",
    *,
    oversample: bool = False,
    engine: str = "auto",
    gpu: int | None = None,
    cpu: bool = False,
) -> Evaluation:
    """Score a run on a split, with one crop or Caffe's ten; reuse what was computed before."""
    folder = run.folder if isinstance(run, Run) else Path(run)
    request = evaluation.EvaluationRequest(
        folder, split, oversample, engine=engine, gpu=gpu, cpu=cpu
    )
    return Evaluation(evaluation.obtain(request))


def ensemble(
    runs: Sequence[Run | PathLike], split: str = "val", *, oversample: bool = True, **device: Any
) -> Evaluation:
    """Average the probabilities of several runs, over ten crops by default.

    ``device``: as for ``evaluate``.  Raises UsageError if a run is named twice, TinynetError
    where the runs are of different images or classes.
    """
    from tinynet.predict.ensemble import average, load_members

    folders = [load_run(run.folder if isinstance(run, Run) else run).folder for run in runs]
    members = load_members(
        [evaluation.EvaluationRequest(each, split, oversample, **device) for each in folders]
    )
    return Evaluation(average(members), tuple(each.probabilities for each in members))


def figure(name: str, *sources: Run | PathLike, stage: int | None = None) -> Figure:
    """One of the report's figures, of runs or of a results folder, as a matplotlib figure.

    ``name``: a key of ``tinynet.report.figures.FIGURES``, such as "curves", "subsets",
    "accuracies", "dissection", "confusion", "filters", "feature-maps" or "architecture", which
    takes a ``stage``.  Raises UsageError on another name, TinynetError if what it needs has not
    run.
    """
    from tinynet.report import figures
    from tinynet.report.figure import FigureOptions
    from tinynet.report.report_data import ReportData, collect

    if name not in figures.FIGURES:
        raise UsageError(f"no figure '{name}'; the figures are {', '.join(figures.FIGURES)}")
    folders = [one.folder if isinstance(one, Run) else Path(one) for one in sources]
    data = collect(folders) if folders else ReportData([])
    return figures.make(name, data, FigureOptions(stage=stage))[0].draw()


@dataclass(frozen=True, eq=False)
class Run:
    """A run directory."""

    folder: Path

    @property
    def paths(self) -> RunPaths:
        """The path of each of its files, by name."""
        return RunPaths(self.folder)

    @property
    def record(self) -> records.Run:
        """``run.json``: state, iteration, seed, engine, versions, sessions."""
        found = records.load(self.paths.run_json)
        if found is None:
            raise UsageError(f"{self.folder}: is not a run directory (no run.json)")
        return found

    @property
    def history(self) -> list[Record]:
        """What the log said: a dict for each iteration that was displayed or tested."""
        return read_history(self.paths.history)

    def curves(self) -> Figure:
        """Loss and accuracy over the iterations, as a matplotlib figure."""
        return figure("curves", self)

    def _repr_html_(self) -> str:
        record = self.record
        last = {key: value for entry in self.history for key, value in entry.items()}
        rows = {
            "state": f"{record.state} at iteration {record.iteration:,} of {record.max_iter:,}",
            "engine": f"{record.engine.get('name', '')} {record.engine.get('version', '')}",
            "device": record.device,
            "seed": str(record.seed),
        }
        for key, title in (("train_loss", "training loss"), ("val_loss", "validation loss")):
            if last.get(key) is not None:
                rows[title] = f"{last[key]:.4f}"
        if last.get("val_accuracy") is not None:
            rows["validation accuracy"] = f"{100 * last['val_accuracy']:.2f} %"
        return _table(str(self.folder), rows)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Probabilities of a split, and how good they are.

    ``members``: the probabilities of each run of an ensemble.
    """

    probabilities: Probabilities
    members: tuple[Probabilities, ...] = ()

    @property
    def metrics(self) -> Metrics:
        """Loss, top-1 and top-5, as Caffe counts them.  Raises UsageError without labels."""
        if not self.probabilities.labelled:
            raise UsageError(f"the images of the {self.probabilities.split} split have no labels")
        return self.probabilities.metrics

    @cached_property
    def subsets(self) -> SubsetScores:
        """Every subset of an ensemble's members, scored (the paper's figure 5)."""
        from tinynet.predict.subsets import score_subsets

        if len(self.members) < 2:
            raise UsageError("subsets are those of an ensemble of two runs or more")
        arrays = [member.probabilities for member in self.members]
        return score_subsets(arrays, self.probabilities.labels)

    def _repr_html_(self) -> str:
        p = self.probabilities
        rows = {"images": f"{len(p.labels):,} ({p.split})", "views of each": str(p.views)}
        if p.labelled:
            metrics = self.metrics
            rows["loss"] = f"{metrics.loss:.4f}"
            rows["top-1"] = f"{100 * metrics.top1:.2f} %"
            rows["top-5"] = f"{100 * metrics.top5:.2f} %"
        what = f"Average of {len(self.members)} runs" if self.members else "Evaluation"
        return _table(what, rows)


def _net(which: int | str | Path) -> Stage:
    if isinstance(which, int):
        return stage(which)
    return net_of_folder(str(which)) or variant(str(which))


def _table(title: str, rows: Mapping[str, str]) -> str:
    cells = "".join(
        f"<tr><th style='text-align:left'>{html.escape(key)}</th>"
        f"<td style='text-align:left'>{html.escape(value)}</td></tr>"
        for key, value in rows.items()
    )
    return f"<table><caption>{html.escape(title)}</caption>{cells}</table>"
