"""A solver with its nets, as read from the disk, and the prototxt files that a run makes of it.

The copies in the run directory are what runs: net and snapshot paths lead into the directory, all
other paths (LMDBs, mean files) stay relative to where the command runs, as Caffe reads them.
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
    """A solver with its nets, overrides applied, not yet tied to a run directory."""

    path: Path
    solver: schema.SolverParameter
    train_net: schema.NetParameter
    test_nets: list[schema.NetParameter]
    # by name in the run directory
    files: dict[str, schema.NetParameter] = field(default_factory=dict)
    written: dict[str, str] = field(default_factory=dict)  # of each the file that it was read from
    deploy: str | None = None  # text of the deploy.prototxt beside the solver
    # the solver up to its max_iter, from that beside the solver
    warm_up: schema.SolverParameter | None = None
    notes: list[str] = field(default_factory=list)  # what became of nets in older formats

    @property
    def net_name(self) -> str:
        return self.train_net.name

    @property
    def batch_size(self) -> int:
        """Images per forward pass of the training net; 0 where no layer states it."""
        return batch_size(self.train_net, schema.TRAIN)

    @property
    def effective_batch(self) -> int:
        """Images per update of one solver, which makes ``iter_size`` passes."""
        return self.batch_size * self.solver.iter_size

    @property
    def divergence_limit(self) -> float | None:
        """Training loss from which on the run has diverged, or None where only NaN says so.

        A softmax loss over valid labels cannot exceed 87.3365 per image; a net with other or
        more losses has no such bound.
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
            is_mean = parameter.normalize  # the older field: false divides by the batch alone
        if not is_mean or weight <= 0:
            return None
        return SOFTMAX_LOSS_LIMIT * weight

    def with_batch_size(self, size: int) -> TrainingPrototxt:
        """The same, with ``size`` images in a forward pass of the training net."""
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
        """A solver whose nets and snapshots lie in the directory ``paths``."""
        solver = schema.SolverParameter()
        solver.CopyFrom(settings)
        solver.snapshot_prefix = os.fspath(paths.snapshot_prefix)
        root = Path(paths.root)
        if solver.HasField("net"):
            solver.net = os.fspath(root / "train_val.prototxt")
        if solver.HasField("train_net"):
            solver.train_net = os.fspath(root / "train_net.prototxt")
        for index in range(len(solver.test_net)):
            solver.test_net[index] = os.fspath(root / f"test_net{index}.prototxt")
        return solver

    def in_the_users_files(self, message: str, paths: RunPaths) -> str:
        """``message`` with the file and line that the user wrote, where it begins with a copy's.

        It stays as it is where the file does not have the copy's layers, as one in an older format
        or changed since.
        """
        for name, path in self.written.items():
            copy = Path(paths.root) / name
            found = re.match(re.escape(f"{copy}:") + r"(\d+):", message)
            if found is None:
                continue
            try:
                copied, own = text.layers(copy), text.layers(path)
            except (TinynetError, OSError):
                return message
            if [layer for layer, _ in copied] == [layer for layer, _ in own]:
                lines = {line: written for (_, line), (_, written) in zip(copied, own)}
                line = lines.get(int(found[1]))
                return message if line is None else f"{path}:{line}:{message[found.end() :]}"
        return message

    def at(self, iteration: int) -> tuple[schema.SolverParameter, int]:
        """The solver that runs at ``iteration``, and the iteration to which it does."""
        if self.warm_up is not None and iteration < self.warm_up.max_iter:
            return self.warm_up, self.warm_up.max_iter
        return self.solver, self.solver.max_iter

    @property
    def nets(self) -> list[tuple[schema.NetParameter, int]]:
        """Each net with the phase in which it runs."""
        return [(self.train_net, schema.TRAIN), *((net, schema.TEST) for net in self.test_nets)]

    def sources(self) -> Iterator[Source]:
        """Everything on disk that the nets read, each once."""
        seen = set()
        for net, phase in self.nets:
            for source in _sources(net, phase):
                if source.path not in seen:
                    seen.add(source.path)
                    yield source


def load(path: Path, overrides: Mapping[str, str] | None = None) -> TrainingPrototxt:
    """Read a solver and its nets and apply ``overrides`` (solver field: value as in prototxt).

    Raises TinynetError naming file and line of what cannot be read, or file and field of a value
    that no solver has; UsageError for an override that is no solver field, or no value of it.
    """
    solver, warm_up = solver_files.load(path, overrides)
    files: dict[str, schema.NetParameter] = {}
    written: dict[str, str] = {}
    notes: list[str] = []

    # a run directory is whole in itself: its nets are those beside its solver, moved or not
    is_run = (path.parent / RunPaths(path.parent).run_json.name).exists()

    def read(net_path: str, name: str) -> schema.NetParameter:
        if is_run:
            net_path = os.fspath(path.parent / name)
        if not Path(net_path).exists():
            raise TinynetError(
                f"{path}: its net {net_path} is not there; paths in a solver start where the "
                f"command runs, which is {os.getcwd()}"
            )
        written[name] = net_path
        files[name] = _up_to_date(text.read(net_path, schema.NetParameter), net_path, notes)
        return files[name]

    if solver.HasField("net"):
        train = read(solver.net, "train_val.prototxt")
    elif solver.HasField("train_net"):
        train = read(solver.train_net, "train_net.prototxt")
    elif solver.HasField("net_param"):
        train = _up_to_date(solver.net_param, f"{path}: net_param", notes)
    elif solver.HasField("train_net_param"):
        train = _up_to_date(solver.train_net_param, f"{path}: train_net_param", notes)
    else:
        raise TinynetError(f"{path}: names no net; set 'net' to the train_val.prototxt")
    tests = [read(name, f"test_net{index}.prototxt") for index, name in enumerate(solver.test_net)]
    tests += [_up_to_date(net, f"{path}: test_net_param", notes) for net in solver.test_net_param]
    # the net of the solver is tested too, for as many test_iter as are left
    if solver.HasField("net") or solver.HasField("net_param"):
        tests += [train] * max(len(solver.test_iter) - len(tests), 0)
    deploy = path.with_name("deploy.prototxt")
    return TrainingPrototxt(
        path=path,
        solver=solver,
        train_net=train,
        test_nets=tests,
        files=files,
        written=written,
        # read here, so that what evaluation would refuse is refused before the training
        deploy=text.format(upgrade.read_net(deploy)) if deploy.exists() else None,
        warm_up=warm_up,
        notes=notes,
    )


def _up_to_date(net: schema.NetParameter, source: str, notes: list[str]) -> schema.NetParameter:
    """A NetParameter as Caffe's last release writes it, changed in place; ``notes`` says so."""
    written = schema.NetParameter()
    written.CopyFrom(net)
    lost: list[str] = []

    def note(severity: str, message: str) -> None:
        if severity != "info":
            lost.append(f"{source}: {message}")

    upgrade.upgrade(net, source, note)
    if net != written:
        notes.append(f"{source}: is in one of Caffe's older formats; the run has it up to date")
    notes += lost
    return net


def batch_size(net: schema.NetParameter, phase: int) -> int:
    """Batch size of the first data layer in ``phase``; 0 where none states it."""
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
