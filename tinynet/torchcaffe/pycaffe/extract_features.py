"""``extract_features``: stores blobs of a net in databases (tools/extract_features.cpp)."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np

from tinynet.caffeformat import schema
from tinynet.caffeformat.database import new_database
from tinynet.errors import UsageError
from tinynet.torchcaffe import context, glog
from tinynet.torchcaffe.errors import as_caffe_errors, check
from tinynet.torchcaffe.net import TEST, Net

_EACH = 1000  # records between two log lines


def run(flags: dict[str, Any]) -> int:
    """Extract; ``flags`` are weights, net, blobs, databases, batches, backend, mode and device.

    Raises UsageError if there are not as many databases as blobs, CaffeError for a blob that the
    net does not have.
    """
    blobs, databases = flags["blobs"].split(","), flags["databases"].split(",")
    if len(blobs) != len(databases):
        raise UsageError(
            f"there must be as many blobs as databases; got {len(blobs)} and {len(databases)}"
        )
    _choose_device(flags["mode"], flags["device"])
    net = Net(flags["net"], TEST)
    net.copy_from(flags["weights"])
    for name in blobs:
        check(name in net.blobs, f"unknown feature blob name {name} in the network {flags['net']}")
    counts = [0] * len(blobs)
    with contextlib.ExitStack() as open_ones, as_caffe_errors():
        writers = []
        for path in databases:
            glog.info(f"Opening dataset {path}")
            writers.append(open_ones.enter_context(new_database(Path(path), flags["backend"])))
        glog.error("Extracting Features")
        for _ in range(flags["batches"]):
            net.run_forward()
            for i, name in enumerate(blobs):
                for datum in _datums(net.blobs[name].data):
                    writers[i].put(b"%010d" % counts[i], datum)
                    counts[i] += 1
                    if counts[i] % _EACH == 0:
                        _extracted(counts[i], name)
    for name, count in zip(blobs, counts):
        _extracted(count, name)
    glog.error("Successfully extracted the features!")
    return 0


def _extracted(count: int, name: str) -> None:
    glog.error(f"Extracted features of {count} query images for feature blob {name}")


def _choose_device(mode: str, device: int) -> None:
    if mode != "GPU":
        glog.error("Using CPU")
        context.set_mode_cpu()
        return
    glog.error("Using GPU")
    glog.error(f"Using Device_id={device}")
    context.set_device(device)
    context.set_mode_gpu()


def _datums(values: np.ndarray) -> list[bytes]:
    """A Datum for each item of a blob of at most four axes; missing axes count as 1."""
    check(values.ndim <= 4, f"a Datum has three axes; got a blob of shape {values.shape}")
    shape = (*values.shape, 1, 1, 1, 1)[:4]
    found = []
    for item in values.reshape(shape):
        datum = schema.Datum(channels=shape[1], height=shape[2], width=shape[3])
        datum.float_data.extend(item.ravel().tolist())
        found.append(datum.SerializeToString())
    return found
