"""Reading stored arrays: the blobs of a snapshot, and the files that a net names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tinynet.caffeformat import binary, blob_proto, schema
from tinynet.torchcaffe import glog
from tinynet.torchcaffe.blob import Blob
from tinynet.torchcaffe.errors import as_caffe_errors, require_file

_SHOWN = 20  # layers of a file that a warning names
#: the end of the message if a file's layer of the same name has parameters of another shape
RENAME = "; to learn this layer from scratch, give it another name in the net"


def load(target: Blob, stored: schema.BlobProto, what: str, remedy: str = "") -> None:
    """Copy a BlobProto's data, and its diff if it has one, into ``target`` (Blob::FromProto).

    Raises CaffeError naming ``what``, with the ``remedy``, if the shapes differ.
    """
    with as_caffe_errors():
        data = blob_proto.decode(stored, what)
    target.load(data, what, remedy, blob_proto.has_legacy_shape(stored))
    if len(stored.diff) or len(stored.double_diff):
        with as_caffe_errors():
            diff = blob_proto.decode(stored, f"diff of {what}", "diff")
        target.load_diff(diff)


def warn_where_none_is_taken(taken: int, net: str, layers: Sequence[str], source: str) -> None:
    """Log a warning if a net has ``taken`` none of the blobs of a file's layers.

    Caffe says nothing, and trains or scores a net with random weights.
    """
    if not taken:
        names = ", ".join(layers[:_SHOWN]) + (", …" if len(layers) > _SHOWN else "")
        glog.warning(
            f"{source}: no layer of net '{net}' has taken weights from this file, whose layers "
            f"are: {names or 'none'}",
        )


def read(path: str | Path) -> np.ndarray:
    """Read the array, such as a mean or a matrix, in the .binaryproto at ``path``.

    Raises CaffeError if the file cannot be read or holds no BlobProto.
    """
    require_file(path)
    with as_caffe_errors():
        return blob_proto.decode(binary.read(path, schema.BlobProto), str(path))
