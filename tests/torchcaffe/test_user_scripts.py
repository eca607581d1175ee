"""A pycaffe script prints the same numbers, unchanged."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.torchcaffe.user_scripts import assert_says_the_same, in_real_caffe, in_torchcaffe

SCRIPTS = Path(__file__).parent / "scripts"
MODULES = {"python_layers": ("own_layers",), "drawing": ("pydot",)}


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
    ],
)
def test_script_prints_what_it_prints_with_real_caffe(
    name: str, caffe_python: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = (SCRIPTS / f"{name}.py").read_text()
    modules = {other: (SCRIPTS / f"{other}.py").read_text() for other in MODULES.get(name, ())}
    real = in_real_caffe(caffe_python, script, tmp_path / "real", **modules)
    ours = in_torchcaffe(script, tmp_path / "ours", **modules)
    assert_says_the_same(real.out, ours.out)
