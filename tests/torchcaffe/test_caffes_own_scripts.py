"""Caffe's own scripts run to their end, read from Caffe's source where it lies.

TINYNET_CAFFE_SOURCE names its folder.  Where a real Caffe can run them too, numbers agree.  Some
are in Python 2, and put right in a copy.
"""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tinynet.torchcaffe as engine

pytestmark = pytest.mark.long
ROOT = Path(__file__).parents[2]
DEPLOY = """
name: "small" input: "data" input_shape { dim: 10 dim: 3 dim: 12 dim: 12 }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" param { lr_mult: 2 }
  convolution_param { num_output: 6 kernel_size: 3 weight_filler { type: "gaussian" std: 0.05 } } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool"
  pooling_param { pool: MAX kernel_size: 2 stride: 2 } }
layer { name: "fc" type: "InnerProduct" bottom: "pool" top: "fc"
  inner_product_param { num_output: 5 weight_filler { type: "xavier" } } }
layer { name: "prob" type: "Softmax" bottom: "fc" top: "prob" }
"""
TRAIN = """
name: "trained"
layer { name: "data" type: "DummyData" top: "data" top: "label" dummy_data_param {
  shape { dim: 4 dim: 3 } shape { dim: 4 }
  data_filler { type: "gaussian" } data_filler { type: "constant" value: 1 } } }
layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc"
  inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" }
"""
SOLVER = """
net: "train.prototxt" base_lr: 0.1 lr_policy: "fixed" max_iter: 6 display: 2 test_iter: 2
test_interval: 3 snapshot_prefix: "trained" random_seed: 4
"""


@pytest.fixture(scope="module")
def source() -> Path:
    folder = os.environ.get("TINYNET_CAFFE_SOURCE")
    if not folder:
        pytest.skip("TINYNET_CAFFE_SOURCE names no folder with Caffe's source")
    return Path(folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working directory with a net, its weights, a solver and images."""
    for name, text in (
        ("deploy.prototxt", DEPLOY),
        ("train.prototxt", TRAIN),
        ("solver.prototxt", SOLVER),
    ):
        (tmp_path / name).write_text(text)
    engine.set_random_seed(2)
    engine.Net(str(tmp_path / "deploy.prototxt"), engine.TEST).save(str(tmp_path / "w.caffemodel"))
    draw = np.random.RandomState(3)
    np.save(tmp_path / "images.npy", draw.rand(3, 20, 18, 3).astype(np.float32))
    return tmp_path


def ours(script: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tinynet", "caffe", "run", str(script), *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)


def real(python: str, script: Path, *arguments: str, cwd: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    command = [python, "-W", "ignore", str(script), *arguments]
    subprocess.run(command, cwd=cwd, env=environment, check=True, capture_output=True)


def in_python_3(script: Path, folder: Path) -> Path:
    """A copy in ``folder``: print statements are calls, and what is used is imported."""
    text = re.sub(r"^( *)print (.+)$", r"\1print(\2)", script.read_text(), flags=re.M)
    imported = "from google import protobuf\n"
    text = text.replace(imported, f"{imported}from google.protobuf import text_format\n")
    copy = folder / script.name
    copy.write_text(text)
    return copy


@pytest.mark.parametrize("more", [["--center_only"], ["--images_dim", "14,14"]])
def test_classify_gives_real_caffes_probabilities(
    more: list[str], source: Path, folder: Path, caffe_python: str
) -> None:
    script = source / "python" / "classify.py"
    common = ["--model_def", "deploy.prototxt", "--pretrained_model", "w.caffemodel"]
    common += ["--mean_file", "", "--images_dim", "12,12", *more]
    done = ours(script, "images.npy", "ours.npy", *common, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "Classifying 3 inputs." in done.stdout
    # a copy: beside the script lies a caffe that nobody has built
    copy = in_python_3(script, folder)
    real(caffe_python, copy, "images.npy", "real.npy", *common, cwd=folder)
    found, expected = np.load(folder / "ours.npy"), np.load(folder / "real.npy")
    assert found.shape == expected.shape == (3, 5)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_detect_scores_the_windows_of_a_list(source: Path, folder: Path) -> None:
    pytest.importorskip("pandas")
    from PIL import Image

    pixels = (255 * np.load(folder / "images.npy")[0]).astype(np.uint8)
    Image.fromarray(pixels).save(folder / "a.png")
    (folder / "windows.csv").write_text(
        "filename,ymin,xmin,ymax,xmax\na.png,0,0,15,15\na.png,2,3,19,17\n"
    )
    arguments = ["windows.csv", "out.csv", "--crop_mode", "list", "--model_def", "deploy.prototxt"]
    arguments += ["--pretrained_model", "w.caffemodel", "--mean_file", "", "--raw_scale", "255"]
    arguments += ["--context_pad", "0"]
    # names that it has itself forgotten, and pandas since renamed
    text = (source / "python" / "detect.py").read_text()
    for old, new in (
        ("NUM_OUTPUT", "5"),
        ("df['feat']", "df['prediction']"),
        ("cols=C", "columns=C"),
    ):
        assert old in text
        text = text.replace(old, new)
    (folder / "detect.py").write_text(text)
    done = ours(folder / "detect.py", *arguments, cwd=folder)
    assert done.returncode == 0, done.stderr
    with open(folder / "out.csv") as file:
        rows = list(csv.DictReader(file))
    detector = engine.Detector(
        str(folder / "deploy.prototxt"),
        str(folder / "w.caffemodel"),
        raw_scale=255,
        channel_swap=(2, 1, 0),
    )
    windows = [np.array([0, 0, 15, 15]), np.array([2, 3, 19, 17])]
    expected = detector.detect_windows([(str(folder / "a.png"), windows)])
    for row, one in zip(rows, expected):
        scores = [float(row[f"class{i}"]) for i in range(5)]
        np.testing.assert_allclose(scores, one["prediction"], atol=1e-5)
    assert len(rows) == 2


def test_draw_net_writes_an_image(source: Path, folder: Path) -> None:
    script = source / "python" / "draw_net.py"
    done = ours(script, "deploy.prototxt", "net.png", "--rankdir", "TB", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "Drawing net to net.png\n"
    assert (folder / "net.png").read_bytes().startswith(b"\x89PNG")


def test_summarize_prints_what_it_prints_with_real_caffe(
    source: Path, folder: Path, caffe_python: str
) -> None:
    script = in_python_3(source / "tools" / "extra" / "summarize.py", folder)
    done = ours(script, "deploy.prototxt", cwd=folder)
    assert done.returncode == 0, done.stderr
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    expected = subprocess.run(
        [caffe_python, str(script), "deploy.prototxt"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert expected.returncode == 0, expected.stderr
    assert done.stdout == expected.stdout and "conv" in done.stdout


def test_the_log_tools_read_a_log_of_ours(source: Path, folder: Path) -> None:
    command = [sys.executable, "-m", "tinynet", "caffe", "train", "-solver", "solver.prototxt"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    trained = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert trained.returncode == 0, trained.stderr
    (folder / "train.log").write_text(trained.stderr)
    tools = source / "tools" / "extra"
    for script, arguments in (
        ("extract_seconds.py", ["train.log", "seconds"]),  # the other imports it
        ("parse_log.py", ["train.log", "."]),
    ):
        done = ours(in_python_3(tools / script, folder), *arguments, cwd=folder)
        assert done.returncode == 0, done.stderr
    with open(folder / "train.log.train") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["NumIters"]) for row in rows] == [0, 2, 4]
    with open(folder / "train.log.test") as file:
        assert [float(row["NumIters"]) for row in csv.DictReader(file)] == [0, 3, 6]
    seconds = [float(line) for line in (folder / "seconds").read_text().split()]
    assert len(seconds) == trained.stderr.count("Iteration") and seconds == sorted(seconds)
