"""What a solver logs is what real Caffe logs, and Caffe's own tools read it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import types
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest

from tests.torchcaffe.user_scripts import Said, assert_says_the_same, in_real_caffe, in_torchcaffe
from tinynet.caffeformat.datum import encode_datum
from tinynet.caffeformat.lmdb import write_store

Solved = Callable[[str], tuple[Said, Said]]
ParseLog = Callable[[str], tuple[list[dict[str, Any]], list[dict[str, Any]]]]

NET = """
name: "small"
layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TRAIN }
  data_param { source: "../train_lmdb" batch_size: 8 backend: LMDB }
  transform_param { mirror: true crop_size: 6 scale: 0.01 } }
layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TEST }
  data_param { source: "../train_lmdb" batch_size: 5 backend: LMDB }
  transform_param { crop_size: 6 scale: 0.01 } }
layer { name: "fc1" type: "InnerProduct" bottom: "data" top: "fc1"
  inner_product_param { num_output: 7 weight_filler { type: "xavier" } } }
layer { name: "relu" type: "ReLU" bottom: "fc1" top: "fc1" }
layer { name: "drop" type: "Dropout" bottom: "fc1" top: "fc1" }
layer { name: "fc2" type: "InnerProduct" bottom: "fc1" top: "fc2"
  param { name: "shared" } inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc2" bottom: "label" top: "loss" }
layer { name: "accuracy" type: "Accuracy" bottom: "fc2" bottom: "label" top: "accuracy"
  include { phase: TEST } }
layer { name: "top2" type: "Accuracy" bottom: "fc2" bottom: "label" top: "top2"
  include { phase: TEST stage: "second" } accuracy_param { top_k: 2 } }
"""
SOLVE = """
import caffe
caffe.set_mode_cpu()
solver = caffe.get_solver("solver.prototxt")
solver.solve()
"""
COMMON = (
    'net: "net.prototxt" random_seed: 11 base_lr: 0.05 momentum: 0.9 lr_policy: "multistep" '
    'gamma: 0.1 stepvalue: 12 display: 5 snapshot_prefix: "small" test_iter: 3 test_interval: 10 '
)
SOLVERS = {
    "plain": COMMON + "max_iter: 20 snapshot: 10",
    "average_loss": COMMON + "max_iter: 23 average_loss: 4",
    "iter_size, clipping": COMMON + "max_iter: 20 iter_size: 2 clip_gradients: 0.5",
    "several test nets": (
        COMMON + 'max_iter: 20 test_iter: 2 test_compute_loss: true test_state { stage: "first" } '
        'test_state { stage: "second" }'
    ),
    "no first test": COMMON + "max_iter: 15 test_initialization: false snapshot_after_train: false",
    "debug_info": COMMON + "max_iter: 10 debug_info: true",
}


@pytest.fixture(scope="module")
def lmdb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 30 images of 3×8×8 in four classes as ``train_lmdb``."""
    folder = tmp_path_factory.mktemp("logs")
    draw = np.random.default_rng(8)
    images = draw.integers(0, 256, (30, 3, 8, 8), dtype=np.uint8)
    write_store(
        folder / "train_lmdb",
        [(b"%04d" % i, encode_datum(pixels, i % 4)) for i, pixels in enumerate(images)],
    )
    return folder


@pytest.fixture(scope="module")
def solved(caffe_python: str, lmdb: Path) -> Solved:
    """``solved(case)`` → (real Caffe's log of solving it, our log); each case runs once."""
    kept: dict[str, tuple[Said, Said]] = {}

    def solve(case: str) -> tuple[Said, Said]:
        if case not in kept:
            folders = [lmdb / f"{name}{len(kept)}" for name in ("real", "ours")]
            for folder in folders:
                folder.mkdir()
                (folder / "net.prototxt").write_text(NET)
                (folder / "solver.prototxt").write_text(SOLVERS[case])
            real, ours = folders
            kept[case] = in_real_caffe(caffe_python, SOLVE, real), in_torchcaffe(SOLVE, ours)
        return kept[case]

    return solve


@pytest.fixture(scope="module")
def parse_log(caffe_source: Path) -> ParseLog:
    """Caffe's tools/extra/parse_log.py, loaded from Caffe's source."""
    folder = caffe_source / "tools" / "extra"
    module = types.ModuleType("parse_log")
    # the tool is written for Python 2; this print statement is all that Python 3 cannot read
    text = (folder / "parse_log.py").read_text().replace("print 'Wrote %s'", "'Wrote %s'")
    sys.path.insert(0, str(folder))
    try:
        exec(compile(text, str(folder / "parse_log.py"), "exec"), module.__dict__)
    finally:
        sys.path.remove(str(folder))
    return module.parse_log


# the files that log what a solver does, Caffe's and this engine's
CAFFES_SOLVER_FILES = ("solver.cpp", "sgd_solver.cpp")
SOLVER_FILES = (
    *("solver.py", "scoring.py", "display.py"),
    *("solver_nets.py", "sgd.py", "learning_rate.py", "snapshot.py"),
)


def lines_of(log: str, *sources: str) -> str:
    """The messages that the files ``sources`` print, without speeds and line numbers."""
    found = re.findall(r"^[IWE]\d+ [\d:.]+ +\d+ (\S+?):\d+\] (.*)$", log, re.M)
    messages = [message for source, message in found if source in sources]
    return "\n".join(re.sub(r"\(.*? iter/s, .*?s/", "(#/", message) for message in messages)


@pytest.mark.parametrize("case", SOLVERS)
def test_the_solver_log_equals_real_caffes(case: str, solved: Solved) -> None:
    real, ours = solved(case)
    assert_says_the_same(
        lines_of(real.log, *CAFFES_SOLVER_FILES), lines_of(ours.log, *SOLVER_FILES)
    )


def whole_log(log: str) -> str:
    """Return every message of the log in order, without times, speeds and sources.

    Left out are the line that opens a database, which Caffe logs before the layer's tops and we log
    after them; the Softmax that Caffe creates under the name of its SoftmaxWithLoss; and lines that
    depend on the speed of Caffe's threads.
    """
    log = re.sub(r"^[IWE]\d+ [\d:.]+ +\d+ \S+?:\d+\] ", "", log, flags=re.M)
    log = re.sub(r"\(.*? iter/s, .*?s/", "(#/", log)
    passing = r"WARNING: Logging before|Opened lmdb|Waiting for data|Restarting data prefetching"
    lines = [line for line in log.split("\n") if not re.match(passing, line)]
    made = [line.startswith("Creating layer ") for line in lines]
    twice = [line.endswith("layer loss") and not made[i + 1] for i, line in enumerate(lines[:-1])]
    return "\n".join(
        line
        for i, line in enumerate(lines)
        if not (made[i] and twice[i] and "-> loss" in lines[i - 1])
    )


@pytest.mark.parametrize("case", SOLVERS)
def test_the_whole_log_equals_real_caffes_line_by_line(case: str, solved: Solved) -> None:
    """Covers parameters, layers that a phase excludes, blobs, shapes, memory and what learns."""
    real, ours = solved(case)
    assert "NetState" in real.log
    assert_says_the_same(whole_log(real.log), whole_log(ours.log))


def test_debug_info_lines_equal_real_caffes(solved: Solved) -> None:
    told = [
        "\n".join(line for line in lines_of(said.log, source).split("\n") if "ward]" in line)
        for said, source in zip(solved("debug_info"), ("net.cpp", "debug_info.py"), strict=True)
    ]
    assert "[Backward] All net params" in told[0]
    assert_says_the_same(*told)


@pytest.mark.parametrize("case", SOLVERS)
def test_caffes_parse_log_reads_the_log(
    case: str, solved: Solved, parse_log: ParseLog, tmp_path: Path
) -> None:
    tables = []
    for name, said in zip(("real", "ours"), solved(case)):
        (tmp_path / name).write_text(said.log)
        train, test = parse_log(str(tmp_path / name))
        rows = [{k: v for k, v in row.items() if k != "Seconds"} for row in [*train, *test]]
        assert all(row["Seconds"] >= 0 for row in [*train, *test])
        tables.append("\n".join(str(row) for row in rows))
    assert "NumIters" in tables[0]
    assert_says_the_same(*tables)


def test_caffes_parse_log_sh_reads_the_log(
    solved: Solved, caffe_source: Path, tmp_path: Path
) -> None:
    """plot_training_log.py runs this shell script, which counts the words of a line."""
    (tmp_path / "python").symlink_to(sys.executable)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    tables = []
    for name, said in zip(("real", "ours"), solved("plain")):
        (tmp_path / name).write_text(said.log)
        script = caffe_source / "tools" / "extra" / "parse_log.sh"
        subprocess.run(["bash", script, name], cwd=tmp_path, env=environment, check=True)
        rows = [
            line.split()
            for kind in ("train", "test")
            for line in (tmp_path / f"{name}.{kind}").read_text().splitlines()
        ]
        # the second column is Seconds; what is left over in another stands alone
        tables.append("\n".join(" ".join([*row[:1], *row[2:]]) for row in rows if len(row) > 2))
    assert "#Iters TrainingLoss LearningRate\n0 " in tables[0]
    assert_says_the_same(*tables)


UNLEARNED = """
debug_info: true
layer { name: "x" type: "DummyData" top: "x" top: "y" dummy_data_param {
  shape { dim: 4 dim: 3 } data_filler { type: "gaussian" std: 2 } } }
layer { name: "one" type: "InnerProduct" bottom: "x" top: "one" param { name: "w" }
  param { name: "b" lr_mult: 0 } inner_product_param { num_output: 3
  weight_filler { type: "xavier" } } }
layer { name: "norm" type: "BatchNorm" bottom: "one" top: "norm"
  batch_norm_param { use_global_stats: true eps: 0.5 } }
layer { name: "two" type: "InnerProduct" bottom: "norm" top: "two" param { name: "w" }
  param { name: "b" } inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "EuclideanLoss" bottom: "two" bottom: "y" top: "loss" }
"""


def test_the_log_of_shared_and_unlearned_parameters_equals_real_caffes(
    caffe_python: str, tmp_path: Path
) -> None:
    script = """
import caffe
caffe.set_mode_cpu()
caffe.set_random_seed(5)
net = caffe.Net("../net.prototxt", caffe.TRAIN)
net.forward()
net.backward()
"""
    (tmp_path / "net.prototxt").write_text(UNLEARNED)
    real = in_real_caffe(caffe_python, script, tmp_path / "real")
    ours = in_torchcaffe(script, tmp_path / "ours")
    assert "Sharing parameters 'b' owned by layer 'one', param index 1" in real.log
    assert "Layer norm, param blob 2 diff: 0" in real.log
    assert_says_the_same(whole_log(real.log), whole_log(ours.log))
