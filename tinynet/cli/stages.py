"""The commands ``stages`` and ``diff``: what the eight stages are, and what each one changes."""

from __future__ import annotations

import difflib
import json
import textwrap
from pathlib import Path
from typing import Any

import click

from tinynet.caffeformat import schema, shapes
from tinynet.cli import shared_options
from tinynet.cli.click_extensions import FOLDER
from tinynet.experiment import data_description as dataset
from tinynet.experiment import generate as generator
from tinynet.experiment import nets
from tinynet.experiment.assumptions import ASSUMPTIONS
from tinynet.experiment.hyperparameters import BATCH_SIZE, LARGEST_COUNT
from tinynet.experiment.paths import PROTOTXT_ROOT, StagePaths
from tinynet.experiment.stages import STAGES, Stage
from tinynet.experiment.stages import member as member_of
from tinynet.experiment.stages import stage as stage_of
from tinynet.report.table import as_text, of_texts

DATA_OPTION = click.option(
    "--data",
    type=FOLDER,
    help="Converted data set to take classes and sizes from, as 'tinynet generate' does.",
)
CLASSES_OPTION = click.option(
    "--classes", type=click.IntRange(2, LARGEST_COUNT), help="Number of classes."
)


@click.command(
    epilog=shared_options.example(
        "tinynet stages", "tinynet stages --stage 7", "tinynet stages --assumptions"
    )
)
@click.option("--stage", "number", type=int, help="Only this stage, 1 to 8, layer by layer.")
@click.option(
    "--assumptions", is_flag=True, help="What the paper leaves open, and what was decided."
)
@click.option(
    "--batch-size",
    type=shared_options.COUNT,
    default=BATCH_SIZE,
    help="Images per training iteration, which memory depends on.",
)
@CLASSES_OPTION
@DATA_OPTION
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def stages(
    number: int | None,
    assumptions: bool,
    batch_size: int,
    classes: int | None,
    data: Path | None,
    as_json: bool,
) -> None:
    """Show the eight stages of the dissection.

    Multiply-adds are those of one image's forward pass.  Memory is what training holds in
    float32: blobs and parameters with their gradients, and the momentum; buffers of the convolution
    come on top.
    """
    if assumptions:
        _show_assumptions(as_json)
        return
    described = dataset.describe(data, classes)
    chosen = list(STAGES) if number is None else [stage_of(number)]
    summaries = [_summary(stage, described, batch_size) for stage in chosen]
    if as_json:
        click.echo(json.dumps(summaries if number is None else summaries[0], indent=2))
    elif number is None:
        _show_all(summaries, batch_size)
    else:
        _show_one(chosen[0], summaries[0], batch_size)


def _summary(stage: Stage, data: dataset.DataSet, batch_size: int) -> dict[str, Any]:
    """A stage in figures; shapes and multiply-adds of one image, memory in bytes."""
    net = nets.train_val(stage, data, batch_size, test_batch=1, std=stage.hyperparameters.std)
    image = (len(data.mean_values), data.image_size, data.image_size)
    inferred = shapes.infer(net, schema.TRAIN, image)
    return {
        "stage": stage.number,
        "name": stage.name,
        "title": stage.title,
        "change": stage.change,
        "models": stage.members,
        "classes": data.classes,
        "parameters": inferred.parameters,
        "multiply_adds": inferred.multiply_adds // batch_size,
        "training_memory": inferred.training_memory,
        "batch_size": batch_size,
        "layers": [
            {
                "name": layer.name,
                "type": layer.type,
                "top": layer.tops[0][0],
                "shape": list(layer.tops[0][1][1:]),
                "parameters": layer.parameter_count,
                "multiply_adds": layer.multiply_adds // batch_size,
            }
            for layer in inferred.layers
        ],
    }


def _shape(sizes: list[int]) -> str:
    return "x".join(map(str, sizes)) or "1"


def _millions(count: int) -> str:
    return f"{count / 1e6:.1f} M"


def _show_all(summaries: list[dict[str, Any]], batch_size: int) -> None:
    rows = []
    for summary in summaries:
        blocks = [x for x in summary["layers"] if x["type"] in ("Pooling", "InnerProduct")]
        times = f"{summary['models']} x " if summary["models"] > 1 else ""
        rows.append(
            [
                summary["name"],
                summary["change"],
                " ".join(_shape(layer["shape"]) for layer in blocks),
                f"{times}{summary['parameters']:,}",
                times + _millions(summary["multiply_adds"]),
                f"{summary['training_memory'] / 2**20:.0f} MiB",
            ]
        )
    header = ["stage", "change", "output shapes", "parameters", "multiply-adds", "memory"]
    click.echo(as_text(of_texts(header, rows, right=(3, 4, 5), wrap=(1, 2))))
    click.echo(
        "\nOutput shapes: after each pooling and fully connected layer.  Multiply-adds: one "
        f"image, forward.\nMemory: training with a batch of {batch_size}, one model at a time.  "
        f"All for nets of {summaries[0]['classes']} classes."
    )


def _show_one(stage: Stage, summary: dict[str, Any], batch_size: int) -> None:
    click.echo(f"Stage {stage.number}, {stage.title.removeprefix('+ ')}: {stage.change}")
    settings = stage.hyperparameters
    schedule = f"{settings.epochs} epochs"
    if settings.drops:
        epochs = ", ".join(map(str, settings.drops))
        schedule += f", learning rate x {settings.gamma:g} after epochs {epochs}"
    click.echo(
        f"std {settings.std:g}, base_lr {settings.base_lr:g}, "
        f"weight_decay {settings.weight_decay:g}, {schedule}\n"
    )
    rows = [
        [
            layer["name"],
            layer["type"],
            layer["top"],
            _shape(layer["shape"]),
            f"{layer['parameters']:,}" if layer["parameters"] else "",
            f"{layer['multiply_adds']:,}" if layer["multiply_adds"] else "",
        ]
        for layer in summary["layers"]
    ]
    total = [f"{summary[key]:,}" for key in ("parameters", "multiply_adds")]
    rows.append(["sum", "", "", "", *total])
    header = ["layer", "type", "top", "shape", "parameters", "multiply-adds"]
    click.echo(as_text(of_texts(header, rows, right=(4, 5))))
    memory = summary["training_memory"] / 2**20
    click.echo(f"\nTraining with a batch of {batch_size} holds {memory:.0f} MiB.")


def _show_assumptions(as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([row._asdict() for row in ASSUMPTIONS], indent=2))
        return
    for row in ASSUMPTIONS:
        click.secho(f"{row.question}: {row.decision}", bold=True)
        click.echo(textwrap.fill(row.reason, 92, initial_indent="    ", subsequent_indent="    "))


@click.command(epilog=shared_options.example("tinynet diff 5 6", "tinynet diff 7 8 --member 3"))
@click.argument("before", type=int)
@click.argument("after", type=int)
@click.option("--member", type=int, default=1, help="Which member of stage 8.")
@CLASSES_OPTION
@DATA_OPTION
def diff(before: int, after: int, member: int, classes: int | None, data: Path | None) -> None:
    """Show what stage AFTER changes in stage BEFORE's train_val, deploy and solver prototxt.

    The texts are those that 'tinynet generate' would write, whatever is on disk.
    """
    described = dataset.describe(data, classes)
    old, new = (_texts(stage_of(number), member, described) for number in (before, after))
    for (old_path, old_text), (new_path, new_text) in zip(old.items(), new.items()):
        lines = difflib.unified_diff(
            old_text.splitlines(), new_text.splitlines(), str(old_path), str(new_path), lineterm=""
        )
        for line in lines:
            click.echo(_coloured(line))


def _texts(stage: Stage, member: int, data: dataset.DataSet) -> dict[Path, str]:
    """The three files of a stage, or of one of its members."""
    number = member_of(member).number if stage.is_ensemble else None
    folder = StagePaths(PROTOTXT_ROOT, stage.name, number).folder
    files = generator.generate(PROTOTXT_ROOT, data, [stage])
    return {path: text for path, text in files.items() if path.parent == folder}


def _coloured(line: str) -> str:
    """Red and green as git has them; click leaves colours out where stdout is no terminal."""
    colour = {"-": "red", "+": "green", "@": "cyan"}.get(line[:1])
    return click.style(line, fg=colour) if colour else line
