"""Evaluates a run: a worker computes its probabilities on a split."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinynet.caffeformat.datum import encode_datum
from tinynet.caffeformat.lmdb import write_store
from tinynet.caffeformat.transform import view_count
from tinynet.engine import devices, discovery
from tinynet.engine.discovery import Engine
from tinynet.engine.precision import require_precision
from tinynet.engine.process import WorkerProcess, start_worker
from tinynet.errors import TinynetError
from tinynet.predict import inputs
from tinynet.predict.inputs import Images, Transform, Weights
from tinynet.predict.probabilities import (
    CENTER,
    OVERSAMPLE,
    Probabilities,
    read_probabilities,
    write_probabilities,
)
from tinynet.run.paths import RunPaths

# inputs of the net in one forward pass: enough to keep the device busy, without large blobs
BATCH_SIZE = 100
GPU_BATCH_SIZE = 1000
_CHUNK = 1 << 18  # bytes of images sent at once: a fraction of a second of work

Say = Callable[[str], None]
Progress = Callable[[int, int], Any]  # called with how many more images are done, and their total


def _silent(*_: Any) -> None:
    pass


@dataclass(frozen=True)
class EvaluationRequest:
    """What to evaluate, and on which engine and device."""

    run: Path
    split: str = "val"
    oversample: bool = False
    engine: str = "auto"
    caffe_python: str | None = None
    gpu: int | None = None
    cpu: bool = False
    precision: str = "float32"  # or tf32, bf16: see engine.precision
    batch_size: int | None = None  # inputs per forward pass; None: a good one for the device
    iteration: int | None = None  # of the snapshot; None: the newest
    weights: Path | None = None  # a .caffemodel instead of one of the run's snapshots
    data: Path | None = None  # folder of the LMDBs; None: that of the run's data layers
    sample: int = 0  # how many of the split's images, the same for every run; 0: all

    @property
    def paths(self) -> RunPaths:
        return RunPaths(self.run)

    @property
    def crop(self) -> str:
        """The kind of crops, as in ``Probabilities``."""
        return OVERSAMPLE if self.oversample else CENTER

    @property
    def arguments(self) -> list[str]:
        """The arguments of ``tinynet`` that ask for it, on any engine and of the newest weights."""
        words = ["evaluate", os.fspath(self.run), "--split", self.split]
        words += ["--oversample"] if self.oversample else []
        return words + (["--sample", str(self.sample)] if self.sample else [])

    @property
    def out(self) -> Path:
        """The file that it writes."""
        return self.paths.probabilities(self.split, self.oversample, self.sample)


def stored(request: EvaluationRequest, say: Say = _silent) -> Probabilities | None:
    """Return the probabilities stored in the run, if they match the request; else None.

    They must be of the requested weights, engine (unless "auto") and precision, and of the images
    and classes of ``request.data`` or the run's own data.  What cannot be checked counts as a
    match: the run's own data may be gone, or its snapshots deleted.
    """
    if not request.out.exists():
        return None
    found = read_probabilities(request.out)
    if _matches(request, found, say):
        return found
    say(f"{request.out}: is of other weights, images, engine or precision; computing it again")
    return None


def _matches(request: EvaluationRequest, found: Probabilities, say: Say) -> bool:
    if request.engine != "auto" and found.engine.split(" ")[0] != request.engine:
        return False
    # the engine as in "torch 2.0 bf16": another precision gives another result
    if (*found.engine.split(" ")[2:], "float32")[0] != request.precision:
        return False
    images = _images_at_hand(request)
    theirs = (found.names.tolist(), found.wnids.tolist())
    if images is not None and (images.names, images.wnids) != theirs:
        return False
    if request.weights is None and request.iteration is None:
        weights, reasons = inputs.newest_weights(request.paths)
        if weights is None and not reasons:
            return True
        for reason in reasons:
            say(f"passed over {reason}")
    else:
        weights = _weights(request, _silent)
    return weights is not None and weights.sha256 == found.model_sha256


def _images_at_hand(request: EvaluationRequest) -> Images | None:
    try:
        return inputs.find_images(request.paths, request.split, request.data, request.sample)
    except (TinynetError, OSError):
        if request.data is not None:
            raise
        return None  # the run's own data is gone


def obtain(
    request: EvaluationRequest, say: Say = _silent, progress: Progress = _silent
) -> Probabilities:
    """Return the stored probabilities if they match the request, else compute them."""
    return stored(request, say) or evaluate(request, say, progress)


def evaluate(
    request: EvaluationRequest, say: Say = _silent, progress: Progress = _silent
) -> Probabilities:
    """Compute the probabilities of a split and write them to the run directory.

    Raises TinynetError if anything is missing or fails.
    """
    return compute(prepare(request, say), progress)


@dataclass(frozen=True)
class Evaluation:
    """An evaluation whose inputs have all been found and checked."""

    request: EvaluationRequest
    weights: Weights
    transform: Transform
    images: Images
    views: int  # per image
    engine: Engine
    gpu: int | None


def prepare(request: EvaluationRequest, say: Say = _silent) -> Evaluation:
    """Find run, net, weights, images, engine and device, and check that they fit together.

    Raises TinynetError as ``evaluate`` does, but before any computation.
    """
    paths = request.paths
    inputs.require_run(paths)
    weights = _weights(request, say)
    inputs.require_weights_fit(weights, paths.deploy)
    transform = inputs.read_transform(paths)
    images = inputs.find_images(paths, request.split, request.data, request.sample)
    views = view_count(*images.shape[1:], transform.crop_size, request.oversample)
    if request.oversample and views == 2:
        say(
            f"{request.run}: its nets see whole images, so that oversampling has no crops: "
            "averaging the image and its mirror"
        )
    engine = discovery.find(request.engine, request.caffe_python)
    gpu = devices.choose(engine, request.gpu, request.cpu)
    if gpu is None and not request.cpu and engine.name == "torch":
        why = devices.why_unused(engine.python)
        if why:
            say(why)
    require_precision(request.precision, engine, gpu)
    return Evaluation(request, weights, transform, images, views, engine, gpu)


def compute(evaluation: Evaluation, progress: Progress = _silent) -> Probabilities:
    """Compute the probabilities of a prepared evaluation and write them to the run directory.

    Raises TinynetError if the worker fails, or if its outputs are not probabilities of the data's
    classes.
    """
    request, weights, images = evaluation.request, evaluation.weights, evaluation.images
    paths, engine = request.paths, evaluation.engine
    p, labels = outputs(evaluation, progress)
    if p.shape[1] != len(images.wnids):
        raise TinynetError(
            f"{paths.deploy}: has {p.shape[1]} outputs, but {images.source.parent} has "
            f"{len(images.wnids)} classes; name the data set that it was trained on with --data"
        )
    result = Probabilities(
        probabilities=p,
        labels=labels,
        names=np.array(images.names),
        wnids=np.array(images.wnids),
        crop=request.crop,
        views=evaluation.views,
        split=request.split,
        iteration=weights.iteration,
        model_sha256=weights.sha256,
        engine=f"{engine.name} {engine.version}"
        + (f" {request.precision}" if request.precision != "float32" else ""),
    )
    try:
        write_probabilities(request.out, result)
    except ValueError as error:
        raise TinynetError(
            f"{weights.path}: gives no probabilities ({error}); the training may have diverged"
        ) from None
    return result


def _weights(request: EvaluationRequest, say: Say) -> Weights:
    if request.weights is not None:
        return inputs.weights_file(request.weights)
    weights, reasons = inputs.newest_weights(request.paths, request.iteration)
    for reason in reasons:
        say(f"passed over {reason}")
    if weights is None:
        of = "" if request.iteration is None else f" of iteration {request.iteration}"
        raise TinynetError(
            f"{request.paths.snapshots}: holds no whole .caffemodel{of}; train the run first, or "
            "name one with --weights"
        )
    return weights


def outputs(
    evaluation: Evaluation, progress: Progress = _silent, blob: str | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return float32 probabilities N×classes and int64 labels of all images, through a worker.

    ``blob``: return this blob's contents instead of probabilities, N×its own shape.  Raises
    TinynetError if the worker fails.
    """
    request, engine, images = evaluation.request, evaluation.engine, evaluation.images
    with tempfile.TemporaryDirectory(prefix="tinynet-") as name:
        folder = Path(name)
        out = folder / "out.npy"
        arguments = [
            "predict",
            f"--model={request.paths.deploy}",
            f"--weights={evaluation.weights.path}",
            f"--batch={request.batch_size or _batch_size(evaluation.gpu)}",
            f"--crop={request.crop}",
            f"--out={out}",
            *_input_arguments(images, evaluation.transform, folder),
        ]
        if request.precision != "float32":
            arguments.append(f"--precision={request.precision}")
        if evaluation.gpu is not None:
            arguments.append(f"--gpu={evaluation.gpu}")
        if blob is not None:
            arguments.append(f"--blob={blob}")
        report = ProgressEvents(progress, images.count)
        # real Caffe's interpreter may have no reader of LMDBs, or be too old for ours
        if engine.name == "torch":
            arguments += _source_arguments(images, folder)
            with start_worker(engine, arguments, take_event=report) as worker:
                worker.finish()
            labels: np.ndarray | None = np.load(folder / "labels.npy", allow_pickle=False)
        else:
            with start_worker(engine, arguments, take_event=report, with_input=True) as worker:
                labels = _send(worker, images)
                worker.finish()
        if labels is None:
            raise TinynetError(f"the worker ({engine.name}) ended before it had all images")
        return np.load(out, allow_pickle=False), labels


def of_pixels(
    run: Path, stack: np.ndarray, engine: str, weights: Weights, blob: str | None = None
) -> np.ndarray:
    """Run a run's net on images in memory; return their probabilities, or a blob's contents.

    ``stack``: uint8 N×3×H×W, B, G, R.  Uses the centre crop and the CPU.  Raises TinynetError if
    the run or the engine is missing, or if the worker fails.
    """
    request = EvaluationRequest(run, engine=engine, cpu=True)
    transform = inputs.read_transform(request.paths)
    with tempfile.TemporaryDirectory(prefix="tinynet-") as folder:
        source = Path(folder) / "images_lmdb"
        write_store(source, ((b"%08d" % n, encode_datum(each, 0)) for n, each in enumerate(stack)))
        images = Images(source, len(stack), stack.shape[1:], [], [], labelled=False)
        found = discovery.find(engine)
        evaluation = Evaluation(request, weights, transform, images, 1, found, None)
        return outputs(evaluation, blob=blob)[0]


def _batch_size(gpu: int | None) -> int:
    return BATCH_SIZE if gpu is None else GPU_BATCH_SIZE


class ProgressEvents:
    """Takes a worker's events, and passes those of progress to a callback."""

    def __init__(self, progress: Progress, count: int) -> None:
        self._progress, self._count, self._done = progress, count, 0

    def __call__(self, event: dict[str, Any]) -> None:
        if event["event"] == "progress":
            self._progress(event["images"] - self._done, self._count)
            self._done = event["images"]


def _input_arguments(images: Images, transform: Transform, folder: Path) -> list[str]:
    """The worker's arguments for the images' shape and transform; the mean goes to ``folder``."""
    np.save(folder / "mean.npy", transform.mean_of(images.shape[0]))
    return [
        f"--shape={','.join(map(str, images.shape))}",
        f"--count={images.count}",
        f"--crop-size={transform.crop_size}",
        f"--mean={folder / 'mean.npy'}",
        f"--scale={transform.scale!r}",
    ]


def _source_arguments(images: Images, folder: Path) -> list[str]:
    """The worker's arguments for reading the LMDB itself and writing the labels to ``folder``."""
    arguments = [f"--source={images.source}", f"--labels-out={folder / 'labels.npy'}"]
    if images.classes is not None:
        arguments.append(f"--classes={images.classes}")
    if images.chosen is not None:
        np.save(folder / "chosen.npy", np.array(images.chosen, np.int64))
        arguments.append(f"--chosen={folder / 'chosen.npy'}")
    return arguments


def _send(worker: WorkerProcess, images: Images) -> np.ndarray | None:
    """Send every image to the worker; return the labels, or None if it has ended."""
    labels = np.empty(images.count, dtype=np.int64)
    pending = bytearray()
    for number, (pixels, label) in enumerate(images.records()):
        labels[number] = label
        pending += pixels
        if len(pending) >= _CHUNK or number + 1 == images.count:
            if not worker.send(bytes(pending)):
                return None
            pending.clear()
    worker.end_input()
    return labels
