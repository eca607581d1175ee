"""Reading nets and weights of any of Caffe's formats: brought up to date, with Caffe's log lines.

Defined by ``ReadNetParamsFromTextFileOrDie`` and ``ReadNetParamsFromBinaryFileOrDie``
(src/caffe/util/upgrade_proto.cpp).
"""

from __future__ import annotations

from pathlib import Path

from tinynet.caffeformat import schema, upgrade
from tinynet.torchcaffe import glog
from tinynet.torchcaffe.errors import refusing, require_file

_SAY = {"info": glog.info, "warning": glog.warning, "error": glog.error}


def say(severity: str, message: str) -> None:
    """Log what the upgrade of a file says."""
    _SAY[severity](message, stacklevel=2)


def read_prototxt(path: str | Path) -> schema.NetParameter:
    """The up-to-date NetParameter of a prototxt.  Raises CaffeError."""
    require_file(path)
    with refusing():
        schema.load_installed()
        return upgrade.read_net(path, say)


def read_caffemodel(path: str | Path) -> schema.NetParameter:
    """The up-to-date NetParameter of a .caffemodel.  Raises CaffeError."""
    require_file(path)
    with refusing():
        schema.load_installed()
        return upgrade.read_model(path, say)


def upgraded(net: schema.NetParameter, source: str) -> schema.NetParameter:
    """A NetParameter from ``source``, brought up to date in place.  Raises CaffeError."""
    with refusing():
        upgrade.upgrade(net, source, say)
    return net
