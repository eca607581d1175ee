"""Reading nets and weights of any of Caffe's formats: brought up to date, with Caffe's log lines.

Defined by ``ReadNetParamsFromTextFileOrDie`` and ``ReadNetParamsFromBinaryFileOrDie``
(src/caffe/util/upgrade_proto.cpp).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tinynet.caffeformat import schema, text, upgrade
from tinynet.errors import TinynetError
from tinynet.torchcaffe import glog
from tinynet.torchcaffe.errors import CaffeError, as_caffe_errors, require_file

_SAY = {"info": glog.info, "warning": glog.warning, "error": glog.error}


def say(severity: str, message: str) -> None:
    """Log what the upgrade of a file says."""
    _SAY[severity](message, stacklevel=2)


def read_prototxt(path: str | Path) -> schema.NetParameter:
    """The up-to-date NetParameter of a prototxt.  Raises CaffeError."""
    require_file(path)
    with as_caffe_errors():
        schema.load_installed()
        return upgrade.read_net(path, say)


@contextlib.contextmanager
def locate_errors(path: str | Path | None) -> Iterator[None]:
    """Let a CaffeError that a net's layer raises begin with ``FILE:LINE:`` and name the layer.

    ``path`` is the prototxt of the net; of none, as of a net inside its solver's file, the layer
    alone is named.
    """
    try:
        yield
    except CaffeError as error:
        layer = error.layer
        if layer is not None:
            where = "" if path is None else f"{_where(path, layer)}: "
            what = str(error)
            if not any(f"layer {name}" in what for name in (layer.name, f"'{layer.name}'")):
                what = f"{layer.type} layer {layer.name}: {what}"
            error.args = (where + what, *error.args[1:])
            error.layer = None
        raise


def _where(path: str | Path, layer: schema.LayerParameter) -> str:
    """``FILE:LINE`` of a layer; the file alone if it has none of that name and those rules."""
    try:
        written = text.layers(path)
    except (TinynetError, OSError):  # it has changed since it was read
        return str(path)
    rules = ([*layer.include], [*layer.exclude])
    lines = [
        line
        for one, line in written
        if one.name == layer.name  # V0's layers have no rules
        and ([*getattr(one, "include", [])], [*getattr(one, "exclude", [])]) == rules
    ]
    return f"{path}:{lines[0]}" if lines else str(path)


def read_caffemodel(path: str | Path) -> schema.NetParameter:
    """The up-to-date NetParameter of a .caffemodel.  Raises CaffeError."""
    require_file(path)
    with as_caffe_errors():
        schema.load_installed()
        return upgrade.read_model(path, say)


def upgraded(net: schema.NetParameter, source: str) -> schema.NetParameter:
    """A NetParameter from ``source``, brought up to date in place.  Raises CaffeError."""
    with as_caffe_errors():
        upgrade.upgrade(net, source, say)
    return net
