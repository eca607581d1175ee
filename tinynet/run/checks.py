"""Checks a training for what would make it fail, before the long work starts."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tinynet.caffeformat import phases, schema
from tinynet.caffeformat.score_layer import score_layer
from tinynet.caffeformat.without_effect import fields_without_effect
from tinynet.dataset.lmdb_contents import contents, manifest_of
from tinynet.errors import TinynetError, UsageError
from tinynet.experiment.paths import PROTOTXT_ROOT
from tinynet.experiment.stages import STAGES
from tinynet.run import snapshots
from tinynet.run.training_prototxt import Source, TrainingPrototxt, batch_size


def require_data(prototxt: TrainingPrototxt) -> list[dict[str, Any]]:
    """Check every file and database that the nets read, and describe each.

    An entry has ``path`` and ``bytes``, and for an LMDB its ``contents``, so that a later resume
    can tell whether the data is the same.  Raises TinynetError that names the layer and the path.
    """
    entries = []
    for source, file in require_sources(prototxt):
        entry: dict[str, Any] = {"path": source.path}
        if file.exists():
            entry["bytes"] = file.stat().st_size
        if file.name == "data.mdb":
            entry.update(contents(Path(source.path)))
        entries.append(entry)
    return entries


def require_sources(prototxt: TrainingPrototxt) -> list[tuple[Source, Path]]:
    """Check that every file and database that the nets read exists; return each with its data file.

    Raises TinynetError that names the layer and the path.
    """
    found = []
    for source in prototxt.sources():
        path = Path(source.path)
        if not path.exists():
            raise TinynetError(_missing(prototxt, source))
        file = path
        if source.is_database and path.is_dir():
            file = path / "data.mdb"
            if not file.exists() and not (path / "CURRENT").exists():
                raise TinynetError(
                    f"{path}: holds no database (data.mdb), so its conversion is not finished; "
                    "run 'tinynet data convert' again"
                )
        found.append((source, file))
    return found


def _missing(prototxt: TrainingPrototxt, source: Source) -> str:
    phase = "TRAIN" if source.phase == schema.TRAIN else "TEST"
    what = "mean file" if source.is_mean else "database" if source.is_database else "file"
    where = "" if os.path.isabs(source.path) else f" in {os.getcwd()}"
    advice = f"make it, or correct its path in {prototxt.path}"
    if source.is_database or source.is_mean:
        advice = (
            f"make it with 'tinynet data convert DATASET --out {Path(source.path).parent}', or "
            "name your data with 'tinynet generate --data DIR'"
        )
    return (
        f"{source.path}: no such {what}{where}, which layer '{source.layer}' ({phase}) of "
        f"{prototxt.net_name or prototxt.path} reads; {advice}"
    )


def require_rows(prototxt: TrainingPrototxt) -> None:
    """Raise UsageError if a layer's weights are not stored one row per unit, as max-norm needs."""
    for layer in phases.layers_of(prototxt.train_net, schema.TRAIN):
        if layer.inner_product_param.transpose:
            raise UsageError(
                f"--max-norm: layer '{layer.name}' has transpose: true, so that a unit's weights "
                "are not a row of its matrix; leave one of the two out"
            )


def warnings(prototxt: TrainingPrototxt) -> Iterator[str]:
    """Warn of what will run, but probably not as it was meant, or not as it is written."""
    yield from prototxt.notes
    yield from dict.fromkeys(
        what
        for net, phase in prototxt.nets
        for layer in phases.layers_of(net, phase)
        for what in fields_without_effect(layer)
    )
    for index, net in enumerate(prototxt.test_nets):
        if index < len(prototxt.solver.test_iter):
            yield from _coverage(net, prototxt.solver.test_iter[index])


def require_classes(prototxt: TrainingPrototxt) -> None:
    """Raise TinynetError if the net has another number of classes than the data that it reads.

    With fewer, labels index past the scores, which Caffe does not check; with more, the net was
    made for another data set.
    """
    layer = score_layer(prototxt.train_net)
    if layer is None:
        return
    classes = layer.inner_product_param.num_output
    for source in prototxt.sources():
        described = manifest_of(Path(source.path)) if source.is_database else None
        found = described[0].classes if described else classes
        if found != classes:
            raise TinynetError(
                f"{source.path} has {found} classes and the net {classes}; "
                + _class_count_advice(prototxt, layer.name, Path(source.path).parent, found)
            )


def _class_count_advice(prototxt: TrainingPrototxt, layer: str, data: Path, classes: int) -> str:
    """How to fit the net to the data: generate it, or edit it if it is the user's own."""
    folder = prototxt.path.parent
    folder = folder.parent if folder.name.startswith("member") else folder
    if folder.name not in {stage.name for stage in STAGES}:
        return f"set num_output of its layer '{layer}' to {classes}, or name the net's own data"
    command = ["tinynet", "generate", "--data", os.fspath(data)]
    if folder.parent != PROTOTXT_ROOT:
        command += ["--out", os.fspath(folder.parent)]
    return f"run '{shlex.join(command)}'"


def weights_warnings(prototxt: TrainingPrototxt, path: Path) -> Iterator[str]:
    """Warn if the net takes none of the weights that it is to start from; Caffe does not.

    Raises TinynetError if ``path`` is not a .caffemodel, or has no weights.
    """
    names = snapshots.require_whole_model(path)
    if not {layer.name for layer in phases.layers_of(prototxt.train_net, schema.TRAIN)} & {*names}:
        yield (
            f"{path}: has weights for other layers than the net's "
            f"({', '.join(names[:8])}{', …' if len(names) > 8 else ''}): the net takes none of "
            "them, and starts from its fillers' weights"
        )


def _coverage(net: schema.NetParameter, iterations: int) -> Iterator[str]:
    """Warn if a test does not pass over the whole set once: the next one continues from there."""
    size = batch_size(net, schema.TEST)
    for layer in phases.layers_of(net, schema.TEST):
        if layer.type != "Data":
            continue
        path = Path(layer.data_param.source)
        described = manifest_of(path)
        count = described[0].counts[described[1]] if described else 0
        if count and size * iterations != count:
            yield (
                f"a test sees {iterations} × {size} = {size * iterations} images of the {count} "
                f"in {path}, so each test sees different ones; test_iter × batch_size should be "
                f"{count}"
            )
