"""Measures how many images a second one solver trains here, from a few timed iterations."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tinynet.bench.rounds import Contestant, Row
from tinynet.bench.stage_files import UNTIMED
from tinynet.caffeformat import schema, text
from tinynet.engine.discovery import Engine
from tinynet.engine.process import start_worker
from tinynet.errors import TinynetError

_SECONDS = 4.0  # how long to measure,
_ROUNDS = 3  # and at least how many iterations; their median counts


def training_rate(
    engine: Engine,
    net: schema.NetParameter,
    solver: schema.SolverParameter,
    options: Sequence[str] = (),
) -> float:
    """Images a second of training a net by a solver, without tests or snapshots.

    ``options``: of a worker, as in ["--gpu=0"].  Raises TinynetError if the engine
    cannot train it.
    """
    with tempfile.TemporaryDirectory(prefix="tinynet-pace-") as name:
        scratch = Path(name)
        text.write(scratch / "train_val.prototxt", net)
        schema.clear(solver, UNTIMED)
        solver.net = str(scratch / "train_val.prototxt")
        solver.snapshot_prefix = str(scratch / "snapshot")
        text.write(scratch / "solver.prototxt", solver)
        arguments = ["bench", "train", f"--solver={scratch / 'solver.prototxt'}", *options]
        row = Row("pace", "training", "img")
        contestant = Contestant(row, partial(start_worker, engine, arguments, with_input=True), 1)
        try:
            start = time.monotonic()
            while not row.skipped and (
                len(row.rates) < _ROUNDS or time.monotonic() - start < _SECONDS
            ):
                contestant.round()
        finally:
            contestant.close()
    if row.rate is None:
        raise TinynetError(f"{net.name}: cannot be timed: {row.skipped}")
    return row.rate
