"""Layers and messages from outside the package, through entry points or from a script."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.children import python

ROOT = Path(__file__).parents[2]
OUTSIDE = "tests.torchcaffe.outside"
ENTRY_POINTS = f"""
[tinynet.messages]
forks = {OUTSIDE}.messages:PROTO

[tinynet.layers]
mobile = {OUTSIDE}.mobile
roi_pooling = {OUTSIDE}.roi_pooling
ssd = {OUTSIDE}.ssd
"""


def in_child(
    *arguments: str, cwd: Path, path: Path | None = None
) -> subprocess.CompletedProcess[str]:
    places = [str(ROOT), *([str(path)] if path else [])]
    return python(*arguments, folder=cwd, PYTHONPATH=os.pathsep.join(places))


def install_package(folder: Path, entry_points: str = ENTRY_POINTS) -> Path:
    """Return a folder that looks to Python like one with a package installed by pip."""
    info = folder / "outside-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: outside\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entry_points)
    return folder


def test_installed_layers_compute_what_their_forks_define(tmp_path: Path) -> None:
    cases = ROOT / "tests" / "torchcaffe" / "outside" / "cases.py"
    arguments = ["-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", str(cases)]
    done = in_child(*arguments, cwd=ROOT, path=install_package(tmp_path))
    assert done.returncode == 0, done.stdout[-4000:]
    assert " passed" in done.stdout and "skipped" not in done.stdout


NET = """
layer { name: "data" type: "DummyData" top: "data" top: "label" dummy_data_param {
  shape { dim: 4 dim: 3 dim: 6 dim: 6 } shape { dim: 4 }
  data_filler { type: "gaussian" } data_filler { type: "constant" value: 1 } } }
layer { name: "norm" type: "Normalize" bottom: "data" top: "norm" norm_param { eps: 1e-6 } }
layer { name: "perm" type: "Permute" bottom: "norm" top: "perm"
  permute_param { order: 0 order: 2 } }
layer { name: "fc" type: "InnerProduct" bottom: "perm" top: "fc"
  inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" }
"""
PLAIN = "".join(re.split("(?=layer)", NET)[:2])  # only Caffe's own types
SOLVER = 'net: "net.prototxt" base_lr: 0.01 lr_policy: "fixed" max_iter: 2 snapshot_prefix: "s" {}'


@pytest.mark.parametrize(
    "command", [("caffe", "train", "-solver"), ("train", "--cpu", "--engine", "torch")]
)
def test_nets_with_installed_layers_train_from_the_command_line(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "net.prototxt").write_text(NET)
    (tmp_path / "solver.prototxt").write_text(SOLVER.format("train_state { level: 0 }"))
    path = install_package(tmp_path / "installed")
    done = in_child("-m", "tinynet", *command, "solver.prototxt", cwd=tmp_path, path=path)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.rglob("*_iter_2.caffemodel"))


SCRIPT = f"""
from tinynet.caffeformat import schema
from {OUTSIDE}.messages import PROTO
schema.declare(PROTO)
schema.declare(PROTO)  # once more changes nothing
import {OUTSIDE}.ssd
import caffe
from caffe.proto import caffe_pb2
from google.protobuf import text_format

net = caffe_pb2.NetParameter()
text_format.Merge(open("net.prototxt").read(), net)
print(list(net.layer[2].permute_param.order), net.layer[1].norm_param.across_spatial)
net = caffe.Net("net.prototxt", caffe.TEST)
net.forward()
print(net.blobs["perm"].data.shape)
"""


def test_a_script_declares_messages_and_imports_layers(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(NET)
    (tmp_path / "script.py").write_text(SCRIPT)
    done = in_child("-m", "tinynet.torchcaffe", "script.py", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[0, 2] True\n(4, 6, 3, 6)\n"


@pytest.mark.parametrize(
    ("entry_points", "message"),
    [
        (
            "[tinynet.layers]\nmissing = no_such_module_here\n",
            "the entry point 'missing = no_such_module_here' of the group tinynet.layers cannot be "
            "loaded: ModuleNotFoundError",
        ),
        (
            "[tinynet.messages]\nodd = os:sep\n",
            "the entry point odd of tinynet.messages: '/' comes before the first message",
        ),
    ],
)
def test_an_entry_point_that_is_wrong_is_named(
    entry_points: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / "net.prototxt").write_text(PLAIN)
    (tmp_path / "solver.prototxt").write_text(SOLVER.format(""))
    path = install_package(tmp_path / "installed", entry_points)
    done = in_child(
        "-m", "tinynet", "caffe", "train", "-solver", "solver.prototxt", cwd=tmp_path, path=path
    )
    assert done.returncode == 1
    assert message in done.stderr.splitlines()[-1]
