"""The host's share of an iteration on a GPU, measured without one (torchcaffe/no_kernels.py)."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tinynet.bench.bench import Bench, plain_torch
from tinynet.bench.rounds import HOST, Entry, Row, alternate
from tinynet.bench.stage_files import stage_files
from tinynet.caffeformat import schema, text
from tinynet.dataset import synthetic
from tinynet.dataset.paths import DataPaths
from tinynet.engine.discovery import Engine
from tinynet.engine.process import start_worker
from tinynet.experiment.paths import StagePaths
from tinynet.experiment.solvers import Overrides

# so few images that the first epoch, which moves them to the device, is soon over
_IMAGES = synthetic.Sizes(classes=10, train_per_class=2, val_per_class=2, test_per_class=1)
_WARM_UP = 30  # iterations of batch 1, more than an epoch
_ONE_THREAD = {"OMP_NUM_THREADS": "1"}


def rows(bench: Bench, engine: Engine, size: int) -> list[Row]:
    """Training and evaluation of stages 1 and 7, batch 1; a round is ``size`` iterations."""
    data = few_images(bench.scratch)
    found = []
    for number in (1, 7):
        solver = single_images(bench.scratch, data, number).solver
        for what in ("train", "evaluate"):
            part = f"host, {what} stage {number}"
            plain = Row(part, "plain PyTorch", HOST)
            ours = Row(part, "torchcaffe", HOST, of=plain.name)
            graph = Row(part, "torchcaffe, CUDA graph", HOST, of=plain.name)
            work = ["bench", f"host-{what}", f"--solver={solver}", f"--warm-up={_WARM_UP}"]
            worker = partial(start_worker, engine, work, threads=1, with_input=True)
            script = plain_torch("meta", f"host-{what}", str(number), variables=_ONE_THREAD)
            entries: list[Entry] = [
                (ours, partial(worker, variables={"TINYNET_CUDA_GRAPHS": "0"}), size),
                (graph, worker, size),
                (plain, script, size),
            ]
            found += alternate(entries, bench.rounds, bench.say)
    return found


def few_images(scratch: Path) -> DataPaths:
    from tinynet.dataset.convert import convert

    synthetic.synthesize(scratch / "few", _IMAGES)
    convert(scratch / "few", scratch / "few-lmdb", jobs=1)
    return DataPaths(scratch / "few-lmdb")


def single_images(scratch: Path, data: DataPaths, number: int) -> StagePaths:
    """The files of a stage with batches of 1, and with its test net, which never runs."""
    never = {"test_interval": 2**31 - 1, "test_initialization": False}
    overrides = Overrides(batch_size=1, solver=never)
    paths = stage_files(
        scratch / "host-prototxt", data, number, overrides, without=("snapshot", "display")
    )
    net = text.read(paths.train_val, schema.NetParameter)
    for layer in net.layer:
        if layer.type == "Data":
            layer.data_param.batch_size = 1
    text.write(paths.train_val, net)
    return paths
