"""``tinynet report``: one page with everything, or one figure."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tinynet import files
from tinynet.cli import shared_options
from tinynet.cli.click_extensions import PATH
from tinynet.cli.messages import show
from tinynet.errors import StoppedEarly, UsageError

if TYPE_CHECKING:
    from tinynet.report.figure import Figure

# the names of tinynet.report.figures, here too so that --help needs no matplotlib
NAMES = (
    *("architecture", "filters", "feature-maps", "occlusion", "subsets", "accuracies"),
    *("dissection", "curves", "confusion", "search", "folds"),
)


@click.command(epilog=shared_options.example("tinynet report runs --out report.html"))
@click.argument("sources", nargs=-1, type=PATH, metavar="[RUNS|RESULTS]...")
@click.option(
    "--only",
    type=click.Choice(NAMES),
    metavar="PART",
    help=f"Draw this figure alone: {', '.join(NAMES)}.",
)
@click.option(
    "--out",
    type=PATH,
    metavar="FILE",
    help="The page, default report.html; an .md file has the tables alone; with --only a .png, "
    ".svg or .pdf, or a folder.",
)
@click.option("--stage", type=click.IntRange(1, 8), help="Architecture of stage N.")
@click.option(
    "--image",
    metavar="NAME",
    help="Image of the feature maps: of --data, of the run's validation split, or any file.",
)
@shared_options.prototxt_root
@click.option(
    "--data",
    type=PATH,
    metavar="DIR",
    help="Converted data set: the page then shows its images in place of drawn ones, and the "
    "names of its classes.",
)
@shared_options.engine("What computes feature maps and occlusions.")
@click.option(
    "--watch",
    is_flag=True,
    help="Follow trainings that run: a page of their curves, which reloads itself; end by Ctrl-C.",
)
@click.option(
    "--every",
    type=shared_options.FiniteRange(1, 86400),
    default=10.0,
    metavar="SECONDS",
    help="With --watch: how often the page is written anew.",
)
def report(
    sources: tuple[Path, ...],
    only: str | None,
    out: Path | None,
    stage: int | None,
    image: str | None,
    prototxt: Path,
    data: Path | None,
    engine: str,
    watch: bool,
    every: float,
) -> int | None:
    """Write a page with tables, figures and how to repeat them; or with --only one figure.

    RUNS are run directories or folders of them (default: runs), all of one data set; RESULTS is
    what 'tinynet dissect' or 'tinynet search' wrote, with or without --folds.  Several dissections
    of one data set, by different schedules, say, have a table each.  The page is one file that
    needs no network.  What has not run reads "not run".  With --watch the exit status is 0 if
    nothing was training in the end, and 75 if something was.
    """
    from tinynet.report import canvas, figures
    from tinynet.report.figure import FigureOptions
    from tinynet.report.report_data import ReportData, collect

    if watch:
        if only is not None or stage is not None or image is not None:
            raise UsageError("--watch writes a page of curves; leave out --only, --stage, --image")
        return _watch(sources, out or Path("report.html"), every)
    for name, given, its in (
        ("--stage", stage is not None, "architecture"),
        ("--image", image is not None, "feature-maps"),
    ):
        if given and only not in (None, its):
            raise UsageError(f"{name} goes with --only {its}, or with the whole page")
    page = out or Path("report.html")
    if only is None:
        _require_page(page)
        files.require_writable(page.parent)
    elif out is not None and _is_file(out):
        canvas.require_format(out)
        files.require_writable(out.parent)
    else:
        files.require_writable(out or Path())
    options = FigureOptions(stage=stage, image=image, engine=engine, prototxt=prototxt)
    named = sources or ((Path("runs"),) if Path("runs").is_dir() else ())
    if not named and only != "architecture":
        raise UsageError("no RUNS named, and no folder 'runs' is here")
    report_data = collect(named, data) if named else ReportData([])
    if only is None:
        from tinynet.report.markdown import write_markdown
        from tinynet.report.page import write_report

        if page.suffix.lower() == ".md":
            write_markdown(report_data, page)
        else:
            write_report(report_data, options, page)
        click.echo(str(page))
        return None
    for figure, path in _targets(figures.make(only, report_data, options), only, out):
        canvas.save(figure.draw(), path)
        click.echo(str(path))
    return None


def _watch(sources: tuple[Path, ...], page: Path, every: float) -> int:
    from tinynet.report import live

    named = sources or (Path("runs"),)
    for source in named:
        if not source.is_dir():
            what = "is a file" if source.exists() else "no such folder"
            raise UsageError(f"{source}: {what}; name the folder that trainings write to")
    _require_page(page, (".html", ".htm"))
    click.echo(str(page))
    is_over = live.watch(
        named, page, every, lambda text: show(f"{time.strftime('%H:%M:%S')} {text}")
    )
    return 0 if is_over else StoppedEarly.exit_status


def _require_page(page: Path, suffixes: tuple[str, ...] = (".html", ".htm", ".md")) -> None:
    if page.is_dir() or page.suffix.lower() not in suffixes:
        raise UsageError(
            f"--out {page}: the page is an .html file, its tables alone an .md file; a figure "
            "takes --only NAME"
        )


def _is_file(out: Path) -> bool:
    """Whether --out of a figure names a file, not the folder for several."""
    return bool(out.suffix) and not out.is_dir()


def _targets(figures: list[Figure], only: str, out: Path | None) -> list[tuple[Figure, Path]]:
    """Where each figure goes: the file named, or files in the folder named."""
    if out is not None and _is_file(out):
        if len(figures) > 1:
            raise UsageError(
                f"--only {only} draws {len(figures)} figures here; name a folder with --out"
                + (", or one --stage" if only == "architecture" else "")
            )
        return [(figures[0], out)]
    folder = out or Path()
    return [(figure, folder / f"{figure.stem}.png") for figure in figures]
