"""The manual's page that compares Caffe 1.0 with tinynet: ``python -m tests.caffe_page``.

What Caffe has is listed by hand, from its source and from Debian's build of it; what is here is
looked up in the engine and the command line.
"""

from __future__ import annotations

import importlib
import inspect
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import tinynet.torchcaffe as torchcaffe
from tests.torchcaffe.layer_data import supply
from tests.torchcaffe.pycaffe import debians_names
from tests.torchcaffe.small_nets import layer
from tests.torchcaffe.test_layer_types import DEBIANS
from tests.torchcaffe.user_scripts import as_caffe
from tinynet.caffeformat import schema, text
from tinynet.cli.caffe import ACTIONS, PROGRAMS
from tinynet.manual import FOLDER
from tinynet.torchcaffe import fillers, learning_rate, solver_types

PAGE = FOLDER / "caffe.md"

SOLVERS = ("SGD", "Nesterov", "AdaGrad", "RMSProp", "AdaDelta", "Adam")
POLICIES = ("fixed", "step", "exp", "inv", "multistep", "poly", "sigmoid")
FILLERS = ("constant", "gaussian", "positive_unitball", "uniform", "xavier", "msra", "bilinear")
BACKENDS = ("LEVELDB", "LMDB")
SNAPSHOTS = ("HDF5", "BINARYPROTO")
TOOLS = (
    *("caffe train", "caffe test", "caffe time", "caffe device_query"),
    *("convert_imageset", "compute_image_mean", "extract_features"),
    *("upgrade_net_proto_text", "upgrade_net_proto_binary", "upgrade_solver_proto_text"),
)
# of debians_names, the modules and the objects that have a section of their own
_MODULES = (
    *("caffe", "caffe.io", "caffe.net_spec", "caffe.draw", "caffe.coord_map", "caffe.classifier"),
    *("caffe.detector", "caffe.pycaffe", "caffe._caffe"),
)
_MEMBERS = (
    *("Net", "Blob", "Layer", "Solver", "SolverParameter", "Classifier", "Detector"),
    *("Transformer", "Timer", "NetSpec"),
)


def page() -> str:
    """Return the whole page, as it is committed."""
    with as_caffe():
        sections = [
            _section("Layer types", DEBIANS, torchcaffe.layer_type_list()),
            _section("Solver types", SOLVERS, _solvers()),
            _section("Learning-rate policies", POLICIES, learning_rate.POLICIES),
            _section("Fillers", FILLERS, fillers._FILLERS),
            _section("Database backends", BACKENDS, _backends()),
            _section("Snapshot formats", SNAPSHOTS, _snapshots()),
            _section("Programs, as `tinynet caffe …`", TOOLS, _tools()),
            *(_section(f"`{name}`", names_in_debian(name), _module(name)) for name in _MODULES),
            *(
                _section(f"Members of a `{kind}`", names_in_debian(kind), dir(held))
                for kind, held in pycaffe_objects().items()
                if kind in _MEMBERS
            ),
        ]
    return _HEAD + "\n".join(sections)


_HEAD = """# What Caffe has, and what is here

The names are those of Caffe 1.0 (BVLC's last master). The tests make this page from their own lists
and from what the engine has and does, and compare it with what is committed. Other tests check
what each name does, most of them against real Caffe. See [caffe scripts](caffe-scripts.md) for
running a script, and [layers of your own](layers-of-your-own.md) for what a fork of Caffe has more.

"""


def _section(title: str, names: Sequence[str], here: Collection[str]) -> str:
    """A table of one line where everything is supported, else of one row per name."""
    missing = [name for name in names if name not in here]
    found = ", ".join(f"`{name}`" for name in sorted(names, key=str.lower) if name in here)
    rows = [f"| {len(names) - len(missing)} of {len(names)} | {found} |"]
    rows += [f"| missing | `{name}` |" for name in missing]
    return "\n".join([f"## {title}", "", "| here | names |", "|---|---|", *rows, ""])


def _solvers() -> set[str]:
    classes = inspect.getmembers(solver_types, inspect.isclass)
    return {name[: -len("Solver")] for name, _ in classes if name.endswith("Solver")}


def _tools() -> set[str]:
    return {*PROGRAMS, *(f"caffe {action}" for action in ACTIONS)}


def names_in_debian(kind: str) -> list[str]:
    """Names that Debian's pycaffe has in a module or an object."""
    return debians_names.NAMES[kind].split()


def _module(name: str) -> list[str]:
    module = importlib.import_module(name)
    return [word for word in names_in_debian(name) if hasattr(module, word)]


def pycaffe_objects() -> dict[str, Any]:
    """One object of each class in debians_names: its entries that are not modules."""
    with tempfile.TemporaryDirectory() as folder:
        solver = _solver(Path(folder))
    net = solver.net
    return {
        "Net": net,
        "Blob": net.blobs["x"],
        "Layer": net.layers[0],
        "Solver": solver,
        "SolverParameter": solver.param,
        "BlobVec": net.layers[0].blobs,
        "RawBlobVec": net._blobs,
        "LayerVec": net.layers,
        "NetVec": solver.test_nets,
        "IntVec": net._inputs,
        "DtypeVec": net._blob_loss_weights,
        "StringVec": net._layer_names,
        "Classifier": torchcaffe.Classifier,
        "Detector": torchcaffe.Detector,
        "Transformer": torchcaffe.io.Transformer,
        "Timer": torchcaffe.Timer,
        "NetSpec": torchcaffe.NetSpec(),
    }


def _solver(folder: Path, settings: str = "") -> Any:
    path = folder / "solver.prototxt"
    path.write_text(
        f'base_lr: 1 lr_policy: "fixed" max_iter: 1 {settings} net_param {{ layer {{ name: "x" '
        'type: "Input" top: "x" input_param { shape { dim: 1 dim: 1 dim: 1 dim: 1 } } } }'
    )
    return torchcaffe.get_solver(str(path))


def _backends() -> list[str]:
    """Backends from which a net has read a batch."""
    found = []
    for name in BACKENDS:
        with tempfile.TemporaryDirectory() as folder:
            given = f"data_param {{ backend: {name} batch_size: 1 }}"
            net = text.parse(layer("Data", "", "data", given), schema.NetParameter, name)
            supply(net, Path(folder), (1, 2, 2), 2, 2)
            path = Path(folder) / "net.prototxt"
            path.write_text(text.format(net))
            if torchcaffe.Net(str(path), torchcaffe.TEST).forward()["data"].any():
                found.append(name)
    return found


def _snapshots() -> list[str]:
    """Snapshot formats of which a solver has written both files."""
    found = []
    for name in SNAPSHOTS:
        with tempfile.TemporaryDirectory() as folder:
            prefix = f'snapshot_prefix: "{folder}/x" snapshot_format: {name}'
            _solver(Path(folder), prefix).snapshot()
            if len(list(Path(folder).glob("x_iter_0.*"))) == 2:
                found.append(name)
    return found


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
