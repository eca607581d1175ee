"""What is measured: each part is a method that returns the rows of its contestants."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

from tinynet.bench import conversion, host, on_gpu, scaling, side_by_side, subset_search
from tinynet.bench.competitors import competitors
from tinynet.bench.rounds import HOST, LIMIT, Row, Say, Start, alternate
from tinynet.dataset.paths import DataPaths
from tinynet.engine import discovery
from tinynet.engine.discovery import Engine
from tinynet.engine.process import WorkerProcess, start_worker
from tinynet.errors import TinynetError
from tinynet.experiment.paths import StagePaths

PARTS = ("gemm", "train", "solvers", "jobs", "host", "reader", "crops", "convert", "subsets")
BATCH = 128
# on a GPU a round is so many times as long, or most of it would be the wait for its end
_ON_GPU = 100
_PLAIN_TORCH = Path(__file__).with_name("plain_torch.py")


@dataclass
class Bench:
    """One run of the bench; files go into ``scratch``, ``folder`` is the unpacked data set."""

    scratch: Path
    folder: Path
    rounds: int
    quick: bool
    caffe_python: str | None
    caffe_tools: Path | None
    say: Say
    gpu: int | None = None  # on which nets and products are measured; None: on the CPU
    busy: int = 0  # competing processes beside every contestant
    at_once: int = 2  # trainings side by side, of the part jobs
    _gemm: tuple[float, ...] = (0.0, 0.0)  # operations a second, float32 and bfloat16
    _steps: dict[str, float] = field(default_factory=dict)  # img/s of training, by the part's name

    def run(self, part: str) -> list[Row]:
        """The rows of a part of PARTS."""
        if self.busy:
            _ = self.data  # made before, in no need of company
        with competitors(self.busy):
            return getattr(self, part)()

    # --- what the parts need

    @cached_property
    def data(self) -> DataPaths:
        """The data set, converted once."""
        from tinynet.dataset.convert import convert

        self.say("converting the data set")
        convert(self.folder, self.scratch / "lmdb", jobs=1)
        return DataPaths(self.scratch / "lmdb")

    def _torch(self) -> Engine | None:
        try:
            return discovery.find_torch()
        except TinynetError:
            return None

    def _caffe(self) -> Engine | str:
        """Real Caffe, or why there is none."""
        try:
            return discovery.find_caffe(self.caffe_python)
        except TinynetError as error:
            return str(error)

    def prototxt(self, number: int, batch: int = BATCH) -> tuple[StagePaths, float]:
        """The files of a stage, and the useful operations of its training an image.

        ``batch``: of training, where it is not the stage's own.

        Three products for each multiply-add of the forward pass (outputs, gradients of the weights
        and of the inputs), less the gradient of the images themselves, which nobody needs.
        """
        from tinynet.caffeformat import schema, shapes, text
        from tinynet.experiment import generate
        from tinynet.experiment.data_description import describe
        from tinynet.experiment.stages import STAGES

        root = self.scratch / ("prototxt" if batch == BATCH else f"prototxt-batch-{batch}")
        stage = next(stage for stage in STAGES if stage.number == number)
        files = generate.generate(root, describe(self.data.root), [stage])
        generate.write(files)
        paths = StagePaths(root, stage.name)
        solver = text.read(paths.solver, schema.SolverParameter)
        for unneeded in ("test_iter", "test_interval", "snapshot", "display"):
            solver.ClearField(unneeded)
        text.write(paths.solver, solver)
        net = text.read(paths.train_val, schema.NetParameter)
        if batch != BATCH:
            for layer in net.layer:
                if layer.type == "Data" and schema.TRAIN in [rule.phase for rule in layer.include]:
                    layer.data_param.batch_size = batch
            text.write(paths.train_val, net)
        layers = [layer for layer in shapes.infer(net, schema.TRAIN).layers if layer.multiply_adds]
        total = sum(layer.multiply_adds for layer in layers)
        return paths, 2.0 * (3 * total - layers[0].multiply_adds) / batch

    @property
    def train_images(self) -> int:
        from tinynet.experiment.data_description import describe

        return describe(self.data.root).train_images

    def worker(
        self, engine: Engine, *arguments: str | Path, variables: Mapping[str, str] | None = None
    ) -> Start:
        given = ["bench", *map(str, arguments), f"--scratch={self.scratch}"]
        if self.gpu is not None:
            given.append(f"--gpu={self.gpu}")
        return partial(start_worker, engine, given, with_input=True, variables=variables)

    def plain(self, *arguments: str | Path) -> Start:
        device = "cpu" if self.gpu is None else f"cuda:{self.gpu}"
        command = [sys.executable, str(_PLAIN_TORCH), device, *map(str, arguments)]
        engine = Engine("plain PyTorch", "torch", sys.executable, "")
        return partial(WorkerProcess, engine, command, with_input=True)

    def _size(self, quick: int, full: int) -> int:
        """How much a round is of."""
        return (quick if self.quick else full) * (1 if self.gpu is None else _ON_GPU)

    # --- the parts

    def gemm(self) -> list[Row]:
        rows = [
            Row("gemm", name, "FLOP", of="float32")
            for name in ("float32", "bfloat16", *self._gpus_own())
        ]
        if self._torch() is None:
            return _skip(rows, "torch is not installed")
        entries = [(row, self.plain("gemm", row.name), self._size(4, 4)) for row in rows]
        alternate(entries, self.rounds, self.say)
        self._gemm = tuple(row.rate or 0.0 for row in rows[:2])
        return rows

    def _gpus_own(self) -> tuple[str, ...]:
        """Arithmetics that a GPU has and a CPU has not."""
        return () if self.gpu is None else ("tf32",)

    def _no_bfloat16(self) -> str:
        """Why bfloat16 is not measured; "" where the processor is at least as fast in it."""
        single, half = self._gemm
        if half >= single:
            return ""
        which = "processor" if self.gpu is None else "GPU"
        share = half / (single or 1)
        return f"this {which} multiplies matrices in bfloat16 at {share:.3f} of float32's rate"

    def train(self) -> list[Row]:
        torch = self._torch()
        if self.gpu is None or torch is None:
            return [row for number in (1, 7) for row in self._train(number)]
        found = []
        for number in (1, 7):
            for batch in on_gpu.BATCHES:
                found += on_gpu.rows(self, torch, number, batch)
        for row in found:
            if row.name == "torchcaffe float32" and row.rate:
                self._steps[row.part] = row.rate
        return found

    def _train(self, number: int) -> list[Row]:
        paths, flop = self.prototxt(number)
        part = f"train stage {number}"
        names = ("torchcaffe float32", "real Caffe", "plain PyTorch", "torchcaffe bfloat16")
        ours, real, plain, bf16 = (
            Row(part, name, "img", flop=flop, of="real Caffe") for name in names
        )
        limit = Row(part, LIMIT, "FLOP")
        entries: list[tuple[Row, Start, int]] = []
        torch, caffe = self._torch(), self._caffe()
        size = self._size(1, 2)
        solver = f"--solver={paths.solver}"
        if torch is None:
            _skip([limit, ours, plain, bf16], "torch is not installed")
        else:
            entries.append((limit, self.plain("gemm", "float32"), self._size(6, 6)))
            entries.append((ours, self.worker(torch, "train", solver), size))
            entries.append((plain, self.plain("train", str(number), self.folder), size))
            bf16.skipped = self._no_bfloat16()
            if not bf16.skipped:
                entries.append(
                    (bf16, self.worker(torch, "train", solver, "--precision=bf16"), size)
                )
        if isinstance(caffe, str):
            _skip([real], caffe)
        else:
            entries.append((real, self.worker(caffe, "train", solver), size))
        alternate(entries, self.rounds, self.say)
        if real.rate is None:
            for row in (ours, bf16):
                row.of = plain.name
            plain.of = ""
        if ours.rate:
            self._steps[part] = ours.rate
        return [limit, ours, real, plain, bf16]

    def solvers(self) -> list[Row]:
        torch, row = self._torch(), Row("solvers", "2 solvers", "img")
        if torch is None:
            return _skip([row], "torch is not installed")
        if self.gpu is not None:
            return _skip([row], "measured on CPUs alone; leave out --gpu")
        size = 1 if self.quick else 2
        return scaling.rows(torch, self.data, self.scratch, self.rounds, size, self.say)

    def jobs(self) -> list[Row]:
        torch, row = self._torch(), Row("jobs", "trainings side by side", "img")
        if torch is None:
            return _skip([row], "torch is not installed")
        if self.gpu is not None:
            return _skip([row], "measured on CPUs alone; leave out --gpu")
        solver, size = self.prototxt(7)[0].solver, self._size(1, 2)
        given = self.at_once, self.rounds
        return [
            *side_by_side.trainings(torch, solver, *given, size, self.say),
            *side_by_side.jobs(self.data, self.scratch, *given, 2 * size, self.say),
        ]

    def host(self) -> list[Row]:
        torch = self._torch()
        if torch is None:
            return _skip([Row("host", "torchcaffe", HOST)], "torch is not installed")
        return host.rows(torch, self.scratch, self.rounds, 50 if self.quick else 400, self.say)

    def reader(self) -> list[Row]:
        from tinynet.caffeformat import schema, text

        paths, _ = self.prototxt(7)
        net = text.read(paths.train_val, schema.NetParameter)
        del net.layer[1:]
        alone = self.scratch / "reader.prototxt"
        text.write(alone, net)
        rows = self._in_both("reader", "reader", f"--model={alone}", self._size(20, 100))
        if rows[0].rate:
            rows[0].shares = {part: rate / rows[0].rate for part, rate in self._steps.items()}
        return rows

    def _in_both(self, part: str, work: str, model: str, size: int) -> list[Row]:
        ours = Row(part, "torchcaffe Data layer", "img", of="real Caffe Data layer")
        real = Row(part, "real Caffe Data layer", "img")
        entries: list[tuple[Row, Start, int]] = []
        torch, caffe = self._torch(), self._caffe()
        if torch is None:
            ours.skipped = "torch is not installed"
        else:
            entries.append((ours, self.worker(torch, work, model), size))
        if isinstance(caffe, str):
            real.skipped = caffe
        else:
            entries.append((real, self.worker(caffe, work, model), size))
        alternate(entries, self.rounds, self.say)
        return [ours, real]

    def crops(self) -> list[Row]:
        model = f"--model={self.prototxt(7)[0].deploy}"
        part, peer = "10 crops, stage 7", "real Caffe Classifier"
        ours = [
            (Row(part, "torchcaffe, shared", "img", of=peer), "shared-crops"),
            (Row(part, "torchcaffe, crop by crop", "img", of=peer), "plain-crops"),
            (Row(part, "torchcaffe, one crop only", "img", of=peer), "one-crop"),
        ]
        bf16 = Row(part, "torchcaffe, shared, bfloat16", "img", of=peer)
        real = Row(part, peer, "img")
        torch, caffe = self._torch(), self._caffe()
        entries: list[tuple[Row, Start, int]] = []
        if torch is None:
            _skip([*(row for row, _ in ours), bf16], "torch is not installed")
        else:
            size = self._size(1, 1)
            entries += [(row, self.worker(torch, work, model), size) for row, work in ours]
            bf16.skipped = self._no_bfloat16()
            if not bf16.skipped:
                start = self.worker(torch, "shared-crops", model, "--precision=bf16")
                entries.append((bf16, start, size))
        if isinstance(caffe, str):
            real.skipped = caffe
        else:
            entries.append((real, self.worker(caffe, "classifier", model), self._size(1, 1)))
        alternate(entries, self.rounds, self.say)
        return [*(row for row, _ in ours), bf16, real]

    def convert(self) -> list[Row]:
        return conversion.rows(self.folder, self.scratch, self.caffe_tools, self.rounds, self.say)

    def subsets(self) -> list[Row]:
        few = 100 if self.quick else 10_000
        return [
            subset_search.row(11, few, self.rounds, self.say),
            subset_search.row(20, few, 1, self.say),
        ]


def _skip(rows: list[Row], reason: str) -> list[Row]:
    for row in rows:
        row.skipped = reason
    return rows
