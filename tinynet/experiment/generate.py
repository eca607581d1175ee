"""Generates the prototxt files of the stages, and finds those on disk that differ."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from google.protobuf.message import Message

from tinynet import files
from tinynet.caffeformat import schema, shapes, text
from tinynet.caffeformat.score_layer import score_layer
from tinynet.errors import TinynetError, UsageError
from tinynet.experiment import nets, solvers
from tinynet.experiment.data_description import DataSet
from tinynet.experiment.hyperparameters import MEMBERS, Member
from tinynet.experiment.paths import PROTOTXT_ROOT, StagePaths, member_name
from tinynet.experiment.solvers import Overrides
from tinynet.experiment.stages import STAGES, Stage


def generate(
    root: Path,
    data: DataSet,
    stages: Iterable[Stage] = STAGES,
    overrides: Overrides | None = None,
) -> dict[Path, str]:
    """Return the text of every file of the stages, by its path under ``root``.

    The texts depend on the arguments only.  Raises UsageError for overrides that contradict each
    other, and TinynetError if the data set's images are too small.
    """
    files: dict[Path, str] = {}
    for stage in stages:
        for member in MEMBERS if stage.is_ensemble else (None,):
            files.update(_files(root, data, stage, member, overrides or Overrides()))
    return files


def _files(
    root: Path, data: DataSet, stage: Stage, member: Member | None, overrides: Overrides
) -> dict[Path, str]:
    paths = StagePaths(root, stage.name, member.number if member else None)
    std = stage.hyperparameters.std if overrides.std is None else overrides.std
    test_batch = solvers.test_batch(data.val_images)
    train_batch = solvers.batch_size(overrides)
    solver = solvers.solver(stage, member, data, paths, overrides)
    # an overriding std is that of a gaussian
    filler = stage.hyperparameters.filler if overrides.std is None else "gaussian"
    net = nets.train_val(stage, data, solvers.share_of_batch(overrides), test_batch, std, filler)
    _check_fit(net, data, paths)
    what = stage.heading
    if member:
        what += f", {member_name(member.number)}"
    files = {
        paths.train_val: _file(f"{what}: {stage.change}.", net),
        paths.deploy: _file(f"{what}: the net in use.", nets.deploy(stage, data)),
    }
    images = train_batch * solver.iter_size
    header = f"{what}: {_length(solver.max_iter, images, data)}.\n"
    warm_up = solvers.warm_up(stage, solver)
    if warm_up is None:
        header += f"Train it: {train_command(stage, paths.solver)}"
    else:
        first = f"caffe train --solver={paths.warm_up.as_posix()}"
        is_hdf5 = warm_up.snapshot_format == schema.SolverParameter.HDF5
        state = f"{warm_up.snapshot_prefix}_iter_{warm_up.max_iter}.solverstate"
        state += ".h5" if is_hdf5 else ""
        header += (
            f"Train it: tinynet train {paths.solver.as_posix()}\n"
            f"or in Caffe itself: {first}\n"
            f"and then: {train_command(stage, paths.solver)} "
            f"--snapshot={state}"
        )
        files[paths.warm_up] = _file(
            f"{what}: its warm-up, {_length(warm_up.max_iter, images, data)}.\n"
            "The rate rises by base_lr at each iteration; then solver.prototxt continues.",
            warm_up,
        )
    files[paths.solver] = _file(header, solver)
    return files


def train_command(stage: Stage, solver: Path) -> str:
    """The command that trains a stage from its solver file: real Caffe's if possible, else ours.

    Caffe has no max-norm, and would refuse a solver file with a field that it does not know.
    """
    if not stage.train_options:
        return f"caffe train --solver={solver.as_posix()}"
    return " ".join(("tinynet train", solver.as_posix(), *stage.train_options))


def _check_fit(net: schema.NetParameter, data: DataSet, paths: StagePaths) -> None:
    """Raise TinynetError if the data set's images are too small for the net."""
    size = data.image_size
    try:
        shapes.infer(net, schema.TRAIN, (3, size, size))
    except TinynetError as error:
        what = f"{paths.train_val}: no net for images of {size}x{size}: {error}"
        raise TinynetError(what) from error


def _length(max_iter: int, images: int, data: DataSet) -> str:
    epochs = max_iter * images / data.train_images
    return f"{max_iter} iterations of {images} images, {epochs:.3g} epochs"


def _file(header: str, message: Message) -> str:
    lines = [
        *header.splitlines(),
        "Written by 'tinynet generate'; edit tinynet/experiment/stages.py instead.",
    ]
    return "".join(f"# {line}\n" for line in lines) + text.format(message)


def classes_of(path: Path) -> int | None:
    """How many classes the training net in a file has; None if the file is not such a net."""
    try:
        net = text.read(path, schema.NetParameter) if path.name == "train_val.prototxt" else None
        layer = None if net is None else score_layer(net)
    except (OSError, TinynetError):  # no file, or none that would be missed
        return None
    return None if layer is None else int(layer.inner_product_param.num_output)


def require_same_classes(files: Collection[Path], described: DataSet, out: Path) -> None:
    """Raise UsageError if an existing net has another number of classes than ``described``.

    Called if the user named no data set, so that nets for another one are not lost by mistake.
    """
    for path in files:
        there = classes_of(path)
        if there not in (None, described.classes):
            where = "" if out == PROTOTXT_ROOT else f" --out {shlex.quote(str(out))}"
            data = shlex.quote(str(described.paths.root))
            theirs, option = f"{data} has {described.classes}", f"--data {data}"
            if not described.paths.manifest.exists():
                theirs = f"there is no {data}, so these would be of {described.classes}"
                option = f"--classes {described.classes}"
            raise UsageError(
                f"{path}: is a net of {there} classes, and {theirs}; "
                f"'tinynet generate {option}{where}' puts nets for {described.classes} in "
                f"their place, 'tinynet generate --classes {there}{where}' keeps to {there}"
            )


def write(texts: dict[Path, str]) -> None:
    """Write each file atomically, and make the folders.  Raises OSError."""
    for path, content in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write_text(path, content)


def drifted(files: dict[Path, str], root: Path, stages: Iterable[Stage] = STAGES) -> list[str]:
    """One line for each file on disk that is not as generated: changed, missing or surplus.

    Surplus is any other prototxt in the folders of ``stages``, or anywhere under ``root`` if
    ``stages`` are all of them.
    """
    lines = []
    for path, content in files.items():
        if not path.exists():
            lines.append(f"{path}: missing")
        elif path.read_bytes() != content.encode("utf-8"):
            lines.append(f"{path}: changed")
    lines += [f"{path}: surplus" for path in _prototxt(root, list(stages)) if path not in files]
    return lines


def _prototxt(root: Path, stages: list[Stage]) -> Iterator[Path]:
    names = [stage.name for stage in stages]
    is_all = {stage.name for stage in STAGES} <= set(names)
    folders = [root] if is_all else [root / name for name in names]
    for folder in folders:
        for path in sorted(folder.rglob("*.prototxt")):
            # variants are generated on request, so their files are not surplus
            if folder != root or not path.relative_to(root).parts[0].startswith("variant_"):
                yield path
