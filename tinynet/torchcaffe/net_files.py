"""Reading nets and weights in any of Caffe's formats, upgraded, with Caffe's log lines.

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
    """Log a message of an upgrade, as of the function that upgrades."""
    _SAY[severity](message, stacklevel=2)


def read_prototxt(path: str | Path) -> schema.NetParameter:
    """Read a prototxt as an up-to-date NetParameter.  Raises CaffeError."""
    require_file(path)
    with as_caffe_errors():
        schema.load_installed()
        return upgrade.read_net(path, say)


@contextlib.contextmanager
def locate_errors(path: str | Path | None) -> Iterator[None]:
    """Put ``FILE:LINE:`` and the layer's name before a CaffeError that concerns a layer.

    ``path`` is the net's prototxt.  If it is None, as for a net inside a solver's file, only the
    layer is named.
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
    """``FILE:LINE`` of a layer; the file alone if no layer has that name and those rules."""
    try:
        written = text.layers(path)
    except (TinynetError, OSError):  # the file has changed since it was read
        return str(path)
    rules = ([*layer.include], [*layer.exclude])
    lines = [
        line
        for one, line in written
        if one.name == layer.name  # V0 layers have no rules
        and ([*getattr(one, "include", [])], [*getattr(one, "exclude", [])]) == rules
    ]
    return f"{path}:{lines[0]}" if lines else str(path)


def read_caffemodel(path: str | Path) -> schema.NetParameter:
    """Read a .caffemodel as an up-to-date NetParameter.  Raises CaffeError."""
    require_file(path)
    with as_caffe_errors():
        schema.load_installed()
        return upgrade.read_model(path, say)


def upgraded(net: schema.NetParameter, source: str) -> schema.NetParameter:
    """Upgrade ``net``, read from ``source``, in place and return it.  Raises CaffeError."""
    with as_caffe_errors():
        upgrade.upgrade(net, source, say)
    return net
