"""``tinynet bench``."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinynet.cli import shared_options
from tinynet.cli.click_extensions import PATH, GivenPath, RenamedOption
from tinynet.cli.messages import say, show

if TYPE_CHECKING:
    from tinynet.bench.rounds import Row

PARTS = ("gemm", "train", "solvers", "jobs", "host", "reader", "crops", "convert", "subsets")


@click.command(epilog=shared_options.example("tinynet bench --only crops --only subsets"))
@click.option(
    "--only",
    type=click.Choice(PARTS),
    multiple=True,
    metavar="PART",
    help=f"This part alone (may be given again): {', '.join(PARTS)}.",
)
@click.option(
    "--quick", is_flag=True, help="One short round of everything: a look, not a measurement."
)
@click.option("--rounds", type=click.IntRange(min=1), default=3, help="Rounds of each.")
@click.option(
    "--busy",
    type=click.IntRange(min=0),
    default=0,
    help="Run N processes that compute without a pause beside every contestant.",
)
@click.option(
    "--processes",
    "at_once",
    type=click.IntRange(min=2),
    help="Of the part jobs: N trainings at once, the cores divided among them (default 2).",
)
@click.option(
    "--dataset",
    "data",
    cls=RenamedOption,
    former=["--data"],
    type=PATH,
    metavar="PATH",
    help="Data set, folder or zip.",
)
@shared_options.gpu("Measure nets and products on")
@shared_options.caffe_python
@click.option(
    "--caffe-tools",
    type=GivenPath(exists=True, file_okay=False),
    metavar="DIR",
    help="Folder with Caffe's convert_imageset and compute_image_mean.",
)
@click.option("--json", "as_json", is_flag=True, help="Print all rounds as JSON.")
def bench(
    only: tuple[str, ...],
    quick: bool,
    rounds: int,
    busy: int,
    at_once: int | None,
    data: Path | None,
    gpu: int | None,
    caffe_python: str | None,
    caffe_tools: Path | None,
    as_json: bool,
) -> None:
    """Measure tinynet on this machine, beside real Caffe and a plain PyTorch script.

    Contestants work in turn, a round each.  A ratio compares rates of the same round; the median
    over the rounds counts.  Without --dataset the images are drawn.  What is not installed is
    skipped, with the reason.

    Where training was measured too, the part reader also says what share of a training step the
    Data layer alone would take.  The part solvers compares two processes that train together with
    one that has as many threads.  The part jobs compares --processes N independent trainings at
    once with one that has all threads, and 'tinynet jobs local' on a list of 2N jobs, N at once and
    one after another.  The part host is the CPU time that an iteration of batch 1 takes on the host
    while a device would compute, and how many torch functions it calls; it needs no device.

    With --busy N the machine is shared: N processes multiply matrices at the same priority, one
    thread each.
    """
    from tinynet.bench import parts as measured
    from tinynet.bench.bench import Bench
    from tinynet.bench.images import unpacked
    from tinynet.bench.machine import machine
    from tinynet.engine import devices, discovery

    if caffe_python is not None:
        discovery.find_caffe(caffe_python)  # one that was named must be there
    if gpu is not None:
        devices.require(discovery.find_torch(), gpu)
    parts = [part for part in PARTS if not only or part in only]
    if {"train", "crops"}.intersection(parts) and "gemm" not in parts:
        parts.insert(0, "gemm")  # the limit of training, and whether bfloat16 is worth a try
    if at_once is not None and "jobs" not in parts:
        raise click.UsageError("--processes is for the part jobs, which --only leaves out")
    rounds = 1 if quick else rounds
    minutes = rounds * (5 if "jobs" in parts else 1)  # at most, on two cores
    length = "under two minutes" if quick else f"up to {minutes + 2} minutes"
    say(f"measuring {', '.join(parts)}: {length} on an idle machine")
    rows: list[Row] = []
    try:
        with tempfile.TemporaryDirectory(prefix="tinynet-bench-") as name:
            scratch = Path(name)
            folder = unpacked(data, scratch, quick)
            work = Bench(
                *(scratch, folder, rounds, quick, caffe_python, caffe_tools, show),
                gpu=gpu,
                busy=busy,
                at_once=at_once or 2,
            )
            for part in parts:
                rows += measured.run(work, part)
    finally:  # what was measured before a failure or an interrupt still counts
        show("")
        if rows and as_json:
            record = {"machine": machine(gpu), "rounds": rounds, "quick": quick, "busy": busy}
            click.echo(json.dumps({**record, "rows": [_as_dict(row, rows) for row in rows]}))
        elif rows:
            click.echo(_table(rows, machine(gpu), busy))


def _ratio(row: Row, rows: list[Row]) -> float | None:
    for other in rows:
        if other.part == row.part and other.name == row.of and other is not row:
            return row.times(other)
    return None


def _fraction(row: Row, rows: list[Row]) -> float | None:
    """Useful operations a second, as a share of the machine's own rate of float32 products."""
    from tinynet.bench.rounds import LIMIT

    limit = next((r for r in rows if r.part == row.part and r.name == LIMIT), None)
    share = row.times(limit) if limit and row.flop else None
    return share * row.flop if share else None


def _as_dict(row: Row, rows: list[Row]) -> dict[str, Any]:
    return {
        "part": row.part,
        "name": row.name,
        "unit": f"{row.unit}/s",
        "median": row.rate,
        "rounds": row.rates,
        "ratio_to": row.of or None,
        "ratio": _ratio(row, rows),
        "fraction_of_gemm": _fraction(row, rows),
        "share_of_step": row.shares or None,
        "skipped": row.skipped or None,
        "note": row.note or None,
    }


def _shown(row: Row) -> tuple[str, str, str]:
    """Median, unit, and least to most over the rounds: a rate, or a time (HOST, JOB)."""
    from tinynet.bench.rounds import HOST, JOB

    assert row.rate is not None
    if row.unit in (HOST, JOB):
        unit, each = ("host ms/iteration", 1000) if row.unit == HOST else ("s/job", 1)
        least, most = each / max(row.rates), each / min(row.rates)
        return f"{each / row.rate:.2f}", unit, f"{least:.2f} to {most:.2f}"
    scale, unit = (1e9, "GFLOP/s") if row.unit == "FLOP" else (1, f"{row.unit}/s")
    spread = f"{min(row.rates) / scale:,.1f} to {max(row.rates) / scale:,.1f}"
    return f"{row.rate / scale:,.1f}", unit, spread


def _table(rows: list[Row], here: dict[str, Any], busy: int = 0) -> str:
    from tinynet.report.table import as_text, of_texts

    cells = []
    for row in rows:
        if row.rate is None:
            cells.append([row.part, row.name, "-", "", "", "", f"skipped: {row.skipped}"])
            continue
        ratio, fraction = _ratio(row, rows), _fraction(row, rows)
        rate, unit, spread = _shown(row)
        notes = [f"{ratio:.2f} x {row.of}"] if ratio else []
        notes += [row.note] if row.note else []
        notes += [f"{100 * part:.1f} % of a step of {what}" for what, part in row.shares.items()]
        share = f"{100 * fraction:.0f} %" if fraction else ""
        cells.append([row.part, row.name, rate, unit, spread, share, "; ".join(notes)])
    head = f"{here['processor'] or 'unknown processor'}, {here['cores']} cores"
    if here["instructions"]:
        head += f" ({', '.join(here['instructions'])})"
    if here["gpu"]:
        head += f"; {here['gpu']}"
    if busy:
        head += f"; beside {busy} busy process{'es' if busy > 1 else ''}"
    columns = ["part", "what", "median", "", "rounds", "of GEMM", "beside"]
    return head + "\n\n" + as_text(of_texts(columns, cells, right=(2, 5), wrap=(6,)))
