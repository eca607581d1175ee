"""``tinynet parity``."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import click

from tinynet import files
from tinynet.cli import shared_options
from tinynet.cli.click_extensions import PATH, RenamedOption
from tinynet.cli.messages import show
from tinynet.errors import TinynetError, UsageError

if TYPE_CHECKING:
    from tinynet.study.engine_parity import Comparison, ParityReport

_ROWS = 20


@click.command(
    epilog=shared_options.example(
        "tinynet parity prototxt/stage7_dropout2/solver.prototxt --max-iter 20"
    ),
)
@click.argument("solver", type=PATH)
@click.option(
    "--max-iter",
    "iterations",
    cls=RenamedOption,
    former=["--iterations"],
    type=shared_options.COUNT,
    default=100,
    help="How long both train.",
)
@click.option(
    "--from",
    "start",
    type=PATH,
    metavar="FILE",
    help="Start from a .caffemodel's weights or a .solverstate.",
)
@click.option(
    "--nudge",
    type=shared_options.Finite(),
    help="Run real Caffe once more with X (say 1e-6) added to one weight: the yardstick.",
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    help="Run real Caffe once more on N threads of its BLAS: another yardstick.",
)
@click.option("--seed", type=shared_options.SEED, help="Random seed of all runs.")
@shared_options.assignments
@shared_options.caffe_python
@shared_options.gpu("Run the torch engine on")
@click.option(
    "--display",
    "every",
    cls=RenamedOption,
    former=["--every"],
    type=click.IntRange(min=1),
    help="Show each Nth iteration.",
)
@click.option("--figure", type=PATH, metavar="PNG", help="Draw the curves as well.")
@click.option(
    "--strict", is_flag=True, help="Exit with 1 where losses or displacements are beyond a limit."
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def parity(
    solver: Path,
    iterations: int,
    nudge: float | None,
    threads: int | None,
    seed: int | None,
    assignments: tuple[str, ...],
    every: int | None,
    figure: Path | None,
    strict: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Run a solver in real Caffe and in the torch engine from one seed; show how they differ.

    Both train on the CPU from the same prototxt, random numbers and data.  Shown are both losses,
    how far each parameter moved in real Caffe (the norm of its last minus its first value) and how
    far the torch engine's displacement is from that (relative, L2).  With --nudge or --threads real
    Caffe also runs against itself: rounding errors grow with every update, so two right engines
    need be no nearer than that.  Another number of threads only changes the order in which its BLAS
    adds up.
    """
    from tinynet.study import engine_parity

    if nudge == 0:
        raise UsageError(f"--nudge {nudge}: give what is added to a weight, as in --nudge 1e-6")
    if nudge and threads:
        raise UsageError("--nudge and --threads: give one of them; there is one yardstick a run")
    if figure is not None:
        from tinynet.report import canvas

        canvas.require_format(figure)
        files.require_writable(figure.parent)
    overrides = shared_options.overrides(assignments, random_seed=seed)
    request = engine_parity.ParityRequest(
        solver=solver,
        iterations=iterations,
        nudge=nudge or 0.0,
        threads=threads,
        overrides=overrides,
        **options,
    )
    with _progress(iterations) as tell:
        report = engine_parity.run(request, tell)
    if figure is not None:
        from tinynet.report.parity_figure import draw_parity

        canvas.save(draw_parity(report), figure)
    click.echo(json.dumps(_as_dict(report), allow_nan=False) if as_json else _text(report, every))
    if strict and not report.torch.agrees:
        raise TinynetError(f"{solver}: {_verdict(report.torch)}")


@contextlib.contextmanager
def _progress(total: int) -> Iterator[Callable[[str, int], None]]:
    """How far each engine is, on one line of a terminal."""
    done: dict[str, int] = {}

    def tell(label: str, iterations: int) -> None:
        done[label] = iterations
        show(", ".join(f"{name} {done[name]}/{total}" for name in sorted(done)))

    try:
        yield tell
    finally:
        show("")


def _text(report: ParityReport, every: int | None) -> str:
    from tinynet.report.table import as_text, of_texts

    reference, torch, yardstick = report.reference, report.torch, report.yardstick
    count = len(reference.losses)
    batch = f", batch {report.batch}" if report.batch else ""
    head = (
        f"{report.net or 'net'}: {count} iterations from {reference.first}, seed {report.seed}"
        f"{batch}\n{reference.engine} against {torch.run.engine}"
    )
    others = [torch] if yardstick is None else [torch, yardstick]
    header = ["iteration", "caffe"]
    for other in others:
        header += [other.run.label, "difference"]
    rows = [
        [
            str(reference.first + i),
            f"{reference.losses[i]:.6f}",
            *(
                text
                for other in others
                for text in (f"{other.run.losses[i]:.6f}", f"{other.differences[i]:.1e}")
            ),
        ]
        for i in _shown(count, every)
    ]
    # runs that have parted may still learn alike, which their means tell
    mean = fmean(reference.losses)
    means = [("mean", f"{mean:.6f}")]
    for other in others:
        mean_of_other = fmean(other.run.losses)
        means.append(
            (f"{mean_of_other:.6f}", f"{abs(mean_of_other - mean) / mean if mean else 0.0:.1e}")
        )
    rows.append([cell for pair in means for cell in pair])
    curves = as_text(of_texts(header, rows, right=range(len(header))))
    header = ["parameter", "displacement", *(f"{other.run.label} apart" for other in others)]
    rows = [
        [
            moved.parameter,
            f"{moved.displacement:.4g}",
            *(f"{other.moved[i].difference:.1e}" for other in others),
        ]
        for i, moved in enumerate(torch.moved)
    ]
    parameters = as_text(of_texts(header, rows, right=range(1, len(header))))
    verdicts = [f"torch: {_verdict(torch)}"]
    if yardstick is not None:
        where = f", in {yardstick.run.nudged}" if yardstick.run.nudged else ""
        what = f"real Caffe, {report.yardstick_differs_by}{where}"
        verdicts.append(f"{what}: {_verdict(yardstick)}")
    return "\n\n".join([head, curves, parameters, "\n".join(verdicts)])


def _shown(count: int, every: int | None) -> list[int]:
    """Which iterations the table shows: the first, the last, and some evenly between."""
    step = every or -(-count // _ROWS)
    return sorted({*range(0, count, step), count - 1})


def _verdict(comparison: Comparison) -> str:
    from tinynet.study.engine_parity import LOSS_LIMIT

    start = ""
    if comparison.run.nudged is None:
        start = f"initial weights {'equal to the bit' if comparison.same_start else 'DIFFER'}, "
    inputs = (
        "inputs equal to the bit throughout"
        if comparison.inputs_differ_from is None
        else f"inputs differ from iteration {comparison.inputs_differ_from} on"
    )
    parted = (
        f"nowhere beyond {LOSS_LIMIT:g}"
        if comparison.losses_differ_from is None
        else f"beyond {LOSS_LIMIT:g} first at iteration {comparison.losses_differ_from}"
    )
    return (
        f"{start}{inputs}; the losses differ by at most {comparison.largest:.1e} "
        f"(iteration {comparison.largest_at}), {parted}; the displacements by at most "
        f"{comparison.worst.difference:.1e} ({comparison.worst.parameter})"
    )


def _as_dict(report: ParityReport) -> dict[str, Any]:
    def number(value: float) -> float | str:
        return value if math.isfinite(value) else str(value)

    def comparison(compared: Comparison) -> dict[str, Any]:
        return {
            "engine": compared.run.engine.name,
            "version": compared.run.engine.version,
            "losses": [number(loss) for loss in compared.run.losses],
            "loss_differences": [number(difference) for difference in compared.differences],
            "largest_loss_difference": number(compared.largest),
            "largest_loss_difference_at": compared.largest_at,
            "losses_differ_from": compared.losses_differ_from,
            "inputs_differ_from": compared.inputs_differ_from,
            "same_initial_weights": compared.same_start,
            "nudged": compared.run.nudged,
            "displacements": {
                moved.parameter: {
                    "norm": number(moved.displacement),
                    "relative_difference": number(moved.difference),
                }
                for moved in compared.moved
            },
            "largest_displacement_difference": number(compared.worst.difference),
            "agrees": compared.agrees,
        }

    return {
        "net": report.net,
        "seed": report.seed,
        "batch": report.batch,
        "first_iteration": report.reference.first,
        "iterations": len(report.reference.losses),
        "caffe": {
            "version": report.reference.engine.version,
            "python": report.reference.engine.python,
            "losses": [number(loss) for loss in report.reference.losses],
        },
        "torch": comparison(report.torch),
        "nudge": report.nudge or None,
        "threads": report.threads,
        "yardstick": None if report.yardstick is None else comparison(report.yardstick),
    }
