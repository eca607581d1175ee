"""``tinynet data verify|convert|split|synthesize|fetch``."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinynet.cli import shared_options
from tinynet.cli.click_extensions import PATH, Group, RenamedOption
from tinynet.cli.messages import say
from tinynet.dataset.paths import DATA_ROOT
from tinynet.errors import TinynetError, UsageError

if TYPE_CHECKING:
    from tinynet.dataset.verify import VerificationReport

_JOBS = click.option(
    "--threads",
    "jobs",
    cls=RenamedOption,
    former=["--jobs"],
    type=click.IntRange(min=1),
    help="Threads that decode; default one per core.",
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
_OVERWRITE = click.option("--overwrite", is_flag=True, help="Replace DIR if it exists.")


@click.group(
    cls=Group,
    epilog=shared_options.example(
        "tinynet data synthesize --out data/shapes",
        "tinynet data verify data/shapes",
        "tinynet data convert data/shapes --out data/lmdb",
    ),
)
def data() -> None:
    """Fetch, draw, verify, convert or split a data set.

    A data set is a folder or zip in the Tiny ImageNet-200 layout, or a folder of a dataset hub's
    parquet files ('tinynet manual data').
    """


@data.command(
    short_help="Check every image, or every record of a converted set.",
    epilog=shared_options.example("tinynet data verify data/tiny-imagenet-200.zip"),
)
@click.argument("dataset", type=PATH)
@_JOBS
@_JSON
def verify(dataset: Path, jobs: int | None, as_json: bool) -> None:
    """Check every image of DATASET, or every record of a converted one.

    DATASET is a folder or zip in the Tiny ImageNet-200 layout, a folder of parquet files, or the
    folder that 'tinynet data convert' wrote.  Exit status 1 if anything is wrong with it.
    """
    from tinynet.dataset import verify as verification

    if verification.is_converted(dataset):
        report = verification.verify_converted(dataset)
    else:
        report = verification.verify_dataset(dataset, jobs)
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(report)))
    else:
        _print_report(report)
    if report.problems:
        from tinynet.dataset.convert import bad_images

        if report.kind == "data set":
            raise TinynetError(f"{dataset}: {bad_images(report.problems)}")
        first = report.problems[0]
        _, _, what = first.partition(": ")  # after the path, which may say "converted"
        advice = "" if "convert" in what else "; convert the data set again"
        raise TinynetError(first + advice)


def _print_report(report: VerificationReport) -> None:
    click.echo(f"{report.kind} of {report.classes} classes")
    for split, count in report.counts.items():
        line = f"{split:<6}{count:>8} images"
        if report.grayscale:
            line += f", {report.grayscale[split]} grayscale"
        if split == "train" and report.boxes:
            line += f", {report.boxes} with a box"
        if not report.labelled[split]:
            line += ", no labels"
        click.echo(line)
    for problem in report.problems:
        click.echo(f"bad: {problem}")


@data.command(
    epilog=shared_options.example(
        "tinynet data convert data/tiny-imagenet-200.zip --out data/lmdb"
    ),
)
@click.argument("dataset", type=PATH)
@click.option(
    "--out",
    type=PATH,
    default=DATA_ROOT,
    metavar="DIR",
    help="Folder for the LMDBs, the mean and the manifest.",
)
@click.option("--seed", type=shared_options.SEED, default=1, help="Seed of the shuffled order.")
@click.option("--crop-to-box", is_flag=True, help="Crop each training image to its box, scaled up.")
@click.option("--skip-bad", is_flag=True, help="Leave out images that cannot be used.")
@_OVERWRITE
@_JOBS
@_JSON
def convert(
    dataset: Path, out: Path, overwrite: bool, jobs: int | None, as_json: bool, **options: Any
) -> None:
    """Convert DATASET, a folder, a zip or parquet files, into LMDBs that Caffe reads.

    Writes train_lmdb, val_lmdb, test_lmdb (shuffled, BGR), mean.binaryproto and manifest.json.
    An interrupted conversion leaves nothing.
    """
    from tinynet.dataset.convert import Options
    from tinynet.dataset.convert import convert as convert_dataset

    manifest = convert_dataset(dataset, out, Options(**options), overwrite=overwrite, jobs=jobs)
    if manifest.skipped:
        count = len(manifest.skipped)
        named = ", ".join(manifest.skipped[:5]) + (", …" if count > 5 else "")
        noun = "image" if count == 1 else "images"
        say(f"tinynet: left out {count} bad {noun}: {named}")
    if as_json:
        content = dataclasses.asdict(manifest)
        del content["names"]  # as many as there are images, and in manifest.json
        click.echo(json.dumps({"out": str(out), **content}))
        return
    counts = ", ".join(f"{count} {split}" for split, count in manifest.counts.items())
    b, g, r = manifest.mean_values
    click.echo(f"{out}: {manifest.classes} classes; {counts} images")
    click.echo(f"mean B {b:.4f}, G {g:.4f}, R {r:.4f}")


@data.command(
    short_help="Split a converted set anew, for choosing and for reporting.",
    epilog=shared_options.example("tinynet data split data/lmdb --hold-out 0.1 --out data/honest"),
)
@click.argument("converted", type=PATH)
@click.option("--out", type=PATH, required=True, metavar="DIR", help="The new folder.")
@click.option(
    "--hold-out",
    type=shared_options.FiniteRange(0, 1, min_open=True, max_open=True),
    metavar="PART",
    help="Hold out this part of each class's training images (such as 0.1) as the tuning set.",
)
@click.option("--half-val", is_flag=True, help="Choose on one half of val, report on the other.")
@click.option("--fold", metavar="K/N", help="Fold K of N over training and validation images.")
@click.option("--split-seed", type=shared_options.SEED, default=1, help="Seed of the random split.")
@_OVERWRITE
@_JSON
def split(
    converted: Path,
    out: Path,
    hold_out: float | None,
    half_val: bool,
    fold: str | None,
    split_seed: int,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Split CONVERTED (from 'data convert') anew, to choose on other images than those reported.

    In the new folder, val is for choosing hyperparameters and subsets; test, which has labels, is
    for reporting.  No content is in two splits.
    """
    from tinynet.dataset import split as splitting

    if (hold_out is not None) + half_val + (fold is not None) != 1:
        raise UsageError("say how to split: one of --hold-out PART, --half-val and --fold K/N")
    plan: splitting.Plan
    if hold_out is not None:
        plan = splitting.Tuning(hold_out, split_seed)
    elif half_val:
        plan = splitting.HalfVal(split_seed)
    else:
        number, _, folds = str(fold).partition("/")
        if not (number.isdecimal() and folds.isdecimal()):
            raise UsageError(f"--fold {fold}: give K/N, as 1/5 for the first of five")
        plan = splitting.Fold(int(number), int(folds), split_seed)
    manifest = splitting.split(converted, out, plan, overwrite=overwrite)
    if as_json:
        click.echo(json.dumps({"out": str(out), "counts": manifest.counts, **manifest.options}))
        return
    for name, role in plan.roles().items():
        click.echo(f"{name:<6}{manifest.counts[name]:>8} images: {role}")
    if manifest.skipped:
        say(f"tinynet: left out {len(manifest.skipped)} images (see 'skipped' in the manifest)")


@data.command(
    short_help="Draw a data set of shapes, for use without a download.",
    epilog=shared_options.example("tinynet data synthesize --out data/shapes --classes 20"),
)
@click.option("--out", type=PATH, required=True, metavar="DIR", help="Folder for the data set.")
@click.option("--classes", type=int, default=20, help="Classes, 2 to 400.")
@click.option("--train-per-class", type=int, default=75, help="Training images of a class.")
@click.option("--val-per-class", type=int, default=50, help="Validation images of a class.")
@click.option("--test-per-class", type=int, default=10, help="Test images of a class.")
@click.option("--seed", type=shared_options.SEED, default=1, help="Seed of the drawing.")
@_OVERWRITE
def synthesize(out: Path, seed: int, overwrite: bool, **sizes: int) -> None:
    """Draw a data set of coloured, textured shapes, for use without a download.

    Has the Tiny ImageNet-200 layout: 64×64 JPEGs, boxes, validation annotations, a test split
    without labels.
    """
    from tinynet.dataset import synthetic

    made = synthetic.Sizes(**sizes)
    synthetic.synthesize(out, made, seed=seed, overwrite=overwrite)
    click.echo(
        f"{out}: {made.classes} classes; {made.classes * made.train_per_class} train, "
        f"{made.classes * made.val_per_class} val, {made.classes * made.test_per_class} test images"
    )


@data.command(
    epilog=shared_options.example("tinynet data fetch --out data"),
)
@click.option(
    "--out",
    type=PATH,
    default=Path("data"),
    metavar="DIR",
    help="Folder for the zip and the unpacked data set.",
)
@click.option("--url", metavar="URL", help="Another address of the zip.")
@click.option("--md5", metavar="MD5", help="Its checksum, if it is not the official zip.")
@click.option("--overwrite", is_flag=True, help="Replace the unpacked data set if it exists.")
def fetch(out: Path, url: str | None, md5: str | None, overwrite: bool) -> None:
    """Download tiny-imagenet-200.zip (248 MB) and unpack it.

    Continues an interrupted download, compares the MD5 checksum, and unpacks nothing outside DIR.
    Note that 'tinynet data convert' reads the zip as well as the folder.
    """
    from tinynet.dataset import download

    archive, folder = download.fetch(
        out,
        url=download.URL if url is None else url,
        md5=download.MD5 if md5 is None else md5,
        overwrite=overwrite,
    )
    click.echo(f"{archive}: downloaded, MD5 as expected")
    click.echo(f"{folder}: unpacked")
