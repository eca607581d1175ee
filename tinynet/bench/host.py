"""The host's share of an iteration on a GPU, measured without one (torchcaffe/no_kernels.py)."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

import tinynet
from tinynet.bench.rounds import HOST, Row, Say, Start, alternate
from tinynet.dataset import synthetic
from tinynet.dataset.paths import DataPaths
from tinynet.engine.discovery import Engine
from tinynet.engine.process import WorkerProcess, start_worker
from tinynet.experiment.paths import StagePaths

# so few images that the first epoch, which brings them to the device, is soon over
_IMAGES = synthetic.Sizes(classes=10, train_per_class=2, val_per_class=2, test_per_class=1)
_WARM_UP = 30  # iterations of batch 1, more than an epoch
_PLAIN_TORCH = Path(__file__).with_name("plain_torch.py")


def rows(engine: Engine, scratch: Path, rounds: int, size: int, say: Say) -> list[Row]:
    """Training and evaluation of stages 1 and 7, batch 1; a round is ``size`` iterations."""
    data = _data(scratch)
    found = []
    for number in (1, 7):
        paths = _prototxt(scratch, data, number)
        for what in ("train", "evaluate"):
            part = f"host, {what} stage {number}"
            plain = Row(part, "plain PyTorch", HOST)
            ours = Row(part, "torchcaffe", HOST, of=plain.name)
            graph = Row(part, "torchcaffe, CUDA graph", HOST, of=plain.name)
            work = ["bench", f"host-{what}", f"--solver={paths.solver}", f"--warm-up={_WARM_UP}"]
            worker = partial(start_worker, engine, work, threads=1, with_input=True)
            entries: list[tuple[Row, Start, int]] = [
                (ours, partial(worker, variables={"TINYNET_CUDA_GRAPHS": "0"}), size),
                (graph, worker, size),
                (plain, _plain(f"host-{what}", number), size),
            ]
            found += alternate(entries, rounds, say)
    return found


def _data(scratch: Path) -> DataPaths:
    from tinynet.dataset.convert import convert

    synthetic.synthesize(scratch / "few", _IMAGES)
    convert(scratch / "few", scratch / "few-lmdb", jobs=1)
    return DataPaths(scratch / "few-lmdb")


def _prototxt(scratch: Path, data: DataPaths, number: int) -> StagePaths:
    """The files of a stage, with batches of 1 and nothing but training and a test net."""
    from tinynet.caffeformat import schema, text
    from tinynet.experiment import generate
    from tinynet.experiment.data_description import describe
    from tinynet.experiment.stages import STAGES

    root = scratch / "host-prototxt"
    stage = next(stage for stage in STAGES if stage.number == number)
    generate.write(generate.generate(root, describe(data.root), [stage]))
    paths = StagePaths(root, stage.name)
    net = text.read(paths.train_val, schema.NetParameter)
    for layer in net.layer:
        if layer.type == "Data":
            layer.data_param.batch_size = 1
    text.write(paths.train_val, net)
    solver = text.read(paths.solver, schema.SolverParameter)
    for unneeded in ("snapshot", "display"):
        solver.ClearField(unneeded)
    solver.test_interval, solver.test_initialization = 2**31 - 1, False
    text.write(paths.solver, solver)
    return paths


def _plain(what: str, number: int) -> Start:
    command = [sys.executable, str(_PLAIN_TORCH), "meta", what, str(number)]
    # it takes the measuring from the package, which need not be installed
    package = str(Path(tinynet.__file__).resolve().parent.parent)
    path = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
    variables = {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    engine = Engine("plain PyTorch", "torch", sys.executable, "")
    return partial(WorkerProcess, engine, command, with_input=True, variables=variables)
