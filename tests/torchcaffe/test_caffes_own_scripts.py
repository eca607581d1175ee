"""Caffe's own scripts, read from Caffe's source, run to their end.

TINYNET_CAFFE_SOURCE names its folder.  Where a real Caffe can run them too, numbers agree.  Some
are in Python 2, and put right in a copy.
"""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tinynet.torchcaffe as engine
from tests.children import python
from tests.torchcaffe import notebooks
from tests.torchcaffe.notebooks import Patches
from tests.torchcaffe.user_scripts import in_real_caffe
from tinynet.caffeformat import binary, schema
from tinynet.caffeformat.datum import encode_datum
from tinynet.caffeformat.lmdb import write_store

pytestmark = pytest.mark.long
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
layer { name: "accuracy" type: "Accuracy" bottom: "fc" bottom: "label" top: "accuracy"
  include { phase: TEST } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" }
"""
SOLVER = """
net: "train.prototxt" base_lr: 0.1 lr_policy: "fixed" max_iter: 7 display: 2 test_iter: 2
test_interval: 3 snapshot_prefix: "trained" random_seed: 4
"""


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
    return python("-m", "tinynet", "caffe", "run", script, *arguments, folder=cwd)


def real(caffe: str, script: Path, *arguments: str, cwd: Path) -> str:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    command = [caffe, "-W", "ignore", str(script), *arguments]
    ended = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def in_python_3(script: Path, folder: Path) -> Path:
    """Copy a script to ``folder`` with print as a function and a missing import added."""
    text = re.sub(r"^( *)print (.+)$", r"\1print(\2)", script.read_text(), flags=re.M)
    imported = "from google import protobuf\n"
    text = text.replace(imported, f"{imported}from google.protobuf import text_format\n")
    copy = folder / script.name
    copy.write_text(text)
    return copy


@pytest.mark.parametrize("more", [["--center_only"], ["--images_dim", "14,14"]])
def test_classify_gives_real_caffes_probabilities(
    more: list[str], caffe_source: Path, folder: Path, caffe_python: str
) -> None:
    script = caffe_source / "python" / "classify.py"
    common = ["--model_def", "deploy.prototxt", "--pretrained_model", "w.caffemodel"]
    common += ["--mean_file", "", "--images_dim", "12,12", *more]
    done = ours(script, "images.npy", "ours.npy", *common, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "Classifying 3 inputs." in done.stdout
    # a copy, because the caffe package beside the script is not built
    copy = in_python_3(script, folder)
    real(caffe_python, copy, "images.npy", "real.npy", *common, cwd=folder)
    found, expected = np.load(folder / "ours.npy"), np.load(folder / "real.npy")
    assert found.shape == expected.shape == (3, 5)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_detect_scores_the_windows_of_a_list(caffe_source: Path, folder: Path) -> None:
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
    # names that detect.py no longer defines, and one that pandas has renamed
    text = (caffe_source / "python" / "detect.py").read_text()
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


def test_draw_net_writes_an_image(caffe_source: Path, folder: Path) -> None:
    script = caffe_source / "python" / "draw_net.py"
    done = ours(script, "deploy.prototxt", "net.png", "--rankdir", "TB", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "Drawing net to net.png\n"
    assert (folder / "net.png").read_bytes().startswith(b"\x89PNG")


def test_summarize_prints_the_same_as_with_real_caffe(
    caffe_source: Path, folder: Path, caffe_python: str
) -> None:
    script = in_python_3(caffe_source / "tools" / "extra" / "summarize.py", folder)
    done = ours(script, "deploy.prototxt", cwd=folder)
    assert done.returncode == 0, done.stderr
    expected = real(caffe_python, script, "deploy.prototxt", cwd=folder)
    assert done.stdout == expected and "conv" in done.stdout


@pytest.fixture
def logs(folder: Path, caffe_python: str) -> Path:
    """A folder with ``ours.log`` and ``real.log`` of one training."""
    command = ("-m", "tinynet", "caffe", "train", "-solver", "solver.prototxt")
    trained = python(*command, folder=folder, GLOG_minloglevel="0")
    assert trained.returncode == 0, trained.stderr
    (folder / "ours.log").write_text(trained.stderr)
    train = 'import caffe\ncaffe.set_mode_cpu()\ncaffe.get_solver("solver.prototxt").solve()\n'
    (folder / "real.log").write_text(in_real_caffe(caffe_python, train, folder).log)
    return folder


def run_tool(script: Path, patches: Patches, logs: Path, *arguments: str) -> str:
    """Run one of Caffe's tools from a copy in ``logs``, and return its output."""
    copy = logs / script.name
    copy.write_text(notebooks.in_python_3(script.read_text(), patches))
    copy.chmod(0o755)
    done = ours(copy, *arguments, cwd=logs)
    assert done.returncode == 0, done.stderr
    return done.stdout


def rows_without_seconds(path: Path) -> list[list[str]]:
    """Return the rows of a table without the second column, the time."""
    rows = [re.split(r"[,\s]+", line.strip()) for line in path.read_text().splitlines()]
    return [row[:1] + row[2:] for row in rows]


def test_caffes_log_tools_read_the_same_from_our_log_as_from_real_caffes(
    caffe_source: Path, logs: Path
) -> None:
    tools = caffe_source / "tools" / "extra"
    for log in ("ours.log", "real.log"):
        seconds = log.replace("log", "seconds")
        run_tool(tools / "extract_seconds.py", (), logs, log, seconds)  # parse_log.py imports it
        run_tool(tools / "parse_log.py", (), logs, log, ".")
        told = [float(line) for line in (logs / seconds).read_text().split()]
        assert len(told) == (logs / log).read_text().count("Iteration") and told == sorted(told)
    for table, iterations in (("train", [0, 2, 4, 6]), ("test", [0, 3, 6])):
        rows = rows_without_seconds(logs / f"ours.log.{table}")
        assert [float(row[0]) for row in rows[1:]] == iterations
        assert rows == rows_without_seconds(logs / f"real.log.{table}")


def test_caffes_log_plotter_draws_our_log(caffe_source: Path, logs: Path) -> None:
    """The tables that its shell script writes are those of real Caffe's log."""
    pytest.importorskip("matplotlib")
    (logs / "bin").mkdir()
    (logs / "bin" / "python").symlink_to(sys.executable)  # for the shell script
    tools = caffe_source / "tools" / "extra"
    run_tool(tools / "extract_seconds.py", (), logs, "ours.log", "seconds")
    shutil.copy(tools / "parse_log.sh", logs)
    patches = (
        ('print """This script', 'print("""This script'),
        (
            "         get_log_file_suffix())\n    supported",
            "         get_log_file_suffix()))\n    supported",
        ),
        ("return markers.keys()[idx]", "return list(markers.keys())[idx]"),
        (
            "fields = fields.union(set(field_index[data_file_type].keys()))",
            "fields |= set(field_index[data_file_type])",
        ),
        (
            "        path_to_png = sys.argv[2]",
            "        import matplotlib; matplotlib.use('Agg')\n        path_to_png = sys.argv[2]",
        ),
    )
    path = logs / "plot_training_log.py.example"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{logs / 'bin'}:{os.environ['PATH']}")
        for chart in (0, 3, 4, 7):
            for log in ("real.log", "ours.log"):
                run_tool(tools / path.name, patches, logs, str(chart), f"{chart}.png", log)
            assert (logs / f"{chart}.png").read_bytes().startswith(b"\x89PNG")
    for table in ("train", "test"):
        rows = rows_without_seconds(logs / f"ours.log.{table}")
        assert rows == rows_without_seconds(logs / f"real.log.{table}") and len(rows) > 3


def test_images_are_resized_and_cropped_to_a_square(caffe_source: Path, folder: Path) -> None:
    """Stand-ins replace two libraries that it imports: command-line flags and map-reduce."""
    from PIL import Image

    (folder / "in").mkdir()
    draw = np.random.RandomState(1)
    coarse = Image.fromarray(draw.randint(0, 256, (4, 6, 3)).astype(np.uint8))
    coarse.resize((126, 84), Image.Resampling.NEAREST).save(folder / "in" / "a.png")
    modules = {
        "cv2.py": "",
        "gflags.py": "class FLAGS:\n    pass\n"
        "def DEFINE_string(name, value, text): setattr(FLAGS, name, value)\n"
        "DEFINE_integer = DEFINE_string\n",
        "mincepie/__init__.py": "",
        "mincepie/mapreducer.py": """
class BasicMapper: pass
NoPassReducer = FileReader = FileWriter = None
def REGISTER_DEFAULT_MAPPER(kind): BasicMapper.chosen = kind
REGISTER_DEFAULT_REDUCER = REGISTER_DEFAULT_READER = REGISTER_DEFAULT_WRITER = lambda kind: None
""",
        "mincepie/launcher.py": """
import gflags, sys
from mincepie import mapreducer
def launch():
    for word in sys.argv[2:]:
        name, value = word.lstrip("-").split("=")
        setattr(gflags.FLAGS, name, int(value) if value.isdigit() else value)
    print(list(mapreducer.BasicMapper.chosen().map(0, sys.argv[1])))
""",
    }
    notebooks.write(folder, modules)
    patches = (("except Exception, e:", "except Exception as e:"), ("ANTIALIAS", "LANCZOS"))
    options = ["--image_lib=PIL", "--input_folder=in", "--output_folder=out"]
    script = caffe_source / "tools" / "extra" / "resize_and_crop_images.py"
    said = run_tool(script, patches, folder, "a.png", *options, "--output_side_length=64")
    assert said == "[('a.png', 'out')]\n"
    found = np.asarray(Image.open(folder / "out" / "a.png"), int)
    assert found.shape == (64, 64, 3)
    # the middle 4 of 6 columns, 16 pixels each
    middle = np.asarray(coarse, int)[:, 1:5]
    assert np.abs(found[8::16, 8::16] - middle).mean() < 12


def test_train_by_two_processes_learns_what_real_caffe_learns_alone(
    caffe_source: Path, folder: Path, caffe_python: str
) -> None:
    """train.py needs GPUs and NCCL; here its ranks join on the CPU, each with half a batch."""
    images = np.random.RandomState(3).randint(0, 256, (11, 1, 5, 6)).astype(np.uint8)
    records = ((b"%02d" % i, encode_datum(image, i % 3)) for i, image in enumerate(images))
    write_store(folder / "lmdb", records)
    for batch in (2, 4):
        data = f'source: "lmdb" batch_size: {batch} backend: LMDB'
        (folder / f"net{batch}").write_text(
            f"""layer {{ name: "data" type: "Data" top: "data" top: "label"
            data_param {{ {data} }} transform_param {{ scale: 0.01 }} }}
            {TRAIN[TRAIN.index('layer { name: "fc"') :]}"""
        )
        (folder / f"solver{batch}").write_text(
            f'net: "net{batch}" base_lr: 0.1 lr_policy: "fixed" max_iter: 6 display: 2 snapshot: 3 '
            f'momentum: 0.9 snapshot_prefix: "batch{batch}" random_seed: 4'
        )
    script = folder / "train.py"
    script.write_text(
        notebooks.in_python_3(
            (caffe_source / "python" / "train.py").read_text(),
            [("caffe.set_device(gpus[rank])", "")],
        )
    )
    arguments = ["--solver", "solver2", "--gpus", "0", "1"]
    done = ours(script, *arguments, "--timing", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "Using devices [0, 1]" in done.stderr and "allreduce: " in done.stderr
    alone = """
import caffe
caffe.set_mode_cpu()
solver = caffe.SGDSolver("solver4")
solver.step(6)
"""
    in_real_caffe(caffe_python, alone, folder)

    def weights(batch: int) -> np.ndarray:
        model = binary.read(folder / f"batch{batch}_iter_6.caffemodel", schema.NetParameter)
        (layer,) = (layer for layer in model.layer if layer.name == "fc")
        return np.concatenate([blob.data for blob in layer.blobs])

    once = weights(2)
    np.testing.assert_allclose(once, weights(4), rtol=1e-4, atol=1e-6)
    # and from a snapshot: three more iterations than train.py's own count
    (folder / "solver2").write_text(
        (folder / "solver2").read_text().replace("_iter: 6", "_iter: 3")
    )
    done = ours(script, *arguments, "--snapshot", "batch2_iter_3.solverstate", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert weights(2).shape == once.shape
