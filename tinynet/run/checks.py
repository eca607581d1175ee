"""Looks for what would fail, before the long work starts."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tinynet.caffeformat import phases, schema
from tinynet.caffeformat.score_layer import score_layer
from tinynet.caffeformat.without_effect import fields_without_effect
from tinynet.dataset.manifest import Manifest, read_manifest
from tinynet.dataset.paths import DataPaths
from tinynet.errors import TinynetError, UsageError
from tinynet.experiment.paths import PROTOTXT_ROOT
from tinynet.experiment.stages import STAGES
from tinynet.run import record_sample, snapshots
from tinynet.run.paths import RunPaths
from tinynet.run.prepare import Prepared, Source, batch_size


def require_data(prepared: Prepared) -> list[dict[str, Any]]:
    """Check every file and database that the nets read; return what they are.

    An entry has ``path`` and ``bytes``, and of an LMDB what ``_contents`` says of its records, so
    that a later resume can tell whether the data is still the same.
    Raises TinynetError that names the layer and the path.
    """
    entries = []
    for source, file in require_sources(prepared):
        entry: dict[str, Any] = {"path": source.path}
        if file.exists():
            entry["bytes"] = file.stat().st_size
        if file.name == "data.mdb":
            entry.update(_contents(Path(source.path)))
        entries.append(entry)
    return entries


def _contents(path: Path) -> dict[str, Any]:
    """What an LMDB holds: number of records, hash of a sample, and where it is known the digest.

    The digest is that of all records, which the data set's manifest states; an LMDB without one
    has it where the sample is the whole.  Raises TinynetError where the records are not those of
    the manifest, as far as their keys and, in a small LMDB, their values tell.
    """
    sample = record_sample.of(path)
    found: dict[str, Any] = {"records": sample.records, "sample": sample.digest}
    manifest = manifest_of(path)
    if manifest is None:
        return {**found, "digest": sample.digest} if sample.is_whole else found
    split = split_of(path) or ""
    digest = manifest.digests[split]
    same = sample.keys == record_sample.hash_of_keys(manifest.keys(split))
    if not same or (sample.is_whole and sample.digest != digest):
        raise TinynetError(
            f"{path}: its records are not those that its manifest.json states; 'tinynet data "
            f"verify {path.parent}' says more; convert the data again"
        )
    return {**found, "digest": digest}


def require_sources(prepared: Prepared) -> list[tuple[Source, Path]]:
    """Check that every file and database that the nets read is there; each with its data file.

    Raises TinynetError that names the layer and the path.
    """
    found = []
    for source in prepared.sources():
        path = Path(source.path)
        if not path.exists():
            raise TinynetError(_missing(prepared, source))
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


def _missing(prepared: Prepared, source: Source) -> str:
    phase = "TRAIN" if source.phase == schema.TRAIN else "TEST"
    what = "mean file" if source.is_mean else "database" if source.is_database else "file"
    where = "" if os.path.isabs(source.path) else f" in {os.getcwd()}"
    folder = Path(source.path).parent
    return (
        f"{source.path}: no such {what}{where}, which layer '{source.layer}' ({phase}) of "
        f"{prepared.net_name or prepared.path} reads; make it with 'tinynet data convert DATASET "
        f"--out {folder}', or name your data with 'tinynet generate --data DIR'"
    )


def require_rows(prepared: Prepared) -> None:
    """Raise UsageError where a layer's weights do not lie in a row a unit, as max-norm needs."""
    for layer in phases.layers_of(prepared.train_net, schema.TRAIN):
        if layer.inner_product_param.transpose:
            raise UsageError(
                f"--max-norm: layer '{layer.name}' has transpose: true, so that a unit's weights "
                "are no row of its matrix; leave one of the two out"
            )


def split_of(database: Path) -> str | None:
    """Which split of a converted data set the path is: "train", "val", "test", or None."""
    name = Path(database).name
    for split in ("train", "val", "test"):
        if name == DataPaths(Path(database).parent).lmdb(split).name:
            return split
    return None


def manifest_of(database: Path) -> Manifest | None:
    """The manifest beside a database that is one of ours, or None."""
    folder = Path(database).parent
    if split_of(database) is None or not DataPaths(folder).manifest.exists():
        return None
    return read_manifest(folder)


def warnings(prepared: Prepared) -> Iterator[str]:
    """What will run, but hardly as it was meant, or not as it is written."""
    yield from prepared.notes
    yield from dict.fromkeys(
        what
        for net, phase in prepared.nets
        for layer in phases.layers_of(net, phase)
        for what in fields_without_effect(layer)
    )
    for index, net in enumerate(prepared.test_nets):
        if index < len(prepared.solver.test_iter):
            yield from _coverage(net, prepared.solver.test_iter[index])


def require_classes(prepared: Prepared) -> None:
    """Raise TinynetError where the net has another number of classes than the data it reads.

    With fewer, labels index past the scores, which Caffe does not check; with more, the net is
    another data set's.
    """
    layer = score_layer(prepared.train_net)
    if layer is None:
        return
    classes = layer.inner_product_param.num_output
    for source in prepared.sources():
        manifest = manifest_of(Path(source.path)) if source.is_database else None
        if manifest is not None and classes != manifest.classes:
            raise TinynetError(
                f"{source.path} has {manifest.classes} classes and the net {classes}; "
                + _way_to_agree(prepared, layer.name, Path(source.path).parent, manifest.classes)
            )


def _way_to_agree(prepared: Prepared, layer: str, data: Path, classes: int) -> str:
    """What makes the net one for the data: generating it, or an edit where it is the user's."""
    folder = prepared.path.parent
    folder = folder.parent if folder.name.startswith("member") else folder
    if folder.name not in {stage.name for stage in STAGES}:
        return f"set num_output of its layer '{layer}' to {classes}, or name the net's own data"
    command = ["tinynet", "generate", "--data", os.fspath(data)]
    if folder.parent != PROTOTXT_ROOT:
        command += ["--out", os.fspath(folder.parent)]
    return f"run '{shlex.join(command)}'"


def weights_taken(prepared: Prepared, path: Path) -> Iterator[str]:
    """What is said of weights to start from of which the net takes none: Caffe says nothing.

    Raises TinynetError where ``path`` is no .caffemodel, or one without weights.
    """
    names = snapshots.require_whole_model(path)
    if not {layer.name for layer in phases.layers_of(prepared.train_net, schema.TRAIN)} & {*names}:
        yield (
            f"{path}: the net has no layer of a name that has weights there "
            f"({', '.join(names[:8])}{', …' if len(names) > 8 else ''}): it takes none of them, "
            "and starts from drawn ones"
        )


def _coverage(net: schema.NetParameter, iterations: int) -> Iterator[str]:
    """A test over other than the whole set resumes, next time, where this one left off."""
    size = batch_size(net, schema.TEST)
    for layer in phases.layers_of(net, schema.TEST):
        if layer.type != "Data":
            continue
        path = Path(layer.data_param.source)
        manifest = manifest_of(path)
        count = manifest.counts[split_of(path) or ""] if manifest else 0
        if count and size * iterations != count:
            yield (
                f"a test sees {iterations} × {size} = {size * iterations} images of the {count} "
                f"in {path}, so that each test sees others; test_iter × batch_size should be equal"
            )


def require_writable(paths: RunPaths) -> None:
    """Make the run directory and its snapshot folder, and write a file there to be sure.

    Real Caffe aborts where the folder of its snapshot_prefix is not there.  Raises OSError.
    """
    paths.snapshots.mkdir(parents=True, exist_ok=True)
    probe = paths.snapshots / f".probe.{os.getpid()}"
    probe.write_bytes(b"0")
    probe.unlink()
