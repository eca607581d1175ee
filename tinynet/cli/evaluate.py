"""``tinynet evaluate`` and ``ensemble``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinynet import files
from tinynet.cli import shared_options
from tinynet.cli.click_extensions import PATH
from tinynet.cli.messages import say
from tinynet.engine.precision import PRECISIONS
from tinynet.errors import TinynetError, UsageError

if TYPE_CHECKING:
    from tinynet.predict.ensemble import Member
    from tinynet.predict.evaluate import EvaluationRequest, Progress
    from tinynet.predict.probabilities import Probabilities

SPLITS = ("val", "train", "test")


# what every command that may start a worker takes
engine_options = shared_options.all_of(
    shared_options.engine(),
    shared_options.caffe_python,
    shared_options.gpu("Predict on"),
    shared_options.cpu("Predict on"),
    click.option(
        "--precision",
        type=click.Choice(PRECISIONS),
        default="float32",
        help="Arithmetic of the torch engine; tf32 and bf16 as in 'tinynet train'.",
    ),
    click.option(
        "--batch-size",
        type=click.IntRange(min=1),
        help="Inputs (crops) in one forward pass.  Default: 100, or 1000 on a GPU.",
    ),
    click.option(
        "--data",
        type=PATH,
        metavar="DIR",
        help="Converted data set, where it has moved since the training.",
    ),
)


def split_option(default: str) -> shared_options.Option:
    return click.option("--split", type=click.Choice(SPLITS), default=default, help="Which images.")


@click.command(
    epilog=shared_options.example(
        "tinynet evaluate runs/stage7_dropout2/seed1 --split val --oversample"
    )
)
@click.argument("run", type=PATH)
@split_option("val")
@click.option("--oversample", is_flag=True, help="Average over Caffe's ten crops.")
@click.option(
    "--sample",
    type=click.IntRange(min=1),
    help="Use a fixed sample of N images, the same number of each class.",
)
@click.option(
    "--iteration",
    metavar="N|best",
    help="The snapshot of iteration N, or the best by the training's validation accuracy.",
)
@click.option("--weights", type=PATH, metavar="FILE", help="A .caffemodel in place of a snapshot.")
@engine_options
@click.option(
    "--again",
    is_flag=True,
    help="Compute again, even if this is stored.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the scores as JSON.")
def evaluate(run: Path, sample: int | None, again: bool, as_json: bool, **options: Any) -> None:
    """Score a run on a split, with one crop (as training does) or with Caffe's ten.

    RUN is a run directory; its newest snapshot is used.  Writes the probabilities into it (val.npz,
    or val_10crop.npz) unless they are there for the same weights, and prints loss, top-1 and top-5
    as Caffe counts them.  On --split train that is the TEST phase's accuracy: no dropout, centre
    crop.  With --sample N the file is train_sampleN.npz; the images of each class are taken in the
    order of the SHA-256 of their names.
    """
    from tinynet.predict import evaluate as prediction

    if not run.is_dir():
        what = "is a file, and no run directory" if run.exists() else "no such run directory"
        raise UsageError(f"{run}: {what}")
    request = _request(run, sample=sample or 0, **options)
    with _progress(request) as progress:
        compute = prediction.evaluate if again else prediction.obtain
        result = compute(request, say, progress)
    summary = _facts(result) | {"run": str(run), "file": str(request.out)}
    summary |= {"sample": sample} if sample else {}
    if result.labelled:
        metrics = result.metrics
        summary |= {"loss": metrics.loss, "top1": metrics.top1, "top5": metrics.top5}
    if as_json:
        click.echo(json.dumps(summary))
        return
    click.echo(
        f"{run}, iteration {result.iteration}, {result.split}: "
        f"{'a sample of ' if sample else ''}{len(result.names):,} images, "
        f"{_views(result.views)} each, on {result.engine}"
    )
    if result.labelled:
        click.echo(
            f"loss {metrics.loss:.4f}   top-1 {percent(metrics.top1)}   "
            f"top-5 {percent(metrics.top5)}"
        )
    else:
        click.echo(f"no scores: the images of the {result.split} split have no labels")
    click.echo(f"probabilities: {request.out}")


@click.command(
    epilog=shared_options.example(
        "tinynet ensemble runs/stage8_ensemble/member* --out runs/ensemble"
    )
)
@click.argument("runs", nargs=-1, required=True, type=PATH, metavar="RUN...")
@split_option("val")
@click.option("--one-crop", is_flag=True, help="Average one-crop probabilities, not 10-crop ones.")
@click.option("--average-only", is_flag=True, help="Score the members and their average only.")
@click.option(
    "--out",
    type=PATH,
    default=Path("runs/ensemble"),
    metavar="DIR",
    help="Where the averaged probabilities and the figure go.",
)
@engine_options
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def ensemble(
    runs: tuple[Path, ...],
    split: str,
    one_crop: bool,
    average_only: bool,
    out: Path,
    as_json: bool,
    **options: Any,
) -> None:
    """Average the probabilities of runs, and score every subset of them (figure 5 of the paper).

    RUN is a run directory or an .npz; 10-crop probabilities are used, and computed where a run
    has none of its newest snapshot.  Prints the members, the best subset of each size and the full
    ensemble; writes the averaged probabilities and the figure into --out.
    """
    from tinynet.cli import ensemble_report
    from tinynet.predict import subsets
    from tinynet.predict.ensemble import average
    from tinynet.predict.probabilities import write_probabilities
    from tinynet.run.paths import RunPaths

    if not average_only and len(runs) > subsets.MAX_MEMBERS:
        raise UsageError(
            f"{len(runs)} members have {2 ** len(runs) - 1:,} subsets, and all are scored up to "
            f"{subsets.MAX_MEMBERS} members; give fewer, or --average-only"
        )
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out}: is a file; name a folder")
    files.require_writable(out)
    members = load_requested_members(runs, split, not one_crop, options)
    mean = average(members)
    file = RunPaths(out).probabilities(split, not one_crop)
    write_probabilities(file, mean)
    report = ensemble_report.EnsembleReport(members, mean, file)
    if not mean.labelled:
        click.echo(json.dumps(report.as_dict()) if as_json else report.unscored())
        return
    if not average_only and len(members) > 1:
        from tinynet.report import canvas
        from tinynet.report.subsets import draw_subsets

        with _line(f"{2 ** len(members) - 1:,} subsets", " comparisons") as advance:
            report.scores = subsets.score_subsets(
                [member.probabilities.probabilities for member in members], mean.labels, advance
            )
        report.figure = file.with_name(f"{file.stem}_subsets.png")
        names = {"val": "validation", "train": "training", "test": "test"}
        canvas.save(draw_subsets(report.scores, names[split]), report.figure)
    click.echo(json.dumps(report.as_dict()) if as_json else report.text())


def load_requested_members(
    runs: tuple[Path, ...], split: str, oversample: bool, options: dict[str, Any]
) -> list[Member]:
    from tinynet.predict.ensemble import load_members

    requests = [_request(run, split=split, oversample=oversample, **options) for run in runs]
    return load_members(requests, say, _progress)


def _request(run: Path, **options: Any) -> EvaluationRequest:
    from tinynet.predict.evaluate import EvaluationRequest

    shared_options.at_most_one(gpu=options["gpu"], cpu=options["cpu"])
    if "iteration" in options:
        shared_options.at_most_one(iteration=options["iteration"], weights=options["weights"])
    if options.get("iteration") is not None:
        options["iteration"] = _iteration(run, options["iteration"])
    return EvaluationRequest(run=run, **options)


def _iteration(run: Path, given: str) -> int:
    """The iteration that ``--iteration`` names: a number, or that of the run's best snapshot."""
    from tinynet.run import retention, snapshots
    from tinynet.run.log import read_history
    from tinynet.run.paths import RunPaths

    if given.isdecimal():
        return int(given)
    if given != "best":
        raise UsageError(f"--iteration {given}: give a number, or 'best'")
    paths = RunPaths(run)
    best = retention.best(read_history(paths.history), snapshots.snapshots(paths.snapshots))
    if best is None:
        raise TinynetError(
            f"{run}: no snapshot of an iteration at which it was tested, so none is known to be "
            "the best"
        )
    return best.iteration


def _progress(request: EvaluationRequest) -> AbstractContextManager[Progress]:
    """A live line of the images handed to the worker."""
    return _line(f"{request.run} {request.split}", " images")


@contextmanager
def _line(description: str, unit: str) -> Iterator[Progress]:
    """A live line on a terminal; nothing elsewhere."""
    from tqdm import tqdm

    with tqdm(
        desc=description, unit=unit, dynamic_ncols=True, leave=False, disable=None, delay=0.5
    ) as bar:

        def advance(more: int, total: int) -> None:
            bar.total = total
            bar.update(more)

        yield advance


def _facts(result: Probabilities) -> dict[str, Any]:
    return {
        "split": result.split,
        "images": len(result.names),
        "crop": result.crop,
        "views": result.views,
        "iteration": result.iteration,
        "model_sha256": result.model_sha256,
        "engine": result.engine,
    }


def _views(views: int) -> str:
    return {1: "1 crop", 2: "image and mirror"}.get(views, f"{views} crops")


def percent(value: float) -> str:
    return f"{100 * value:.2f} %"
