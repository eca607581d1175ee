"""Estimates the memory of a training: refuses what cannot fit, and advises after a shortage."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from pathlib import Path

from tinynet import control_groups
from tinynet.caffeformat import phases, schema, shapes
from tinynet.caffeformat.datum import decode_datum
from tinynet.caffeformat.lmdb import open_store
from tinynet.errors import TinynetError
from tinynet.run.training_prototxt import TrainingPrototxt

IMAGE = (3, 64, 64)  # Tiny ImageNet's image size, used if there is no database

_SHORTAGE = re.compile(
    r"out of memory|OutOfMemoryError|MemoryError|can't allocate memory|Unable to allocate"
    r"|bad_alloc|CUBLAS_STATUS_ALLOC_FAILED|CUDNN_STATUS_ALLOC_FAILED",
    re.IGNORECASE,
)


def is_shortage(message: str) -> bool:
    """Whether a failure's message, of either engine, reports a lack of memory."""
    return _SHORTAGE.search(message) is not None


def estimate(prototxt: TrainingPrototxt, image: Sequence[int] | None = None) -> int | None:
    """Bytes that training takes at least, by ``caffeformat.shapes``; None if shapes are unknown.

    Counts the training net with its gradients and momentum, and the blobs of the test nets, which
    share its weights.  Column buffers, cuDNN's workspace and prefetched batches are not counted.
    """
    image = image or image_of(prototxt)
    try:
        total = shapes.infer(prototxt.train_net, schema.TRAIN, image).training_memory
        for net in prototxt.test_nets:
            blobs = shapes.infer(net, schema.TEST, image).blobs
            total += shapes.FLOAT32 * sum(map(math.prod, blobs.values()))
    except TinynetError:
        return None  # the shape of a layer depends on its data or code
    return total


def require(prototxt: TrainingPrototxt, solvers: int = 1) -> None:
    """Raise TinynetError, with the estimate, if so many solvers cannot fit into the memory.

    The limit is all memory, free or not, so that only what can never fit is refused.
    """
    needed, limit = estimate(prototxt), _memory_here()
    if needed is None or limit is None or solvers * needed <= limit:
        return
    name, size = _largest_layer(prototxt)
    several = f" with {solvers} solvers" if solvers > 1 else ""
    together = _shown(solvers * needed)
    raise TinynetError(
        f"{prototxt.path}: training{several} would take about {together}, more than the "
        f"{_shown(limit)} that this machine has; layer '{name}' alone takes {_shown(size)}: check "
        f"its sizes, and batch_size, which is {prototxt.batch_size}"
    )


def advice(prototxt: TrainingPrototxt) -> str:
    """Advice after a shortage: a smaller batch_size, and the iter_size that makes up for it."""
    batch, effective = prototxt.batch_size, prototxt.effective_batch
    needed = estimate(prototxt)
    about = "" if needed is None else f"training takes at least {_shown(needed)}; "
    half = estimate(prototxt.with_batch_size(batch // 2)) if batch > 1 else None
    if batch < 2 or (half is not None and half == needed):  # no layer has a batch_size to lower
        return f"{about}use a smaller net or smaller images, or pass fewer images at once"
    if batch % 2:
        return (
            f"{about}make batch_size {batch} smaller, and iter_size larger so that their product "
            f"stays {effective}"
        )
    less = "" if half is None else f" ({_shown(half)})"
    return (
        f"{about}batch_size {batch // 2}{less} with iter_size {2 * prototxt.solver.iter_size} "
        f"keeps the effective batch of {effective}"
    )


def image_of(prototxt: TrainingPrototxt) -> tuple[int, ...]:
    """Channels, height and width of the training images, from the database's first record.

    ``IMAGE`` if there is no database.  Raises TinynetError if the record is not a Datum.
    """
    for layer in phases.layers_of(prototxt.train_net, schema.TRAIN):
        path = Path(layer.data_param.source)
        if layer.type == "Data" and (path / "data.mdb").exists():
            try:
                with open_store(path) as store:
                    _, value = store.first()
                return decode_datum(value)[0].shape
            except TinynetError as error:
                raise TinynetError(f"{path}: its first record: {error}") from None
    return IMAGE


def _largest_layer(prototxt: TrainingPrototxt) -> tuple[str, int]:
    """The name of the training net's layer that takes most memory, and its bytes."""
    sizes = {
        layer.name: shapes.FLOAT32
        * (3 * layer.parameter_count + 2 * sum(math.prod(shape) for _, shape in layer.tops))
        for layer in shapes.infer(prototxt.train_net, schema.TRAIN, image_of(prototxt)).layers
    }
    return max(sizes.items(), key=lambda item: item[1])


def _memory_here() -> int | None:
    """Bytes of memory that this process may use; None if unknown."""
    try:
        limit = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return None
    return min(limit, control_groups.memory_limit() or limit)


def _shown(size: int) -> str:
    for unit, bytes_of in (("PB", 10**15), ("TB", 10**12), ("GB", 10**9), ("MB", 10**6)):
        if size >= bytes_of:
            return (
                f"{size / bytes_of:.3g} {unit}" if size < 1000 * bytes_of else f"{size:.1e} bytes"
            )
    return f"{size:,} bytes"
