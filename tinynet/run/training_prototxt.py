"""A solver with its nets, as read from the disk, and the copies that a run makes of them.

The copies in the run directory are what runs.  Their net and snapshot paths lead into that
directory; all other paths (LMDBs, mean files) stay relative to the working directory, as in Caffe.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from tinynet.caffeformat import phases, schema, text, upgrade
from tinynet.errors import TinynetError
from tinynet.run import solver_files
from tinynet.run.paths import RunPaths

# layers that take their batch size from a parameter message of their own
_BATCHED = {
    "Data": "data_param",
    "ImageData": "image_data_param",
    "HDF5Data": "hdf5_data_param",
    "MemoryData": "memory_data_param",
    "WindowData": "window_data_param",
}
_SHAPED = {"DummyData": "dummy_data_param", "Input": "input_param"}
SOFTMAX_LOSS_LIMIT = 87.3  # -ln(FLT_MIN) = 87.3365: where Caffe's softmax loss saturates


@dataclass(frozen=True)
class Source:
    """A file or folder that a data layer reads."""

    path: str
    layer: str
    phase: int
    is_database: bool
    is_mean: bool = False


@dataclass(frozen=True)
class TrainingPrototxt:
    """A solver with its nets and with overrides applied; not yet tied to a run directory."""

    path: Path
    solver: schema.SolverParameter
    train_net: schema.NetParameter
    test_nets: list[schema.NetParameter]
    # nets by their file names in the run directory, and the file that each was read from
    files: dict[str, schema.NetParameter] = field(default_factory=dict)
    read_from: dict[str, str] = field(default_factory=dict)
    deploy: str | None = None  # text of the deploy.prototxt beside the solver
    warm_up: schema.SolverParameter | None = None  # runs first, up to its own max_iter
    notes: list[str] = field(default_factory=list)  # what was upgraded in nets of older formats

    @property
    def net_name(self) -> str:
        return self.train_net.name

    @property
    def batch_size(self) -> int:
        """Images per forward pass of the training net; 0 where no layer states it."""
        return batch_size(self.train_net, schema.TRAIN)

    @property
    def effective_batch(self) -> int:
        """Images per update of one solver: ``iter_size`` passes."""
        return self.batch_size * self.solver.iter_size

    @property
    def divergence_limit(self) -> float | None:
        """Training loss at and above which the run has diverged; None if only NaN shows it.

        A softmax loss over valid labels cannot exceed 87.3365 per image; a net with another loss,
        or with several, has no such bound.
        """
        losses = [
            layer
            for layer in phases.layers_of(self.train_net, schema.TRAIN)
            if layer.type.endswith("Loss") or any(layer.loss_weight)
        ]
        if len(losses) != 1 or losses[0].type != "SoftmaxWithLoss":
            return None
        weight = losses[0].loss_weight[0] if losses[0].loss_weight else 1.0
        parameter = losses[0].loss_param
        averages = (schema.LossParameter.FULL, schema.LossParameter.VALID)
        is_mean = parameter.normalization in averages
        if parameter.HasField("normalize") and not parameter.HasField("normalization"):
            is_mean = parameter.normalize  # the older field: false divides by the batch size only
        if not is_mean or weight <= 0:
            return None
        return SOFTMAX_LOSS_LIMIT * weight

    def with_batch_size(self, size: int) -> TrainingPrototxt:
        """A copy with ``size`` images per forward pass of the training net."""
        net = schema.NetParameter()
        net.CopyFrom(self.train_net)
        for layer in phases.layers_of(net, schema.TRAIN):
            if layer.type in _BATCHED:
                getattr(layer, _BATCHED[layer.type]).batch_size = size
        return replace(self, train_net=net)

    def texts(self, paths: RunPaths) -> dict[str, str]:
        """The prototxt files of a run in the directory ``paths``, by file name."""
        files = {name: text.format(net) for name, net in self.files.items()}
        if self.deploy is not None:
            files[paths.deploy.name] = self.deploy
        if self.warm_up is not None:
            files[paths.warm_up.name] = text.format(self._in(paths, self.warm_up))
        return {**files, paths.solver.name: text.format(self._in(paths, self.solver))}

    def _in(self, paths: RunPaths, settings: schema.SolverParameter) -> schema.SolverParameter:
        """A copy of a solver whose nets and snapshots lie in the directory ``paths``."""
        solver = schema.SolverParameter()
        solver.CopyFrom(settings)
        solver.snapshot_prefix = os.fspath(paths.snapshot_prefix)
        root = paths.root
        if solver.HasField("net"):
            solver.net = os.fspath(root / "train_val.prototxt")
        if solver.HasField("train_net"):
            solver.train_net = os.fspath(root / "train_net.prototxt")
        for index in range(len(solver.test_net)):
            solver.test_net[index] = os.fspath(root / f"test_net{index}.prototxt")
        return solver

    def with_original_location(self, message: str, paths: RunPaths) -> str:
        """Replace the "FILE:LINE:" of a run's copy that ``message`` begins with by the user's own.

        The message stays as it is if the user's file has other layers than the copy: it is in an
        older format or has changed since.
        """
        for name, path in self.read_from.items():
            copy = paths.root / name
            found = re.match(re.escape(f"{copy}:") + r"(\d+):", message)
            if found is None:
                continue
            try:
                copied, own = text.layers(copy), text.layers(path)
            except (TinynetError, OSError):
                return message
            if [layer for layer, _ in copied] == [layer for layer, _ in own]:
                own_lines = {line: own_line for (_, line), (_, own_line) in zip(copied, own)}
                line = own_lines.get(int(found[1]))
                return message if line is None else f"{path}:{line}:{message[found.end() :]}"
        return message

    def at(self, iteration: int) -> tuple[schema.SolverParameter, int]:
        """The solver that runs at ``iteration``, and the iteration at which it ends."""
        if self.warm_up is not None and iteration < self.warm_up.max_iter:
            return self.warm_up, self.warm_up.max_iter
        return self.solver, self.solver.max_iter

    @property
    def nets(self) -> list[tuple[schema.NetParameter, int]]:
        """Each net with the phase in which it runs."""
        return [(self.train_net, schema.TRAIN), *((net, schema.TEST) for net in self.test_nets)]

    def sources(self) -> Iterator[Source]:
        """All files and databases that the nets read, each once."""
        seen = set()
        for net, phase in self.nets:
            for source in _sources(net, phase):
                if source.path not in seen:
                    seen.add(source.path)
                    yield source


def load(path: Path, overrides: Mapping[str, str] | None = None) -> TrainingPrototxt:
    """Read a solver and its nets, and apply ``overrides`` (solver field: value as in prototxt).

    Raises TinynetError naming the file and line of what cannot be read, or the file and field of an
    invalid value; UsageError for an override of an unknown field or with an invalid value.
    """
    solver, warm_up = solver_files.load(path, overrides)
    files: dict[str, schema.NetParameter] = {}
    read_from: dict[str, str] = {}
    notes: list[str] = []

    # a run's nets are those beside its solver, even if the run has been moved
    is_run = RunPaths(path.parent).run_json.exists()

    def read(net_path: str, name: str) -> schema.NetParameter:
        if is_run:
            net_path = os.fspath(path.parent / name)
        if not Path(net_path).exists():
            raise TinynetError(
                f"{path}: its net {net_path} is not there; paths in a solver start where the "
                f"command runs, which is {os.getcwd()}"
            )
        read_from[name] = net_path
        files[name] = _upgraded(text.read(net_path, schema.NetParameter), net_path, notes)
        return files[name]

    if solver.HasField("net"):
        train = read(solver.net, "train_val.prototxt")
    elif solver.HasField("train_net"):
        train = read(solver.train_net, "train_net.prototxt")
    elif solver.HasField("net_param"):
        train = _upgraded(solver.net_param, f"{path}: net_param", notes)
    elif solver.HasField("train_net_param"):
        train = _upgraded(solver.train_net_param, f"{path}: train_net_param", notes)
    else:
        raise TinynetError(f"{path}: names no net; set 'net' to the train_val.prototxt")
    tests = [read(name, f"test_net{index}.prototxt") for index, name in enumerate(solver.test_net)]
    tests += [_upgraded(net, f"{path}: test_net_param", notes) for net in solver.test_net_param]
    # Caffe tests `net` itself once for each test_iter that is left over
    if solver.HasField("net") or solver.HasField("net_param"):
        tests += [train] * max(len(solver.test_iter) - len(tests), 0)
    deploy = path.with_name("deploy.prototxt")
    return TrainingPrototxt(
        path=path,
        solver=solver,
        train_net=train,
        test_nets=tests,
        files=files,
        read_from=read_from,
        # read now, so that a deploy net that evaluation would refuse is refused before training
        deploy=text.format(upgrade.read_net(deploy)) if deploy.exists() else None,
        warm_up=warm_up,
        notes=notes,
    )


def _upgraded(net: schema.NetParameter, source: str, notes: list[str]) -> schema.NetParameter:
    """Upgrade a net in place to the format of Caffe's last release, and note it in ``notes``."""
    before = schema.NetParameter()
    before.CopyFrom(net)
    lost: list[str] = []

    def note(severity: str, message: str) -> None:
        if severity != "info":
            lost.append(f"{source}: {message}")

    upgrade.upgrade(net, source, note)
    if net != before:
        notes.append(f"{source}: is in one of Caffe's older formats; the run has it up to date")
    notes += lost
    return net


def batch_size(net: schema.NetParameter, phase: int) -> int:
    """Batch size of the first data layer in ``phase``; 0 if no layer states it."""
    for layer in phases.layers_of(net, phase):
        if layer.type in _BATCHED:
            return getattr(layer, _BATCHED[layer.type]).batch_size
        if layer.type in _SHAPED:
            parameter = getattr(layer, _SHAPED[layer.type])
            if parameter.shape and parameter.shape[0].dim:
                return int(parameter.shape[0].dim[0])
            if layer.type == "DummyData" and parameter.num:
                return parameter.num[0]
    return 0


def _sources(net: schema.NetParameter, phase: int) -> Iterator[Source]:
    for layer in phases.layers_of(net, phase):
        if layer.type in _BATCHED and layer.type != "MemoryData":
            path = getattr(layer, _BATCHED[layer.type]).source
            if path:
                yield Source(path, layer.name, phase, is_database=layer.type == "Data")
        if layer.transform_param.mean_file:
            path = layer.transform_param.mean_file
            yield Source(path, layer.name, phase, is_database=False, is_mean=True)
