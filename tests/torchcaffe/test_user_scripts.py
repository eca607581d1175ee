"""A pycaffe script prints the same numbers, unchanged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.torchcaffe.user_scripts import assert_says_the_same, in_real_caffe, in_torchcaffe

SCRIPTS = Path(__file__).parent / "scripts"
MODULES = {
    "python_layers": ("own_layers",),
    "regions": ("region_layers",),
    "drawing": ("pydot",),
}


def write_points(folder: Path) -> None:
    """Write two classes of points that no plane separates, as HDF5 files for training and tests."""
    h5py = pytest.importorskip("h5py")
    folder.mkdir()
    draw = np.random.RandomState(1)
    points = draw.randn(600, 4).astype(np.float32)
    labels = (points[:, 0] * points[:, 1] + points[:, 2] > 0).astype(np.float32)
    for name, part in (("train", slice(0, 480)), ("test", slice(480, 600))):
        with h5py.File(folder / f"{name}.h5", "w") as file:
            file["data"], file["label"] = points[part], labels[part]


FILES = {"logistic_regression": write_points}


@pytest.mark.parametrize(
    "name",
    [
        "classify",
        "surgery",
        "train_by_hand",
        "lenet_spec",
        "python_layers",
        "conversions",
        "solver_nets",
        "extract",
        "read_only",
        "finetune",
        "layer_by_layer",
        "coord_maps",
        "drawing",
        "siamese",
        "logistic_regression",
        "image_ascent",
        "regions",
    ],
)
def test_a_script_prints_the_same_as_with_real_caffe(
    name: str, caffe_python: str, tmp_path: Path
) -> None:
    script = (SCRIPTS / f"{name}.py").read_text()
    modules = {other: (SCRIPTS / f"{other}.py").read_text() for other in MODULES.get(name, ())}
    for folder in ("real", "ours"):
        if name in FILES:
            FILES[name](tmp_path / folder)
    real = in_real_caffe(caffe_python, script, tmp_path / "real", **modules)
    ours = in_torchcaffe(script, tmp_path / "ours", **modules)
    assert_says_the_same(real.out, ours.out)
