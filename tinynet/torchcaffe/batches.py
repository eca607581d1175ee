"""Running arrays of any length through a net in batches: pycaffe's ``forward_all``.

Semantics: ``_Net_forward_all``, ``_Net_forward_backward_all`` and ``_Net_batch`` of Caffe's
``pycaffe.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any, Protocol

import numpy as np

from tinynet.torchcaffe.errors import check

Arrays = dict[str, np.ndarray]


class Net(Protocol):
    """The part of ``net.Net`` that is used here; its module imports this one."""

    inputs: Any
    outputs: Any
    blobs: Any

    def forward(self, blobs: Sequence[str] | None = None, **inputs: Any) -> Arrays: ...

    def backward(self, diffs: Sequence[str] | None = None, **outputs: Any) -> Arrays: ...


def run(
    net: Net, *, arrays: Arrays, blobs: Sequence[str], diffs: Sequence[str] | None = None
) -> tuple[Arrays, Arrays]:
    """Run ``arrays`` through ``net``, forward, and backward unless ``diffs`` is None.

    ``arrays`` have equal lengths: data by input name and, for backward, diffs by output name.
    Returns the data of the outputs and of ``blobs``, and the diffs of the inputs and of ``diffs``,
    each as long as the arrays.  Raises CaffeError if there are no arrays, or if their lengths
    differ (pycaffe would combine rows that do not belong together).
    """
    lengths = {name: len(rows) for name, rows in arrays.items()}
    shown = ", ".join(f"{name} {length}" for name, length in lengths.items()) or "none"
    check(len(set(lengths.values())) == 1, f"arrays must be of one length; got {shown}")
    data: dict[str, list[np.ndarray]] = {name: [] for name in {*net.outputs, *blobs}}
    grads: dict[str, list[np.ndarray]] = {}
    forwards = split(net, {k: arrays[k] for k in net.inputs if k in arrays})
    backwards: Iterator[Arrays] = iter(())
    if diffs is not None:
        grads = {name: [] for name in {*net.inputs, *diffs}}
        backwards = split(net, {k: arrays[k] for k in net.outputs if k in arrays})
    nothing: dict[str, Any] = {}
    for inputs, outputs in zip_longest(forwards, backwards, fillvalue=nothing):
        for name, array in net.forward(blobs=blobs, **inputs).items():
            data[name].extend(array.copy())
        if diffs is not None:
            for name, array in net.backward(diffs=diffs, **outputs).items():
                grads[name].extend(array.copy())
    (count,) = set(lengths.values())
    return (
        {name: np.asarray(rows)[:count] for name, rows in data.items()},
        {name: np.asarray(rows)[:count] for name, rows in grads.items()},
    )


def split(net: Net, arrays: Arrays) -> Iterator[Arrays]:
    """Yield ``arrays``, all of one length, in the net's batch size; zeros pad the last batch."""
    if not arrays:
        return
    size = next(iter(net.blobs.values())).shape[0]
    for begin in range(0, len(next(iter(arrays.values()))), size):
        batch = {name: np.asarray(rows[begin : begin + size]) for name, rows in arrays.items()}
        yield {
            name: np.concatenate([rows, np.zeros((size - len(rows), *rows.shape[1:]))])
            if len(rows) < size
            else rows
            for name, rows in batch.items()
        }
