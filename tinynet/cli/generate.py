"""The command ``generate``: writes, or checks, the prototxt of the stages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tinynet.caffeformat import schema
from tinynet.cli import shared_options
from tinynet.cli.click_extensions import FILE, FOLDER, RenamedOption
from tinynet.cli.messages import say
from tinynet.dataset.paths import DATA_ROOT, DataPaths
from tinynet.errors import TinynetError, UsageError
from tinynet.experiment import data_description as dataset
from tinynet.experiment import generate as generator
from tinynet.experiment import solver_values
from tinynet.experiment.hyperparameters import LARGEST_COUNT
from tinynet.experiment.overrides import SearchedValues, read_overrides
from tinynet.experiment.paths import PROTOTXT_ROOT, StagePaths
from tinynet.experiment.solvers import Overrides
from tinynet.experiment.stages import STAGES, Stage, stage
from tinynet.experiment.variants import PREFIX, VARIANTS, variant

NAMED_OTHERWISE = {"random_seed": "--seed"}  # as every other command calls it
# fields that name nets, and what Caffe has replaced: every other field of the solver has its option
NO_OPTION = {"net", "train_net", "test_net", "solver_type", "weights"}


def _solver_option(field: schema.Field) -> shared_options.Option:
    flag = "--" + field.name.replace("_", "-")
    default = f", Caffe's default {field.default}" if field.default else ""
    again = " (may be given again)" if field.repeated else ""
    help_line = f"The solver's {field.name}{default}{again}."
    if field.kind == "bool":
        return click.option(f"{flag}/--no-{flag[2:]}", field.name, default=None, help=help_line)
    kind: Any = click.STRING
    if field.name in solver_values.WORDS:
        kind = click.Choice(list(solver_values.WORDS[field.name]))
    elif field.kind == "enum":
        kind = click.Choice(list(field.values))
    elif field.kind == "float":
        kind = shared_options.Finite()  # its range, if any, is solver_values' to check
    elif field.kind != "string":
        kind = click.IntRange(solver_values.lowest(field.name), solver_values.largest(field.name))
    if field.name in NAMED_OTHERWISE:
        return click.option(
            NAMED_OTHERWISE[field.name],
            field.name,
            cls=RenamedOption,
            former=[flag],
            type=kind,
            metavar="N",
            help=help_line,
        )
    return click.option(flag, field.name, type=kind, multiple=field.repeated, help=help_line)


# one option for every value of the solver, as the schema lists them
solver_options = shared_options.all_of(
    *(
        _solver_option(field)
        for field in schema.FIELDS["SolverParameter"].values()
        if field.kind != "message" and field.name not in NO_OPTION
    )
)


def _chosen(values: dict[str, Any]) -> dict[str, Any]:
    """The solver options that were given, enum names as numbers."""
    chosen = {}
    for name, value in values.items():
        field = schema.FIELDS["SolverParameter"][name]
        if value is not None and value != ():
            chosen[name] = field.values[value] if field.kind == "enum" else value
    return chosen


@click.command(
    epilog=shared_options.example(
        "tinynet generate --check",
        "tinynet generate --data data/lmdb --out my_prototxt --stage 1,7 --epochs 10",
        "tinynet generate --stage 1 --lr-policy step --gamma 0.5 --stepsize 2000",
    )
)
@shared_options.numbers("--stage", "numbers", help_line="Only these stages, of 1 to 8.")
@click.option(
    "--variant",
    "variants",
    multiple=True,
    metavar="NAME",
    help="A variant of a stage instead (may be given again): "
    f"{', '.join(each.name.removeprefix(PREFIX) for each in VARIANTS)}.",
)
@click.option(
    "--classes",
    type=click.IntRange(2, LARGEST_COUNT),
    help="Number of classes, for data that lies elsewhere; sizes are Tiny ImageNet's.",
)
@click.option(
    "--data",
    type=FOLDER,
    help="Converted data set: its manifest gives classes, sizes and mean.  "
    f"[default: {DATA_ROOT}, or Tiny ImageNet-200's figures where that is not there]",
)
@click.option("--out", type=FOLDER, default=PROTOTXT_ROOT, help="Folder to write under.")
@click.option(
    "--check", is_flag=True, help="Write nothing; exit 1 and name each file that drifted."
)
@click.option(
    "--batch-size",
    type=shared_options.COUNT,
    help="Images in a pass; --iter-size passes make an iteration.",
)
@click.option(
    "--epochs", type=shared_options.COUNT, help="Length of training; schedules scale with it."
)
@click.option(
    "--std",
    type=shared_options.FiniteRange(0, min_open=True),
    help="Standard deviation of the gaussian initial weights.",
)
@click.option(
    "--overrides",
    "overrides_file",
    type=FILE,
    help="Solver values from 'tinynet search'; stage 8's members vary around them.  Options given "
    "here take precedence.",
)
@solver_options
def generate(
    numbers: list[int],
    variants: tuple[str, ...],
    classes: int | None,
    data: Path | None,
    out: Path,
    check: bool,
    batch_size: int | None,
    epochs: int | None,
    std: float | None,
    overrides_file: Path | None,
    **solver_values: Any,
) -> None:
    """Write the stages' train_val, deploy and solver prototxt.

    Without options it writes the files that the repository holds.  An option that is left out
    keeps the stage's own value, from tinynet/experiment/hyperparameters.py.  The members of stage 8
    have the seeds from --seed N on.
    """
    chosen = _chosen(solver_values)
    searched = None if overrides_file is None else read_overrides(overrides_file)
    stages = [stage(number) for number in sorted(set(numbers))]
    stages += [variant(name) for name in dict.fromkeys(variants)]
    stages = stages or list(STAGES)
    if "snapshot_prefix" in chosen and (len(stages) > 1 or stages[0].is_ensemble):
        raise UsageError("--snapshot-prefix is for one solver; these would share their snapshots")
    overrides = Overrides(
        batch_size=batch_size,
        epochs=epochs,
        std=std,
        solver=chosen,
        searched={} if searched is None else searched.solver,
    )
    described = dataset.describe(data, classes)
    files = generator.generate(out, described, stages, overrides)
    if data is None and classes is None:
        generator.require_same_classes(files, described, out)
    if searched is not None:
        _warn_of_overrides(str(overrides_file), searched, data or DATA_ROOT, stages)
    if not check:
        generator.write(files)
        for folder in sorted({path.parent for path in files}):
            click.echo(f"{folder}: {', '.join(p.name for p in files if p.parent == folder)}")
        for each in stages:
            if each.max_norm is not None:
                solver = StagePaths(out, each.name).solver
                say(f"train it with: {generator.train_command(each, solver)}")
        return
    lines = generator.drifted(files, out, stages)
    for line in lines:
        click.echo(line)
    if lines:
        raise TinynetError(
            f"{len(lines)} of {len(files)} files under {out} are not as generated; "
            "'tinynet generate' with the same options writes them"
        )


def _warn_of_overrides(
    file: str, searched: SearchedValues, data: Path, stages: list[Stage]
) -> None:
    """Warn where searched values go to other stages, or were chosen on the reported images."""
    # the ensemble's members vary around the last single stage
    others = [s.name for s in stages if (STAGES[-2] if s.is_ensemble else s).name != searched.stage]
    if searched.stage and others:
        say(f"{file} was found for {searched.stage}; {', '.join(others)} take it too")
    chosen = searched.selection_set
    if chosen is None or not DataPaths(data).manifest.exists():
        return
    from tinynet.dataset.manifest import read_manifest
    from tinynet.dataset.selection_set import overlap
    from tinynet.study.settings import splits_of

    reported, _ = splits_of(read_manifest(data))
    if not DataPaths(data).lmdb(reported.name).is_dir():
        return
    shared = overlap(chosen, data, reported.name)
    if shared:
        say(
            f"{file}: was chosen on {shared:,} of the {reported.images:,} images of {data}'s "
            f"{reported.name}, so that accuracy measured there is optimistic"
        )
