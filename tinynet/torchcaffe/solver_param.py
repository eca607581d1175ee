"""Reading a solver prototxt, filled in and upgraded as Caffe does before use.

Defined by ``ReadSolverParamsFromTextFileOrDie`` (src/caffe/util/upgrade_proto.cpp).
"""

from __future__ import annotations

from pathlib import Path

from tinynet.caffeformat import schema, text, upgrade
from tinynet.torchcaffe import glog, net_files
from tinynet.torchcaffe.errors import as_caffe_errors, require_file


def read(path: str | Path) -> schema.SolverParameter:
    """Read the SolverParameter in the prototxt at ``path``; upgrade an old ``solver_type``.

    A missing ``snapshot_prefix`` becomes the path without its extension; the file's name is
    appended to one that is a folder.  Raises CaffeError if the file cannot be opened or read, or if
    it has both ``type`` and the older ``solver_type``.
    """
    require_file(path)
    with as_caffe_errors():
        schema.load_installed()
        param = text.read(path, schema.SolverParameter)
        upgrade.upgrade_solver(param, str(path), net_files.say)
    path = Path(path)
    if not param.HasField("snapshot_prefix"):
        param.snapshot_prefix = str(path.with_suffix(""))
        glog.info(f"snapshot_prefix was not specified and is set to {param.snapshot_prefix}")
    elif Path(param.snapshot_prefix).is_dir():
        param.snapshot_prefix = str(Path(param.snapshot_prefix) / path.stem)
        glog.info(
            f"snapshot_prefix was a directory and is replaced to {param.snapshot_prefix}",
        )
    return param
