"""Finds what an evaluation needs: a run's weights, the transform of its TEST phase, the images.

All of it comes from the run directory's own files, so the net is evaluated as it was trained.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinynet import files
from tinynet.caffeformat import phases, schema, text, upgrade
from tinynet.caffeformat.image_records import read_images, read_labels
from tinynet.caffeformat.lmdb import open_store
from tinynet.caffeformat.mean import read_mean
from tinynet.dataset.manifest import read_manifest
from tinynet.dataset.paths import DataPaths
from tinynet.errors import TinynetError
from tinynet.predict import sample as sampling
from tinynet.run import record as runs
from tinynet.run import snapshots
from tinynet.run.paths import RunPaths

_ITERATION = re.compile(r"_iter_(\d+)\.caffemodel$")
# layer types whose parameters must be in the .caffemodel: others would keep their fillers' values
_LEARNED = {"Convolution", "Deconvolution", "InnerProduct", "Embed", "PReLU", "Scale", "Bias"}
_LEARNED |= {"BatchNorm"}


@dataclass(frozen=True)
class Weights:
    """A .caffemodel, the iteration at which it was written (-1: unknown), and its SHA-256."""

    path: Path
    iteration: int
    sha256: str


@dataclass(frozen=True)
class Transform:
    """Caffe's data transform of the TEST phase: (pixel - mean) * scale, then the centre crop."""

    mean: np.ndarray  # float32: one value, one per channel, or an image C×H×W
    scale: float
    crop_size: int  # 0: no crop

    def mean_of(self, channels: int) -> np.ndarray:
        """The mean with one value for each of ``channels`` channels, or as an image."""
        return np.repeat(self.mean, channels) if self.mean.shape == (1,) else self.mean


@dataclass(frozen=True)
class Images:
    """The images of a split, or a sample of them, in the LMDB's key order.

    ``chosen``: the record numbers of a sample, ascending; None: all images.  ``names`` and
    ``count`` are those of the chosen images.
    """

    source: Path
    count: int
    shape: tuple[int, int, int]  # channels, height, width
    names: list[str]
    wnids: list[str]
    labelled: bool
    chosen: list[int] | None = None

    @property
    def classes(self) -> int | None:
        """How many classes there are; None if the split has no labels."""
        return len(self.wnids) if self.labelled else None

    def records(self) -> Iterator[tuple[bytes, int]]:
        """Yield (uint8 pixels as C·H·W bytes, label); the label is -1 if the split has none."""
        for pixels, label in read_images(self.source, self.shape, self.classes, self.chosen):
            yield pixels.tobytes(), label


def require_run(run: RunPaths) -> None:
    """Raise TinynetError unless the folder has the two nets that every evaluation reads."""
    if not run.train_val.exists():
        raise TinynetError(f"{run.train_val}: no such file, so {run.root} is not a run directory")
    if not run.deploy.exists():
        raise TinynetError(
            f"{run.deploy}: no such file, and an evaluation runs this net: the solver that was "
            "trained had none beside it; write it, ending in the probabilities"
        )


def trained_weights(run: RunPaths) -> Weights:
    """The newest whole .caffemodel of a run directory.  Raises TinynetError if there is none."""
    require_run(run)
    weights, reasons = newest_weights(run)
    if weights is None:
        why = f" ({reasons[0]})" if reasons else ""
        raise TinynetError(f"{run.snapshots}: holds no whole .caffemodel{why}; train it first")
    return weights


def newest_weights(run: RunPaths, iteration: int | None = None) -> tuple[Weights | None, list[str]]:
    """The newest whole .caffemodel of a run, and the reasons why newer ones were passed over.

    ``iteration``: only that one counts.  The first value is None if there is none.
    """
    found = {}
    for path in run.snapshots.glob("*.caffemodel"):
        match = _ITERATION.search(path.name)
        if match:
            found[int(match[1])] = path
    if iteration is not None:
        found = {number: path for number, path in found.items() if number == iteration}
    reasons: list[str] = []
    for number in sorted(found, reverse=True):
        fault = _fault(found[number], number)
        if fault is None:
            return Weights(found[number], number, files.sha256_of(found[number])), reasons
        reasons.append(fault)
    return None, reasons


def _fault(model: Path, iteration: int) -> str | None:
    state = model.with_suffix(".solverstate")
    if state.exists():
        return snapshots.fault(snapshots.Snapshot(iteration, state, model))
    try:
        snapshots.require_whole_model(model)
    except TinynetError as error:
        return str(error)
    return None


def weights_file(path: Path) -> Weights:
    """A .caffemodel that the user named; its iteration is taken from its name, or -1.

    Raises TinynetError if it is not a whole .caffemodel.
    """
    snapshots.require_whole_model(path)
    match = _ITERATION.search(path.name)
    return Weights(path, int(match[1]) if match else -1, files.sha256_of(path))


def require_weights_fit(weights: Weights, deploy: Path) -> None:
    """Raise TinynetError if the net has a learned layer for which the file has no weights.

    Caffe loads weights by layer name and leaves other layers as their fillers made them.
    """
    net = upgrade.read_net(deploy)
    model = upgrade.read_model(weights.path)
    held = {layer.name for layer in model.layer if layer.blobs}
    missing = [layer.name for layer in phases.layers_of(net, schema.TEST) if layer.type in _LEARNED]
    missing = [name for name in missing if name not in held]
    if missing:
        raise TinynetError(
            f"{weights.path}: holds no weights for the layers {', '.join(missing)} of {deploy}, "
            "so it is of another net or cut off; name another with --weights or --iteration"
        )


def read_transform(run: RunPaths) -> Transform:
    """The transform of the run's TEST data layer.  Raises TinynetError if there is none."""
    parameters = _data_layer(run, schema.TEST).transform_param
    if parameters.mean_file:
        mean = read_mean(_located(run, Path(parameters.mean_file)))
    else:
        mean = np.array(list(parameters.mean_value) or [0], dtype=np.float32)
    return Transform(mean, float(parameters.scale), int(parameters.crop_size))


def find_images(run: RunPaths, split: str, data: Path | None = None, sample: int = 0) -> Images:
    """Find the images of ``split`` in the run's own data, or in the folder ``data``.

    Names, wnids and counts come from the manifest beside the LMDB.  ``sample``: how many of them to
    take (see ``predict.sample``); 0: all.  Raises TinynetError if they are missing or damaged.
    """
    if data is not None:
        source = DataPaths(data).lmdb(split)
    else:
        layer = _data_layer(run, schema.TRAIN if split == "train" else schema.TEST)
        source = _located(run, Path(layer.data_param.source))
        if split == "test":
            source = DataPaths(source.parent).test_lmdb
    if not source.exists():
        raise TinynetError(
            f"{source}: no such LMDB, from which {run.train_val} takes its images; run from the "
            "folder in which it was trained, or name the converted data with --data DIR"
        )
    manifest = read_manifest(source.parent)
    with open_store(source) as store:
        count = len(store)
    if count == 0:
        raise TinynetError(f"{source}: holds no images, so there is nothing to evaluate")
    if count != len(manifest.names[split]):
        raise TinynetError(
            f"{source}: holds {count} images, but the manifest names "
            f"{len(manifest.names[split])}; convert the data set again"
        )
    names = manifest.names[split]
    shape, wnids, labelled = manifest.shape, manifest.wnids, manifest.labelled[split]
    if not sample:
        return Images(source, count, shape, names, wnids, labelled)
    if sample >= count:
        raise TinynetError(
            f"{source}: holds {count:,} images, so there is no sample of {sample:,}; leave out "
            "--sample, which takes all"
        )
    labels = read_labels(source) if labelled else [-1] * count
    chosen = sampling.chosen(names, labels, sample)
    taken = [names[number] for number in chosen]
    return Images(source, sample, shape, taken, wnids, labelled, chosen)


def _data_layer(run: RunPaths, phase: int) -> schema.LayerParameter:
    net = text.read(run.train_val, schema.NetParameter)
    layers = [layer for layer in phases.layers_of(net, phase) if layer.type == "Data"]
    if len(layers) != 1:
        name = "TRAIN" if phase == schema.TRAIN else "TEST"
        raise TinynetError(
            f"{run.train_val}: has {len(layers)} Data layers in the {name} phase; an evaluation "
            "takes its images from exactly one"
        )
    return layers[0]


def _located(run: RunPaths, path: Path) -> Path:
    """Resolve a path of the run's prototxt from here or, if missing, from where it was trained."""
    if path.exists() or path.is_absolute():
        return path
    record = runs.load(run.run_json)
    if record is not None and record.folder and (Path(record.folder) / path).exists():
        return Path(record.folder) / path
    return path
