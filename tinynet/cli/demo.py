"""``tinynet demo``: the whole experiment in minutes, then a table and figures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tinynet.cli import shared_options
from tinynet.cli.click_extensions import FOLDER, GivenPath, RenamedOption

if TYPE_CHECKING:
    from tinynet.study.demo import DemoPaths

_FEW = 5  # passes; with fewer, stage 3 has not caught up with stage 1


@click.command(
    epilog=shared_options.example("tinynet demo", "tinynet demo data/shapes --out demo2")
)
@click.argument("dataset", required=False, type=GivenPath(exists=True))
@click.option(
    "--out", type=FOLDER, default=Path("demo"), help="Everything that the demo makes goes here."
)
@click.option(
    "--max-iter",
    "iterations",
    cls=RenamedOption,
    former=["--iterations"],
    type=shared_options.COUNT,
    help="Length of each training; default the demo's own, or that of the demo in DIR.",
)
def demo(dataset: Path | None, out: Path, iterations: int | None) -> None:
    """Run the whole experiment in minutes, on the CPU: data set to ensemble.

    DATASET is a folder or zip in the Tiny ImageNet layout; without it a data set is drawn.  Every
    command is shown as it runs.  If the demo is started again, it resumes where it was.
    """
    from tinynet.dataset.manifest import read_manifest
    from tinynet.report import canvas
    from tinynet.report.bars import Bar, draw_bars
    from tinynet.report.curves import draw_curves
    from tinynet.report.table import as_text, of_texts
    from tinynet.study import demo as study

    folders = study.DemoPaths(out)
    study.require_same_data(dataset, folders)
    study.run(dataset, folders, iterations, click.echo)

    manifest = read_manifest(folders.lmdb)
    rows = study.results(folders)
    table = as_text(
        of_texts(
            ["run", "top-1 %", "top-1 % over crops", "top-5 % over crops", "crops"],
            [
                [
                    row.label,
                    "" if row.one_crop is None else f"{100 * row.one_crop:.1f}",
                    f"{100 * row.oversampled.top1:.1f}",
                    f"{100 * row.oversampled.top5:.1f}",
                    str(row.views),
                ]
                for row in rows
            ],
            right=(1, 2, 3, 4),
        )
    )
    figures = {
        "accuracy": folders.results / "accuracy.png",
        "learning curves": folders.results / "curves.png",
        "subsets": folders.results / "val_10crop_subsets.png",
    }
    bars = draw_bars(
        [Bar(row.label, row.oversampled.top1) for row in rows],
        f"Validation accuracy over crops, {manifest.counts['val']:,} images",
        chance=1 / manifest.classes,
    )
    canvas.save(bars, figures["accuracy"])
    histories = study.histories(folders)
    curves = draw_curves({label: [history] for label, history in histories.items()})
    canvas.save(curves, figures["learning curves"])
    click.echo(
        f"\n{manifest.source}: {manifest.classes} classes, "
        f"{manifest.counts['train']:,} training and {manifest.counts['val']:,} validation images"
        f"; chance is {100 / manifest.classes:.1f} %\n\n{table}\n\n{_passes(folders)}\n"
    )
    for what, path in figures.items():
        click.echo(f"{what + ':':17}{path}")


def _passes(folders: DemoPaths) -> str:
    """How often each training image was seen, and what to make of it where that is seldom."""
    from tinynet.study.demo import passes

    seen = passes(folders)
    said = ", ".join(f"{times:.3g} times in stage {number}" for number, times in seen.items())
    line = f"each training image was seen {said}"
    if min(seen.values()) < _FEW:
        line += "; so few favour stage 1, since dropout and crops make a net learn more slowly"
    return line
