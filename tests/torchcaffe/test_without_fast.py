"""With ``fast/`` switched off, every layer and solver is the plain one and equals Caffe's.

The comparisons are those that the engine passes with ``fast/`` too.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import tinynet.torchcaffe as caffe
from tests.children import python
from tests.torchcaffe import test_layers_against_caffe as layers
from tests.torchcaffe import test_solvers_against_caffe as solvers
from tests.torchcaffe import test_special_values_against_caffe as special
from tests.torchcaffe.conftest import Ask, assert_same
from tests.torchcaffe.layer_cases.stages import STAGES
from tests.torchcaffe.small_nets import GAUSSIAN, layer, net
from tinynet.torchcaffe import acceleration
from tinynet.torchcaffe.context import CONTEXT, Context
from tinynet.torchcaffe.layer_types.convolution import Convolution
from tinynet.torchcaffe.solver_types.sgd import SGDSolver

_NET = net(
    layer(
        "Convolution",
        "x",
        "c",
        f"convolution_param {{ num_output: 4 kernel_size: 3 {GAUSSIAN} }}",
        "c",
    )
    + layer("ReLU", "c", "c", "relu_param { negative_slope: 0.01 }", "r")
    + layer("Pooling", "c", "p", "pooling_param { kernel_size: 2 stride: 2 }", "p"),
    ("x", (2, 3, 8, 8)),
)


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CONTEXT, "fast", False)


def build_net(folder: Path) -> caffe.Net:
    (folder / "net.prototxt").write_text(_NET)
    caffe.set_random_seed(1)
    return caffe.Net(folder / "net.prototxt", caffe.TRAIN)


def test_the_switch_decides_which_classes_are_made(tmp_path: Path) -> None:
    off = build_net(tmp_path)
    caffe.extensions.set_fast(True)
    on = build_net(tmp_path)
    assert type(off.layer_dict["c"]) is Convolution
    faster = on.layer_dict["c"]
    assert type(faster) is not Convolution and isinstance(faster, Convolution)
    assert faster.type == "Convolution"
    assert callable(caffe.extensions.view_predictor)


def test_without_fast_the_extension_that_only_saves_time_is_absent() -> None:
    assert not hasattr(caffe.extensions, "view_predictor")
    assert hasattr(caffe.extensions, "health")


@pytest.mark.parametrize(("value", "expected"), [(None, True), ("1", True), ("0", False)])
def test_an_environment_variable_switches_fast_off_for_a_process(
    value: str | None, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TINYNET_FAST", raising=False)
    if value is not None:
        monkeypatch.setenv("TINYNET_FAST", value)
    assert Context().fast is expected


def test_without_fast_none_of_its_modules_are_loaded() -> None:
    code = (
        "import sys, tinynet.torchcaffe as caffe\n"
        "from tinynet.torchcaffe.layer import create_layer\n"
        "from tinynet.caffeformat import schema\n"
        "create_layer(schema.LayerParameter(name='r', type='ReLU'), 0)\n"
        "print([name for name in sys.modules if 'torchcaffe.fast' in name])\n"
    )
    child = python("-c", code, TINYNET_FAST="0")
    assert child.stdout == "[]\n", child.stderr


@pytest.mark.parametrize("name", STAGES)
def test_layer_and_its_gradients_equal_real_caffes(name: str, ask_both: Ask) -> None:
    assert_same(*ask_both(STAGES[name].request, STAGES[name].arrays))


@pytest.mark.parametrize("case", layers.LARGE)
def test_a_convolution_of_many_channels_has_rounding_errors_as_small_as_real_caffes(
    case: str, ask_both: Ask
) -> None:
    layers.test_a_convolution_of_many_channels_has_rounding_errors_as_small_as_real_caffes(
        case, ask_both
    )


@pytest.mark.parametrize("value", [-0.0, 0.0, np.inf, -np.inf, np.nan, 1e-42])
@pytest.mark.parametrize("name", special.PRODUCTS)
def test_a_product_gives_real_caffes_zeros_infinities_and_nans(
    name: str, value: float, ask_both: Ask
) -> None:
    special.test_a_product_gives_real_caffes_zeros_infinities_and_nans(name, value, ask_both)


@pytest.mark.parametrize("case", ["momentum, lr changes", "L1"])
def test_sgd_moves_the_weights_as_real_caffe_does(case: str, ask_both: Ask, tmp_path: Path) -> None:
    assert acceleration.stand_in(SGDSolver) is SGDSolver
    solvers.test_sgd_moves_the_weights_as_real_caffe_does(case, ask_both, tmp_path)


def test_making_a_net_and_running_it_changes_nothing_of_the_process(tmp_path: Path) -> None:
    def state() -> dict[str, Any]:
        return {
            "environment": dict(os.environ),
            "threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
            "type": torch.get_default_dtype(),
            "gradients": torch.is_grad_enabled(),
            "cudnn": (torch.backends.cudnn.allow_tf32, torch.backends.cudnn.deterministic),
            "signals": [signal.getsignal(number) for number in signal.valid_signals()],
            "floats": np.geterr(),
            "folder": Path.cwd(),
        }

    before = state()
    one = build_net(tmp_path)
    one.forward()
    one.backward()
    assert state() == before
