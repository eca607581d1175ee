"""Requests to real Caffe about random numbers, and its answers: live, and stored as hashes.

``requests(folder)`` lists the nets and solvers; draw_in_caffe.py runs them in Caffe's interpreter
and returns what they drew; golden/make_random_golden.py stores it.
"""

from __future__ import annotations

import functools
import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

import lmdb
import numpy as np
import pytest

from tests.conftest import run_python
from tinynet.caffeformat import binary, schema
from tinynet.engine import discovery
from tinynet.errors import TinynetError

HERE = Path(__file__).parent
GOLDEN = HERE / "golden" / "random.json"

# FillerParameter and shape of the blob
FILLERS: dict[str, tuple[str, tuple[int, ...]]] = {
    "constant": ("type: 'constant' value: 0.1", (3, 2)),
    "gaussian": ("type: 'gaussian' std: 0.01 mean: 0.3", (5, 7, 3)),
    "gaussian of a million": ("type: 'gaussian' std: 0.005", (1000, 1000)),
    "sparse gaussian": ("type: 'gaussian' std: 2 sparse: 3", (12, 3, 2, 2)),
    "sparse of nothing": ("type: 'gaussian' sparse: 0", (4, 5)),
    "uniform": ("type: 'uniform' min: -0.3 max: 0.7", (11, 13)),
    "uniform of a million": ("type: 'uniform' min: -1 max: 3", (1000, 1000)),
    "uniform over one number": ("type: 'uniform' min: 0.5 max: 0.5", (40,)),
    "uniform over all floats": ("type: 'uniform' min: -3e38 max: 3e38", (40,)),
    "xavier": ("type: 'xavier'", (6, 3, 5, 4)),
    "xavier of a vector": ("type: 'xavier'", (17,)),
    "xavier by average": ("type: 'xavier' variance_norm: AVERAGE", (6, 3, 5, 4)),
    "xavier by fan_out": ("type: 'xavier' variance_norm: FAN_OUT", (6, 3, 5, 4)),
    "msra": ("type: 'msra'", (6, 3, 5, 4)),
    "msra by average": ("type: 'msra' variance_norm: AVERAGE", (6, 3, 5, 4)),
    "msra by fan_out": ("type: 'msra' variance_norm: FAN_OUT", (6, 3, 5, 4)),
    "positive_unitball": ("type: 'positive_unitball'", (6, 3, 5, 4)),
    "bilinear 3": ("type: 'bilinear'", (2, 1, 3, 3)),
    "bilinear 4": ("type: 'bilinear'", (2, 3, 4, 4)),
    "bilinear 7": ("type: 'bilinear'", (1, 1, 7, 7)),
}
FILLER_SEED = 3

DROPOUT_RATIOS = (0.5, 0.2, 0.7, 0.1)
DROPOUT_SHAPE = (4, 30)
DROPOUT_SEED = 2**32 - 1

# store of images, phase, transform_param
TRANSFORMS: dict[str, tuple[str, int, str]] = {
    "as is": ("bytes", 0, ""),
    "crop and mirror": ("bytes", 0, "crop_size: 6 mirror: true mean_value: 104.25 scale: 0.017"),
    "crop": ("bytes", 0, "crop_size: 5 mean_value: 104 mean_value: 117 mean_value: 123"),
    "mirror": ("bytes", 0, "mirror: true scale: 0.00390625"),
    "crop of the whole": ("square", 0, "crop_size: 8"),
    "centre crop": ("bytes", 1, "crop_size: 6 mean_value: 104 mean_value: 117 mean_value: 123"),
    "mirror in TEST": ("bytes", 1, "crop_size: 5 mirror: true scale: 2"),
    "mean file": ("bytes", 0, "crop_size: 6 mirror: true mean_file: '{folder}/mean.binaryproto'"),
    "mean file in TEST": ("bytes", 1, "crop_size: 5 mean_file: '{folder}/mean.binaryproto'"),
    "float images": ("floats", 0, "crop_size: 6 mirror: true mean_value: 0.3 scale: 0.7"),
    "images of several sizes": ("sizes", 0, "crop_size: 5 mirror: true mean_value: 9"),
    "several sizes in TEST": ("sizes", 1, "crop_size: 5"),
}
TRANSFORM_SEED = 1701
BATCH, BATCHES = 4, 3

SOLVER_SEED = 2017
SOLVER_STEPS = 3
TRAIN_TRANSFORM = "crop_size: 6 mirror: true mean_value: 100"
TEST_TRANSFORM = "crop_size: 6 mirror: true"
SOLVER_FILLERS = {
    "conv": (("type: 'gaussian' std: 0.01", (3, 3, 3, 3)), ("type: 'uniform'", (3,))),
    "fc": (("type: 'xavier'", (10, 48)), ("type: 'constant' value: 1", (10,))),
    "fc2": (("type: 'msra'", (2, 10)), ("type: 'gaussian'", (2,))),
}
# Dropout of ones, since its tops are then equal bit for bit if the masks are
SOLVER_NET = """
layer {{ name: 'data' type: 'Data' top: 'data' top: 'label' include {{ phase: TRAIN }}
  transform_param {{ {train} }}
  data_param {{ source: '{folder}/bytes' batch_size: 4 backend: LMDB }} }}
layer {{ name: 'data' type: 'Data' top: 'data' top: 'label' include {{ phase: TEST }}
  transform_param {{ {test} }}
  data_param {{ source: '{folder}/bytes' batch_size: 2 backend: LMDB }} }}
layer {{ name: 'conv' type: 'Convolution' bottom: 'data' top: 'conv' convolution_param {{
  num_output: 3 kernel_size: 3 weight_filler {{ {conv[0][0]} }} bias_filler {{ {conv[1][0]} }} }} }}
layer {{ name: 'ones' type: 'DummyData' top: 'ones' dummy_data_param {{
  shape {{ dim: 4 dim: 30 }} data_filler {{ type: 'constant' value: 1 }} }} }}
layer {{ name: 'drop1' type: 'Dropout' bottom: 'ones' top: 'drop1'
  dropout_param {{ dropout_ratio: 0.25 }} }}
layer {{ name: 'fc' type: 'InnerProduct' bottom: 'conv' top: 'fc' inner_product_param {{
  num_output: 10 weight_filler {{ {fc[0][0]} }} bias_filler {{ {fc[1][0]} }} }} }}
layer {{ name: 'drop2' type: 'Dropout' bottom: 'ones' top: 'drop2' }}
layer {{ name: 'fc2' type: 'InnerProduct' bottom: 'fc' top: 'fc2' inner_product_param {{
  num_output: 2 weight_filler {{ {fc2[0][0]} }} bias_filler {{ {fc2[1][0]} }} }} }}
layer {{ name: 'loss' type: 'SoftmaxWithLoss' bottom: 'fc2' bottom: 'label' top: 'loss' }}
layer {{ name: 'end' type: 'Silence' bottom: 'drop1' bottom: 'drop2' }}
"""

# nets that Caffe refuses to build or to run
REFUSED: dict[str, str] = {
    "unknown filler": "filler type: 'kaiming'",
    "sparse uniform": "filler type: 'uniform' sparse: 2",
    "std 0": "filler type: 'gaussian' std: 0",
    "min above max": "filler type: 'uniform' min: 1 max: 0",
    "sparse above outputs": "filler type: 'gaussian' sparse: 9",
    "bilinear of 2 axes": "filler type: 'bilinear'",
    "mean file and values": "data mean_file: '{folder}/mean.binaryproto' mean_value: 1",
    "2 mean values": "data mean_value: 1 mean_value: 2",
    "crop beyond image": "data crop_size: 9",
    "mean of other shape": "data mean_file: '{folder}/small.binaryproto'",
}


def images(store: str) -> list[np.ndarray]:
    """The images of a store, C×H×W; 7 of them, so that batches of 4 wrap around."""
    random = np.random.RandomState(5)
    sizes = [(9, 8)] * 7
    if store == "square":
        sizes = [(8, 8)] * 7
    if store == "sizes":
        sizes = [(9, 8), (5, 5), (6, 11), (12, 7), (5, 9), (8, 8), (7, 6)]
    if store == "floats":
        return [random.randn(3, *size).astype(np.float32) for size in sizes]
    return [random.randint(0, 256, (3, *size)).astype(np.uint8) for size in sizes]


def mean_image(height: int = 9, width: int = 8) -> np.ndarray:
    """The content of the mean files, C×H×W."""
    return (np.random.RandomState(6).rand(3, height, width) * 200).astype(np.float32)


def write_inputs(folder: Path) -> None:
    """The LMDBs and mean files that the requests name."""
    for store in ("bytes", "square", "floats", "sizes"):
        (folder / store).mkdir()
        database = lmdb.open(str(folder / store), map_size=1 << 20)
        with database, database.begin(write=True) as transaction:
            for number, image in enumerate(images(store)):
                channels, height, width = image.shape
                datum = schema.Datum(channels=channels, height=height, width=width, label=1)
                if store == "floats":
                    datum.float_data.extend(image.ravel().tolist())
                else:
                    datum.data = image.tobytes()
                transaction.put(b"%03d" % number, datum.SerializeToString())
    for name, mean in (("mean", mean_image()), ("small", mean_image(6, 6))):
        channels, height, width = mean.shape
        blob = schema.BlobProto(num=1, channels=channels, height=height, width=width)
        blob.data.extend(mean.ravel().tolist())
        binary.write(folder / f"{name}.binaryproto", blob)


def _dummy(filler: str, shape: tuple[int, ...]) -> str:
    dims = " ".join(f"dim: {size}" for size in shape)
    return (
        "layer { name: 'x' type: 'DummyData' top: 'x' dummy_data_param "
        f"{{ shape {{ {dims} }} data_filler {{ {filler} }} }} }}"
    )


def _data(folder: Path, store: str, transform: str) -> str:
    transform = transform.replace("{folder}", str(folder))
    return (
        f"layer {{ name: 'data' type: 'Data' top: 'data' transform_param {{ {transform} }} "
        f"data_param {{ source: '{folder}/{store}' batch_size: {BATCH} backend: LMDB }} }}"
        # its weights show how many random numbers the data layer drew
        "layer { name: 'conv' type: 'Convolution' bottom: 'data' top: 'conv' convolution_param "
        "{ num_output: 1 kernel_size: 1 weight_filler { type: 'uniform' } } }"
    )


def requests(folder: Path) -> list[dict[str, Any]]:
    """All requests; ``folder`` holds what ``write_inputs`` wrote."""
    asked: list[dict[str, Any]] = []

    def ask_net(name: str, seed: int, phase: int, net: str, forwards: int, *blobs: str) -> None:
        request = {"name": name, "seed": seed, "phase": phase, "net": net}
        asked.append({**request, "forwards": forwards, "blobs": blobs})

    for name, (filler, shape) in FILLERS.items():
        ask_net(name, FILLER_SEED, 0, _dummy(filler, shape), 2, "x")
    for ratio in DROPOUT_RATIOS:
        net = _dummy("type: 'constant' value: 1", DROPOUT_SHAPE) + (
            "layer { name: 'y' type: 'Dropout' bottom: 'x' top: 'y' "
            f"dropout_param {{ dropout_ratio: {ratio} }} }}"
        )
        ask_net(f"dropout {ratio}", DROPOUT_SEED, 0, net, 3, "y")
    for name, (store, phase, transform) in TRANSFORMS.items():
        ask_net(name, TRANSFORM_SEED, phase, _data(folder, store, transform), BATCHES, "data")
    for name, what in REFUSED.items():
        kind, _, rest = what.partition(" ")
        net = _dummy(rest, (4, 5)) if kind == "filler" else _data(folder, "bytes", rest)
        ask_net(name, 1, 0, net, 1)
        asked[-1]["refused"] = True
    net = SOLVER_NET.format(
        folder=folder, train=TRAIN_TRANSFORM, test=TEST_TRANSFORM, **SOLVER_FILLERS
    )
    solver = (
        f"net_param {{ {net} }} random_seed: {SOLVER_SEED} base_lr: 0 lr_policy: 'fixed' "
        "test_iter: 2 test_interval: 2 snapshot_after_train: false iter_size: 2"
    )
    request = {"name": "solver", "solver": solver, "steps": SOLVER_STEPS}
    asked.append({**request, "blobs": ("data", "drop1", "drop2")})
    return asked


@functools.cache
def ask(python: str) -> dict[str, np.ndarray]:
    """Every answer of the real Caffe of interpreter ``python``, by name."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_inputs(folder)
        (folder / "requests.json").write_text(json.dumps(requests(folder)))
        run_python(python, HERE / "draw_in_caffe.py", folder / "requests.json", folder / "a.npz")
        with np.load(folder / "a.npz") as answers:
            return {key: answers[key] for key in answers.files}


def describe(array: np.ndarray) -> str:
    """Type, shape and hash of an array: equal for arrays that are equal to the bit."""
    digest = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:24]
    return f"{array.dtype}{list(array.shape)} {digest}"


@functools.cache
def _caffe_python() -> tuple[str, str]:
    """Interpreter of a real Caffe and "", or "" and why there is none."""
    try:
        return discovery.find_caffe().python, ""
    except TinynetError as error:
        return "", str(error)


class Live:
    """The answers of a real Caffe running now.  Skips the test if there is none."""

    def __init__(self) -> None:
        python, why_not = _caffe_python()
        if why_not:
            pytest.skip(f"no real Caffe to compare with: {why_not}")
        self._answers = ask(python)

    def expect(self, key: str, ours: np.ndarray) -> None:
        """``ours`` is what Caffe answered under ``key``, to the bit."""
        theirs = self._answers[key]
        np.testing.assert_array_equal(ours, theirs, err_msg=key)
        assert describe(ours) == describe(theirs), f"{key}: signs of zero or types differ"


class Stored:
    """What real Caffe answered when the golden file was made."""

    def __init__(self) -> None:
        self._answers: dict[str, str] = json.loads(GOLDEN.read_text())

    def expect(self, key: str, ours: np.ndarray) -> None:
        """``ours`` is what Caffe answered under ``key``, to the bit."""
        assert describe(ours) == self._answers[key], key


by_both = pytest.mark.parametrize("answers_class", [Stored, Live])
