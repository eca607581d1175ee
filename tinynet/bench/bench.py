"""One run of the bench: what its parts share, and how they start their contestants."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Union

import tinynet
from tinynet.bench.rounds import Say, Start
from tinynet.bench.stage_files import stage_files
from tinynet.dataset.paths import DataPaths
from tinynet.engine import discovery
from tinynet.engine.discovery import Engine
from tinynet.engine.process import WorkerProcess, start_worker
from tinynet.errors import TinynetError
from tinynet.experiment.hyperparameters import BATCH_SIZE
from tinynet.experiment.paths import StagePaths
from tinynet.experiment.solvers import Overrides

# on a GPU a round has so many times the work, or most of it would be the wait for its end
_ON_GPU = 100
_PLAIN_TORCH = Path(__file__).with_name("plain_torch.py")

Found = Union[Engine, str]
"""An engine, or why there is none."""


@dataclass
class Bench:
    """The options and the shared data of one run of the bench.

    Files go into ``scratch``; ``folder`` is the unpacked data set.
    """

    scratch: Path
    folder: Path
    rounds: int
    quick: bool
    caffe_python: str | None
    caffe_tools: Path | None
    say: Say
    gpu: int | None = None  # on which nets and products are measured; None: on the CPU
    busy: int = 0  # competing processes beside every contestant
    at_once: int = 2  # trainings at once, in the part jobs
    products: tuple[float, ...] = (0.0, 0.0)  # operations a second, float32 and bfloat16
    steps: dict[str, float] = field(default_factory=dict)  # img/s of training, by the part's name

    @cached_property
    def data(self) -> DataPaths:
        """The data set, converted once."""
        from tinynet.dataset.convert import convert

        self.say("converting the data set")
        convert(self.folder, self.scratch / "lmdb", jobs=1)
        return DataPaths(self.scratch / "lmdb")

    @property
    def train_images(self) -> int:
        from tinynet.experiment.data_description import describe

        return describe(self.data.root).train_images

    @cached_property
    def torch(self) -> Found:
        try:
            return discovery.find_torch()
        except TinynetError:
            return "torch is not installed"

    @cached_property
    def caffe(self) -> Found:
        try:
            return discovery.find_caffe(self.caffe_python)
        except TinynetError as error:
            return str(error)

    def prototxt(self, number: int, batch: int = BATCH_SIZE) -> tuple[StagePaths, float]:
        """The files of a stage, and the useful operations of training it on one image.

        Each multiply-add of the forward pass counts three times (outputs, gradients of the weights
        and of the inputs), less the gradient of the images themselves, which nobody needs.
        """
        from tinynet.caffeformat import schema, shapes, text

        root = self.scratch / f"prototxt-batch-{batch}"
        paths = stage_files(root, self.data, number, Overrides(batch_size=batch))
        net = text.read(paths.train_val, schema.NetParameter)
        layers = [layer for layer in shapes.infer(net, schema.TRAIN).layers if layer.multiply_adds]
        total = sum(layer.multiply_adds for layer in layers)
        return paths, 2.0 * (3 * total - layers[0].multiply_adds) / batch

    def worker(
        self,
        engine: Found,
        *arguments: str | Path,
        variables: Mapping[str, str] | None = None,
        threads: int | None = None,
    ) -> Start | str:
        """What starts a worker of an engine, or why there is none."""
        if isinstance(engine, str):
            return engine
        given = ["bench", *map(str, arguments), f"--scratch={self.scratch}"]
        if self.gpu is not None:
            given.append(f"--gpu={self.gpu}")
        own = partial(start_worker, engine, given, with_input=True)
        return partial(own, threads=threads, variables=variables)

    def plain(self, *arguments: str | Path) -> Start | str:
        """What starts the plain PyTorch script on the bench's device, or why it cannot be."""
        if isinstance(self.torch, str):
            return self.torch
        return plain_torch("cpu" if self.gpu is None else f"cuda:{self.gpu}", *arguments)

    def bfloat16(self, start: Start | str) -> Start | str:
        """``start``, or why it is not measured: the device is slower in bfloat16 than in float32.

        The part gemm, which runs before, has measured that.
        """
        single, half = self.products
        if half >= single:
            return start
        which = "processor" if self.gpu is None else "GPU"
        share = half / (single or 1)
        return f"this {which} multiplies matrices in bfloat16 at {share:.3f} of float32's rate"

    def size(self, quick: int, full: int) -> int:
        """The size of a round."""
        return (quick if self.quick else full) * (1 if self.gpu is None else _ON_GPU)


def plain_torch(
    device: str, *arguments: str | Path, variables: Mapping[str, str] | None = None
) -> Start:
    """What starts ``plain_torch.py``, by its path."""
    command = [sys.executable, str(_PLAIN_TORCH), device, *map(str, arguments)]
    # it imports a module of the package, which need not be installed
    package = str(Path(tinynet.__file__).resolve().parent.parent)
    path = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
    engine = Engine("plain PyTorch", "torch", sys.executable, "")
    own = {"PYTHONPATH": path, **(variables or {})}
    return partial(WorkerProcess, engine, command, with_input=True, variables=own)
