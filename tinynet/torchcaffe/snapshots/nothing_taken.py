"""The warning that a file of weights was of no use to a net."""

from __future__ import annotations

from collections.abc import Sequence

from tinynet.torchcaffe import glog

_SHOWN = 20


def warn(taken: int, net: str, layers: Sequence[str], source: str) -> None:
    """Log a warning where a net has ``taken`` none of the blobs of a file's layers.

    Caffe goes on without a word, and trains or scores a net of random weights.
    """
    if taken:
        return
    names = ", ".join(layers[:_SHOWN]) + (", …" if len(layers) > _SHOWN else "")
    glog.warning(
        f"{source}: no layer of net '{net}' has taken weights from this file, whose layers are: "
        f"{names or 'none'}",
    )
