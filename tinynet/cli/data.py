"""``tinynet data verify|convert|synthesize|fetch``."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tinynet.errors import TinynetError
from tinynet.paths import DATA_ROOT

if TYPE_CHECKING:
    from tinynet.data.verify import Report

_JOBS = click.option(
    "--jobs", type=click.IntRange(min=1), help="Decoding processes (default: one per core)."
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
_OVERWRITE = click.option("--overwrite", is_flag=True, help="Replace DIR if it exists.")


@click.group()
def data() -> None:
    """Verify, convert, synthesize or fetch a data set.

    \b
    A data set is a folder or zip in the Tiny ImageNet-200 layout (data/README.md):
      tinynet data synthesize --out data/shapes
      tinynet data verify data/shapes
      tinynet data convert data/shapes --out data/lmdb
    """


@data.command()
@click.argument("dataset", type=click.Path(path_type=Path))
@_JOBS
@_JSON
def verify(dataset: Path, jobs: int | None, as_json: bool) -> None:
    """Check every picture of DATASET, or every record of a converted one.

    DATASET is a folder or zip in the Tiny ImageNet-200 layout, or the folder that
    'tinynet data convert' wrote.  Exit status 1 if anything is wrong with it.

    \b
    Example:
      tinynet data verify data/tiny-imagenet-200.zip
    """
    from tinynet.data import verify as verification

    if verification.is_converted(dataset):
        report = verification.verify_converted(dataset)
    else:
        report = verification.verify_dataset(dataset, jobs)
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(report)))
    else:
        _print_report(report)
    if report.problems:
        from tinynet.data.convert import bad_pictures

        if report.kind == "data set":
            raise TinynetError(f"{dataset}: {bad_pictures(report.problems)}")
        raise TinynetError(f"{report.problems[0]}; convert the data set again")


def _print_report(report: Report) -> None:
    click.echo(f"{report.kind} of {report.classes} classes")
    for split, count in report.counts.items():
        line = f"{split:<6}{count:>8} pictures"
        if report.grayscale:
            line += f", {report.grayscale[split]} grayscale"
        if split == "train" and report.boxes:
            line += f", {report.boxes} with a box"
        if not report.labelled[split]:
            line += ", no labels"
        click.echo(line)
    for problem in report.problems:
        click.echo(f"bad: {problem}")


@data.command()
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=DATA_ROOT,
    show_default=True,
    help="Folder for the LMDBs, the mean and the manifest.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of the shuffled order.")
@click.option("--crop-to-box", is_flag=True, help="Keep of a training picture its box, scaled up.")
@click.option("--skip-bad", is_flag=True, help="Leave out pictures that cannot be used.")
@_OVERWRITE
@_JOBS
@_JSON
def convert(
    dataset: Path,
    out: Path,
    seed: int,
    crop_to_box: bool,
    skip_bad: bool,
    overwrite: bool,
    jobs: int | None,
    as_json: bool,
) -> None:
    """Convert DATASET, a folder or zip, into LMDBs that Caffe reads.

    Writes train_lmdb, val_lmdb, test_lmdb (shuffled, BGR), mean.binaryproto and manifest.json.
    An interrupted conversion leaves nothing.

    \b
    Example:
      tinynet data convert data/tiny-imagenet-200.zip --out data/lmdb
    """
    from tinynet.data.convert import Options
    from tinynet.data.convert import convert as convert_dataset

    options = Options(seed=seed, crop_to_box=crop_to_box, skip_bad=skip_bad)
    manifest = convert_dataset(dataset, out, options, overwrite=overwrite, jobs=jobs)
    if manifest.skipped:
        named = ", ".join(manifest.skipped[:5]) + (", …" if len(manifest.skipped) > 5 else "")
        print(f"tinynet: left out {len(manifest.skipped)} bad pictures: {named}", file=sys.stderr)
    if as_json:
        content = dataclasses.asdict(manifest)
        del content["names"]  # as many as there are pictures, and in manifest.json
        click.echo(json.dumps({"out": str(out), **content}))
        return
    counts = ", ".join(f"{count} {split}" for split, count in manifest.counts.items())
    b, g, r = manifest.mean_values
    click.echo(f"{out}: {manifest.classes} classes; {counts} pictures")
    click.echo(f"mean B {b:.4f}, G {g:.4f}, R {r:.4f}")
