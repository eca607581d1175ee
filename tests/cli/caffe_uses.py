"""Right and wrong uses of Caffe's command line, and the files that they are tried on.

``golden/caffe_uses.json`` holds what the program ``caffe`` of Debian 11 does with each of them
(``golden/make_caffe_uses_golden.py`` asks it): exit status, stream, and what its message names.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

GOLDEN = Path(__file__).parent / "golden" / "caffe_uses.json"

_NET = """
name: "small"
layer { name: "data" type: "DummyData" top: "data" top: "label"
  dummy_data_param { shape { dim: 4 dim: 3 } shape { dim: 4 }
    data_filler { type: "constant" value: 1 } data_filler { type: "constant" value: 0 } } }
layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc"
  inner_product_param { num_output: 2 weight_filler { type: "gaussian" std: 0.1 } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" }
layer { name: "accuracy" type: "Accuracy" bottom: "fc" bottom: "label" top: "accuracy"
  include { phase: TEST } }
"""
_SOLVER = """
net: "net.prototxt" base_lr: 0.1 lr_policy: "fixed" max_iter: 3 display: 1
test_iter: 1 test_interval: 2 random_seed: 1 snapshot_prefix: "small" solver_mode: CPU
"""
_STAGED = """
layer { name: "extra" type: "Power" bottom: "fc" top: "extra" include { stage: "more" } }
layer { name: "deep" type: "Power" bottom: "fc" top: "deep" include { min_level: 2 } }
layer { name: "quiet" type: "Silence" bottom: "fc" exclude { stage: "" } }
"""
FILES = {
    "net.prototxt": _NET,
    "solver.prototxt": _SOLVER,
    "staged.prototxt": _NET + _STAGED,
    "empty": "",
    "broken_solver.prototxt": _SOLVER + 'base_lr = "fast" {',
    "unknown_field.prototxt": _SOLVER + "learning_rate: 0.1",
    "without_net.prototxt": _SOLVER.replace('net: "net.prototxt"', ""),
    "missing_net.prototxt": _SOLVER.replace("net.prototxt", "nowhere.prototxt"),
    "unknown_layer_solver.prototxt": _SOLVER.replace("net.prototxt", "unknown_layer.prototxt"),
    "unknown_layer.prototxt": _NET.replace("InnerProduct", "OuterProduct"),
    "broken_net.prototxt": _NET + "layer {",
    "unknown_bottom.prototxt": _NET.replace('bottom: "data"', 'bottom: "date"'),
    "bad_policy.prototxt": _SOLVER.replace("fixed", "mended"),
    "no_folder.prototxt": _SOLVER.replace('"small"', '"nowhere/small"'),
    "weights_are_text.caffemodel": "no message of protobuf's, but a line of text\n",
}


class Use(NamedTuple):
    """Arguments of ``caffe``, and the word that a message about them must contain.

    Tried in a folder of FILES in which ``train -solver=solver.prototxt`` has run.
    """

    arguments: str
    culprit: str = ""


USES: dict[str, Use] = {
    "nothing": Use(""),
    "no action": Use("-solver=solver.prototxt"),
    "unknown action": Use("brew", "brew"),
    "two dashes and no more": Use("time -model=net.prototxt -- -iterations=x"),
    "two actions": Use("train test -solver=solver.prototxt"),
    "help": Use("--help"),
    "help, one dash": Use("-help"),
    "help of an action": Use("train --help"),
    "version": Use("--version"),
    "version, one dash": Use("-version"),
    "unknown flag": Use("train -solver=solver.prototxt -speed=9", "speed"),
    "unknown switch": Use("train -solver=solver.prototxt -fast", "fast"),
    "train": Use("train -solver=solver.prototxt"),
    "train, two dashes": Use("train --solver=solver.prototxt"),
    "train, a space": Use("train -solver solver.prototxt"),
    "train, flags first": Use("-solver solver.prototxt train"),
    "train, a dash for an underscore": Use("train -solver=solver.prototxt --log-dir=logs"),
    "train, flag without value": Use("train -solver", "solver"),
    "train, a flag twice": Use("train -solver=nowhere -solver=solver.prototxt"),
    "train without solver": Use("train", "solver"),
    "train, solver empty": Use("train -solver=", "solver"),
    "train, solver missing": Use("train -solver=nowhere.prototxt", "nowhere.prototxt"),
    "train, solver a folder": Use("train -solver=."),
    "train, solver of no bytes": Use("train -solver=empty"),
    "train, solver broken": Use("train -solver=broken_solver.prototxt", "broken_solver.prototxt"),
    "train, solver with unknown field": Use(
        "train -solver=unknown_field.prototxt", "unknown_field.prototxt"
    ),
    "train, solver without net": Use("train -solver=without_net.prototxt"),
    "train, net missing": Use("train -solver=missing_net.prototxt", "nowhere.prototxt"),
    "train, unknown layer": Use("train -solver=unknown_layer_solver.prototxt", "OuterProduct"),
    "train, unknown lr_policy": Use("train -solver=bad_policy.prototxt", "mended"),
    "train, the net as solver": Use("train -solver=net.prototxt", "net.prototxt"),
    "train, no folder for snapshots": Use("train -solver=no_folder.prototxt"),
    "train, weights and snapshot": Use(
        "train -solver=solver.prototxt -weights=small_iter_3.caffemodel"
        " -snapshot=small_iter_3.solverstate",
        "not both",
    ),
    "train from weights": Use("train -solver=solver.prototxt -weights=small_iter_3.caffemodel"),
    "train from weights, two files": Use(
        "train -solver=solver.prototxt -weights=small_iter_3.caffemodel,small_iter_3.caffemodel"
    ),
    "train from a snapshot": Use(
        "train -solver=solver.prototxt -snapshot=small_iter_3.solverstate"
    ),
    "train, weights missing": Use(
        "train -solver=solver.prototxt -weights=nowhere.caffemodel", "nowhere.caffemodel"
    ),
    "train, snapshot missing": Use(
        "train -solver=solver.prototxt -snapshot=nowhere.solverstate", "nowhere.solverstate"
    ),
    "train, snapshot of text": Use(
        "train -solver=solver.prototxt -snapshot=weights_are_text.caffemodel"
    ),
    "train, gpu 0": Use("train -solver=solver.prototxt -gpu 0", "GPU"),
    "train, gpu all": Use("train -solver=solver.prototxt -gpu all", "GPU"),
    "train, gpu of no number": Use("train -solver=solver.prototxt -gpu one"),
    "train, unknown effect": Use("train -solver=solver.prototxt -sigint_effect foo", "foo"),
    "train, unknown effect of SIGHUP": Use(
        "train -solver=solver.prototxt -sighup_effect foo", "foo"
    ),
    "train, effect in capitals": Use("train -solver=solver.prototxt -sigint_effect STOP", "STOP"),
    "train, log_dir": Use("train -solver=solver.prototxt -log_dir=logs"),
    "train, files of glog's": Use("train -solver=solver.prototxt -max_log_size=10 -v 1"),
    "train, log_dir missing": Use("train -solver=solver.prototxt -log_dir=nowhere"),
    "train, level of no number": Use("train -solver=solver.prototxt -level=high", "high"),
    "train, minloglevel": Use("train -solver=solver.prototxt -minloglevel=2"),
    "train, flags of test": Use("train -solver=solver.prototxt -iterations=0 -phase=foo"),
    "test": Use("test -model=net.prototxt -weights=small_iter_3.caffemodel -iterations=1"),
    "test without model": Use("test -weights=small_iter_3.caffemodel", "model"),
    "test without weights": Use("test -model=net.prototxt", "weights"),
    "test, model missing": Use(
        "test -model=nowhere.prototxt -weights=small_iter_3.caffemodel", "nowhere.prototxt"
    ),
    "test, weights missing": Use(
        "test -model=net.prototxt -weights=nowhere.caffemodel", "nowhere.caffemodel"
    ),
    "test, weights of no bytes": Use("test -model=net.prototxt -weights=empty -iterations=1"),
    "test, weights of text": Use(
        "test -model=net.prototxt -weights=weights_are_text.caffemodel",
        "weights_are_text.caffemodel",
    ),
    "test, weights a folder": Use("test -model=net.prototxt -weights=."),
    "test, two files of weights": Use(
        "test -model=net.prototxt -iterations=1"
        " -weights=small_iter_3.caffemodel,small_iter_3.caffemodel"
    ),
    "test, no iterations": Use(
        "test -model=net.prototxt -weights=small_iter_3.caffemodel -iterations=0"
    ),
    "test, iterations below 0": Use(
        "test -model=net.prototxt -weights=small_iter_3.caffemodel -iterations=-1"
    ),
    "time, iterations of no whole number": Use("time -model=net.prototxt -iterations=1.5", "1.5"),
    "test, iterations of no number": Use("test -model=net.prototxt -iterations=abc", "abc"),
    "test, gpu 0": Use("test -model=net.prototxt -weights=small_iter_3.caffemodel -gpu=0", "GPU"),
    "test, unknown layer": Use(
        "test -model=unknown_layer.prototxt -weights=nowhere", "OuterProduct"
    ),
    "test, unknown effect": Use(
        "test -model=net.prototxt -weights=small_iter_3.caffemodel -iterations=1 -sigint_effect=foo"
    ),
    "time": Use("time -model=net.prototxt -iterations=1"),
    "time without model": Use("time", "model"),
    "time, no iterations": Use("time -model=net.prototxt -iterations=0"),
    "time, iterations below 0": Use("time -model=net.prototxt -iterations=-1"),
    "time, phase TEST": Use("time -model=net.prototxt -iterations=1 -phase=TEST"),
    "time, unknown phase": Use("time -model=net.prototxt -iterations=1 -phase=test", "TRAIN"),
    "time, a stage": Use("time -model=staged.prototxt -iterations=1 -stage=more"),
    "time, two stages": Use("time -model=staged.prototxt -iterations=1 -stage=more,other"),
    "time, a level": Use("time -model=staged.prototxt -iterations=1 -level=2"),
    "time, neither": Use("time -model=staged.prototxt -iterations=1"),
    "time, broken net": Use("time -model=broken_net.prototxt -iterations=1", "broken_net.prototxt"),
    "time, unknown bottom": Use("time -model=unknown_bottom.prototxt -iterations=1", "date"),
    "time, weights as well": Use("time -model=net.prototxt -iterations=1 -weights=nowhere"),
    "time, gpu 0": Use("time -model=net.prototxt -iterations=1 -gpu=0", "GPU"),
    "device_query": Use("device_query"),
    "device_query, gpu 0": Use("device_query -gpu=0", "GPU"),
    "device_query, gpu all": Use("device_query -gpu=all", "GPU"),
}


class Answer(NamedTuple):
    """A program's exit status, whether it wrote to stdout, and whether it named the culprit."""

    status: int
    writes_to_stdout: bool
    names_culprit: bool


def prepare(folder: Path) -> None:
    """Write FILES into ``folder``, and an empty folder for logs."""
    for name, text in FILES.items():
        (folder / name).write_text(text)
    (folder / "logs").mkdir()


def golden() -> dict[str, Answer]:
    """What Debian's ``caffe`` did, by the name of the use."""
    return {name: Answer(*answer) for name, answer in json.loads(GOLDEN.read_text()).items()}
