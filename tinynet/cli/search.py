"""``tinynet search``: search solver values, coarse to fine, on tuning images."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tinynet.cli import shared_options
from tinynet.cli.click_extensions import PATH
from tinynet.cli.messages import say
from tinynet.cli.repeat import command_line
from tinynet.dataset.paths import DATA_ROOT
from tinynet.errors import UsageError

if TYPE_CHECKING:
    from tinynet.study.search import SearchRequest
    from tinynet.study.trials import Trial


@click.command(
    epilog=shared_options.example(
        "tinynet search data/lmdb --stage 7 --trials 10 --levels 2 --epochs 10"
    )
)
@click.argument("data", required=False, type=PATH)
@click.option("--stage", "number", type=int, help="Which stage, 1 to 7.")
@click.option(
    "--variant", "variant_name", metavar="NAME", help="A variant instead, of 'generate --help'."
)
@click.option(
    "--out",
    type=PATH,
    metavar="DIR",
    help="Where the study and its runs lie; default runs/search/STAGE.",
)
@click.option(
    "--range",
    "ranges",
    multiple=True,
    metavar="FIELD=LOW:HIGH",
    help="A solver field to search, logarithmically (may be given again).  "
    "[default: base_lr=0.001:0.1 and weight_decay=1e-05:0.01]",
)
@click.option("--trials", type=click.IntRange(1), default=10, help="Trials in each level.")
@click.option(
    "--levels",
    type=click.IntRange(1, 5),
    default=2,
    help="Levels; each searches a quarter of the last one's ranges, around the best so far.",
)
@click.option(
    "--epochs", type=shared_options.COUNT, help="Length of each trial; default the stage's own."
)
@click.option("--batch-size", type=shared_options.COUNT, help="Images in each update; default 128.")
@click.option("--seed", type=shared_options.SEED, default=1, help="random_seed of all trials.")
@click.option(
    "--split-seed",
    type=shared_options.SEED,
    default=1,
    help="Which tenth of training is held out as tuning images, unless DATA is split.",
)
@shared_options.engine()
@shared_options.caffe_python
@shared_options.cpu("Train on")
@shared_options.gpu("Train on")
@click.option("--json", "as_json", is_flag=True, help="Print the trials as JSON.")
def search(
    data: Path | None,
    number: int | None,
    variant_name: str | None,
    out: Path | None,
    ranges: tuple[str, ...],
    trials: int,
    levels: int,
    epochs: int | None,
    batch_size: int | None,
    seed: int,
    split_seed: int,
    engine: str,
    caffe_python: str | None,
    cpu: bool,
    gpu: int | None,
    as_json: bool,
) -> None:
    """Search solver values of a stage on tuning images, which are not among those reported.

    The same command, started again or many times at once (on any machines that share DIR), joins
    one study and resumes what was left.  Writes DIR/overrides.json, which 'tinynet generate
    --overrides' and 'tinynet dissect --overrides' take, DIR/trials.csv and DIR/plane.png.
    """
    from tinynet.experiment.solvers import Overrides
    from tinynet.experiment.stages import stage
    from tinynet.experiment.variants import variant
    from tinynet.study import search as study
    from tinynet.study.search_space import DEFAULT_RANGES, parse_range

    if (number is None) == (variant_name is None):
        raise UsageError("name one of --stage N and --variant NAME")
    shared_options.at_most_one(gpu=gpu, cpu=cpu)
    net = stage(number) if number is not None else variant(str(variant_name))
    if net.is_ensemble:
        raise UsageError("stage 8 is 11 models of stage 7: search --stage 7")
    searched = [parse_range(text) for text in ranges] or list(DEFAULT_RANGES)
    names = [each.name for each in searched]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UsageError(f"--range: {twice} has two ranges; give one")
    folder = out or Path("runs/search") / net.name
    request = study.SearchRequest(
        stage=net,
        data=_tuning_data(data or DATA_ROOT, folder, split_seed),
        out=folder,
        ranges=searched,
        trials=trials,
        levels=levels,
        seed=seed,
        overrides=Overrides(batch_size=batch_size, epochs=epochs),
        train=shared_options.engine_words(engine, caffe_python, cpu, gpu),
        command=command_line(),
    )
    made = study.run(request, say)
    figure = _draw(request, made)
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(trial) for trial in made]))
        return
    click.echo(_table(request, made))
    if request.paths.overrides.exists():
        click.echo(f"winner: {request.paths.overrides}")
    if figure is not None:
        click.echo(f"figure: {figure}")


def _tuning_data(data: Path, out: Path, split_seed: int) -> Path:
    """DATA where its val may choose, else DATA with tuning images held out, under ``out``."""
    from tinynet.dataset.manifest import read_manifest
    from tinynet.dataset.paths import DataPaths
    from tinynet.dataset.split import Tuning, split
    from tinynet.files import locked

    if "roles" in read_manifest(data).options:
        return data
    folder = out / "data"
    with locked(out / ".data.lock"):  # many workers may start at once
        if not DataPaths(folder).manifest.exists():
            split(data, folder, Tuning(0.1, split_seed))
    options = read_manifest(folder).options
    known = options.get("split_of"), options["split"].get("seed")
    if known != (read_manifest(data).digests, split_seed):
        raise UsageError(f"{folder}: was split from other data or seed; name another --out")
    return folder


def _table(request: SearchRequest, made: list[Trial]) -> str:
    from tinynet.report.search_and_folds import trials_table
    from tinynet.report.table import as_text

    return as_text(trials_table(made, [searched.name for searched in request.ranges]))


def _draw(request: SearchRequest, made: list[Trial]) -> Path | None:
    from tinynet.study.trials import winner

    best = winner(made)
    if best is None or len(request.ranges) < 2:
        return None
    from tinynet.report import canvas
    from tinynet.report.search_plane import draw_search_plane, points_of

    names = (request.ranges[0].name, request.ranges[1].name)
    path = request.paths.plane
    points = points_of(made, names)
    title = f"{request.stage.title}: {len(points)} trial{'' if len(points) == 1 else 's'}"
    canvas.save(draw_search_plane(points, points_of([best], names)[0], names, title), path)
    return path
