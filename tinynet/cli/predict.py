"""``tinynet predict``: the file that the challenge's server takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tinynet import files
from tinynet.cli import shared_options
from tinynet.cli.click_extensions import FILE, PATH, GivenPath
from tinynet.cli.evaluate import engine_options, load_requested_members, percent, split_option
from tinynet.cli.messages import say
from tinynet.errors import TinynetError, UsageError


@click.command(
    epilog=shared_options.example(
        "tinynet predict runs/stage8_ensemble/member* --split test --out test.txt"
    )
)
@click.argument("runs", nargs=-1, type=PATH, metavar="[RUN]...")
@split_option("test")
@click.option(
    "--best",
    "is_best",
    is_flag=True,
    help="RUN is a folder of runs: average those of the stage, or the ensemble, that is best on "
    "the validation images.",
)
@click.option(
    "--check",
    type=FILE,
    help="Predict nothing: check the form of FILE against the test images of --data.",
)
@click.option("--one-crop", is_flag=True, help="Use one-crop probabilities, not 10-crop ones.")
@click.option(
    "--out",
    type=GivenPath(allow_dash=True),
    metavar="FILE",
    help="The file to write, - for stdout; default SPLIT_10crop.txt beside the RUN.",
)
@engine_options
def predict(
    runs: tuple[Path, ...],
    split: str,
    is_best: bool,
    check: Path | None,
    one_crop: bool,
    out: Path | None,
    **options: Any,
) -> None:
    """Write the submission file of a run, or of the average of several.

    One line per image, `test_0.JPEG n01443537`, in the order of the images' numbers.  RUN is a
    run directory or an .npz; 10-crop probabilities are used, and computed where a run has none of
    its newest snapshot.
    """
    from tinynet.predict.ensemble import average
    from tinynet.predict.submission import require_form, submission
    from tinynet.run.paths import RunPaths

    if check is not None:
        if runs or is_best or out is not None:
            raise UsageError("--check FILE predicts nothing: leave out RUN, --best and --out")
        _check(check, split, options["data"])
        return
    if not runs:
        raise UsageError("name a RUN, or with --best a folder of runs")
    if is_best:
        if out is None:
            raise UsageError("--best: name the file to write with --out FILE")
        runs = _best(runs)
    if out is None and len(runs) > 1:
        raise UsageError("several RUNs: name the file to write with --out FILE")
    if out is not None and out.is_dir():
        raise UsageError(f"--out {out}: is a folder; name the file to write")
    if out is not None and str(out) != "-":
        files.require_writable(out.parent)
    members = load_requested_members(runs, split, not one_crop, options)
    result = members[0].probabilities if len(members) == 1 else average(members)
    text = submission(result)
    require_form(text, "the predictions", result.names.tolist(), result.wnids.tolist())
    if str(out) == "-":
        click.echo(text, nl=False)
        return
    if out is None:
        beside = runs[0] if runs[0].is_dir() else runs[0].parent
        out = RunPaths(beside).probabilities(split, not one_crop).with_suffix(".txt")
    out.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(out, text)
    click.echo(f"{out}: {len(result.names):,} predictions")


def _best(folders: tuple[Path, ...]) -> tuple[Path, ...]:
    """The runs below the folders whose average is best on the validation images."""
    from tinynet.predict.best import best

    choice = best(folders)
    count = f"{len(choice.runs)} {'run' if len(choice.runs) == 1 else 'runs averaged'}"
    accuracy = percent(choice.top1)
    say(f"best on the validation images, over ten crops: {choice.name}, {count}: {accuracy}")
    return tuple(choice.runs)


def _check(file: Path, split: str, data: Path | None) -> None:
    """Require a submission file to have the form that the server takes, and say so."""
    from tinynet.dataset.manifest import read_manifest
    from tinynet.dataset.paths import DATA_ROOT
    from tinynet.predict.submission import require_form

    manifest = read_manifest(data or DATA_ROOT)
    try:
        text = file.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise TinynetError(f"{file}: is not UTF-8 text ({error})") from None
    classes = require_form(text, str(file), manifest.names[split], manifest.wnids)
    click.echo(
        f"{file}: {manifest.counts[split]:,} predictions, one for each image of the {split} split, "
        f"of {classes} of {manifest.classes} classes"
    )
