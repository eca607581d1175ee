"""Reading nets and weights of any of Caffe's formats: brought up to date, with Caffe's log lines.

Defined by ``ReadNetParamsFromTextFileOrDie`` and ``ReadNetParamsFromBinaryFileOrDie``
(src/caffe/util/upgrade_proto.cpp).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tinynet.caffeformat import upgrade
from tinynet.errors import TinynetError
from tinynet.torchcaffe import glog
from tinynet.torchcaffe.errors import CaffeError, require_file

_SAY = {"info": glog.info, "warning": glog.warning, "error": glog.error}


def say(severity: str, message: str) -> None:
    """Log what the upgrade of a file says."""
    _SAY[severity]("upgrade_proto.cpp", message)


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    """Let a file that cannot be read leave the block by a CaffeError, as real Caffe aborts."""
    try:
        yield
    except CaffeError:
        raise
    except TinynetError as error:
        raise CaffeError(str(error)) from error


def read_prototxt(path: str | Path) -> Any:
    """The up-to-date NetParameter of a prototxt.  Raises CaffeError."""
    require_file(path)
    with refusals():
        return upgrade.read_net(path, say)


def read_caffemodel(path: str | Path) -> Any:
    """The up-to-date NetParameter of a .caffemodel.  Raises CaffeError."""
    require_file(path)
    with refusals():
        return upgrade.read_model(path, say)


def upgraded(net: Any, source: str) -> Any:
    """A NetParameter from ``source``, brought up to date in place.  Raises CaffeError."""
    with refusals():
        upgrade.upgrade(net, source, say)
    return net
