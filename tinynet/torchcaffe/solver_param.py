"""Reading a solver prototxt, with what Caffe fills in or upgrades before it uses one.

Defined by ``ReadSolverParamsFromTextFileOrDie`` (src/caffe/util/upgrade_proto.cpp).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tinynet.caffeformat import schema, text
from tinynet.torchcaffe import glog
from tinynet.torchcaffe.errors import check, require_file

_SOURCE = "upgrade_proto.cpp"
_TYPES = ("SGD", "Nesterov", "AdaGrad", "RMSProp", "AdaDelta", "Adam")  # by the enum's numbers


def read(path: str | Path) -> Any:
    """The SolverParameter in the prototxt at ``path``, its old ``solver_type`` upgraded.

    A missing ``snapshot_prefix`` becomes the path without its extension; one that is a folder is
    given the file's name.  Raises PrototxtError, and CaffeError if the file cannot be opened or if
    both ``type`` and the older ``solver_type`` are there.
    """
    require_file(path)
    param = text.read(path, schema.SolverParameter)
    if param.HasField("solver_type"):
        check(
            not param.HasField("type"),
            f"{path}: give the solver's type by type (a string) or by the older solver_type; "
            "not both",
        )
        param.type = _TYPES[param.solver_type]
        param.ClearField("solver_type")
        glog.info(_SOURCE, f"{path}: took the deprecated solver_type for type: '{param.type}'")
    path = Path(path)
    if not param.HasField("snapshot_prefix"):
        param.snapshot_prefix = str(path.with_suffix(""))
        glog.info(
            _SOURCE, f"snapshot_prefix was not specified and is set to {param.snapshot_prefix}"
        )
    elif Path(param.snapshot_prefix).is_dir():
        param.snapshot_prefix = str(Path(param.snapshot_prefix) / path.stem)
        glog.info(
            _SOURCE,
            f"snapshot_prefix was a directory and is replaced to {param.snapshot_prefix}",
        )
    return param
