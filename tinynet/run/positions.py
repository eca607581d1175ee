"""Where a snapshot's nets stood in their data, for an engine that does not say so itself.

Real Caffe starts every LMDB anew at a resume.  What its Data layers had given before the snapshot
follows from the solver, so that running those layers alone brings them back to the right record.
Random states do not come back, and ``lost`` says what is drawn anew because of that.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinynet.caffeformat import phases, schema
from tinynet.caffeformat.lmdb import open_store
from tinynet.run.prepare import Prepared

_READERS = ("ImageData", "HDF5Data", "WindowData")  # positions that cannot be counted from here


@dataclass(frozen=True)
class Skip:
    """Batches that a Data layer has to give before it stands where it stood."""

    net: int  # 0: the training net; K: the test net K - 1
    layer: str
    batches: int

    def __str__(self) -> str:
        return f"{self.net}:{self.layer}:{self.batches}"


def skips(prepared: Prepared, iteration: int) -> list[Skip]:
    """For every Data layer what it gave before ``iteration``, without whole rounds of its data."""
    found = []
    for net, given, layer in _data_layers(prepared, iteration):
        parameter = layer.data_param
        records = 0
        if parameter.backend == schema.DataParameter.LMDB:
            with open_store(Path(parameter.source)) as store:
                records = len(store)
        if records and parameter.batch_size:
            # after so many batches a round ends with a batch, and all begins again
            given %= records // math.gcd(records, parameter.batch_size)
        found.append(Skip(net, layer.name, given))
    return found


def tests_before(solver: Any, iteration: int) -> int:
    """How often the test nets have been tested when the solver comes to ``iteration``."""
    every = solver.test_interval
    if every <= 0:
        return 0
    return len(range(0 if solver.test_initialization else every, iteration, every))


def lost(prepared: Prepared) -> list[str]:
    """What in an inexact resume is drawn anew, or begins anew: [] where nothing is."""
    found = []
    layers = list(phases.layers_of(prepared.train_net, schema.TRAIN))
    for layer in layers:
        if layer.type in _READERS:
            found.append(f"the position of layer '{layer.name}' ({layer.type})")
    transforms = [layer.transform_param for layer in layers]
    if any(transform.crop_size for transform in transforms):
        found.append("crops")
    if any(transform.mirror for transform in transforms):
        found.append("mirrors")
    if any(layer.type == "Dropout" for layer in layers):
        found.append("dropout masks")
    if any(layer.type == "Python" for layer in layers):
        found.append("what layers in Python draw")
    return found


def _data_layers(prepared: Prepared, iteration: int) -> Iterator[tuple[int, int, Any]]:
    """(number of the net, batches given before ``iteration``, layer) of every Data layer."""
    solver = prepared.solver
    tests = tests_before(solver, iteration)
    nets = [(prepared.train_net, schema.TRAIN, iteration * solver.iter_size)]
    for index, net in enumerate(prepared.test_nets):
        batches = solver.test_iter[index] if index < len(solver.test_iter) else 0
        nets.append((net, schema.TEST, tests * batches))
    for number, (net, phase, given) in enumerate(nets):
        for layer in phases.layers_of(net, phase):
            if layer.type == "Data":
                yield number, given, layer
