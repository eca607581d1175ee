"""Every solver type and option moves the weights as real Caffe does, over 60 updates."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

import tinynet.torchcaffe as caffe
from tests.torchcaffe import both_engines
from tests.torchcaffe.conftest import Answer, Ask, assert_same
from tests.torchcaffe.golden import SOLVERS as GOLDEN
from tinynet.torchcaffe.context import Context
from tinynet.torchcaffe.fast.grouped_update import GroupedSGDSolver
from tinynet.torchcaffe.solver_types.sgd import SGDSolver

UPDATES = 60

# conv1's bias and fc2's weight state lr_mult and decay_mult of their own; "code" shares its
# parameter with "code2", whose gradients add up.
LAYERS = """
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  param { lr_mult: 1 decay_mult: 1 } param { lr_mult: 2 decay_mult: 0 }
  convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }
layer { name: "code" type: "InnerProduct" bottom: "conv1" top: "code"
  param { name: "code_w" } param { name: "code_b" }
  inner_product_param { num_output: 6 weight_filler { type: "gaussian" std: 0.1 } } }
layer { name: "code2" type: "InnerProduct" bottom: "conv1" top: "code2"
  param { name: "code_w" } param { name: "code_b" }
  inner_product_param { num_output: 6 weight_filler { type: "gaussian" std: 0.1 } } }
layer { name: "frozen" type: "InnerProduct" bottom: "code2" top: "frozen"
  param { lr_mult: 0 decay_mult: 0 } param { lr_mult: 0 decay_mult: 0 }
  inner_product_param { num_output: 5 weight_filler { type: "uniform" min: -0.5 max: 0.5 } } }
layer { name: "fc2" type: "InnerProduct" bottom: "code" top: "fc2"
  param { lr_mult: 1.5 decay_mult: 3 }
  inner_product_param { num_output: 5 weight_filler { type: "xavier" }
    bias_filler { type: "constant" value: 0.2 } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc2" bottom: "label" top: "loss" }
layer { name: "loss2" type: "SoftmaxWithLoss" bottom: "frozen" bottom: "label" top: "loss2"
  loss_weight: 0.3 }
"""
NET = f"""
layer {{ name: "in" type: "Input" top: "data" top: "label"
  input_param {{ shape {{ dim: 8 dim: 2 dim: 6 dim: 6 }} shape {{ dim: 8 }} }} }}
{LAYERS}
"""


def inputs() -> Answer:
    draw = np.random.default_rng(5)
    return {
        "data": draw.normal(size=(8, 2, 6, 6)).astype(np.float32),
        "label": (np.arange(8) % 5).astype(np.float32),
    }


def solver(options: str, folder: Path) -> str:
    (folder / "net.prototxt").write_text(NET)
    return f'net: "{folder}/net.prototxt" random_seed: 3 {options}\n'


def displacement(answer: Answer) -> dict[str, np.ndarray]:
    """How far each parameter has moved from where it started."""
    ends = [name for name in answer if name.startswith("end/")]
    return {name[4:]: answer[name] - answer["start/" + name[4:]] for name in ends}


def assert_same_path(real: Answer, ours: Answer, tolerance: float = 1e-5) -> None:
    """Assert the same start, losses and displacement (relative L2) of every parameter."""
    for name in [name for name in real if name.startswith("start/")]:
        np.testing.assert_array_equal(ours[name], real[name], err_msg=name)
    np.testing.assert_allclose(ours["losses"], real["losses"], rtol=10 * tolerance)
    assert abs(real["losses"][-1] - real["losses"][0]) > 0.05  # something was learned
    moved = displacement(ours)
    for name, expected in displacement(real).items():
        difference = float(np.linalg.norm(moved[name] - expected))
        assert difference <= tolerance * float(np.linalg.norm(expected)), name
        if name.startswith("frozen"):
            assert not expected.any()
        else:
            assert np.abs(expected).max() > 1e-4, f"{name} did not move: nothing was compared"


STEP = 'lr_policy: "step" gamma: 0.3 stepsize: 25'
SGD = {
    "plain, lr changes": f"base_lr: 0.05 {STEP}",
    "momentum, lr changes": f"base_lr: 0.02 momentum: 0.9 {STEP}",
    "L2": f"base_lr: 0.02 momentum: 0.9 weight_decay: 0.02 {STEP}",
    "L1": f'base_lr: 0.02 momentum: 0.9 weight_decay: 0.004 regularization_type: "L1" {STEP}',
    "clip_gradients": f"base_lr: 0.1 momentum: 0.5 weight_decay: 0.01 clip_gradients: 0.2 {STEP}",
    "clip_gradients above the norm": f"base_lr: 0.02 clip_gradients: 1000 {STEP}",
    "iter_size": f"base_lr: 0.02 momentum: 0.9 weight_decay: 0.01 iter_size: 3 {STEP}",
    "iter_size and clip_gradients": (
        f"base_lr: 0.1 momentum: 0.9 weight_decay: 0.01 iter_size: 3 clip_gradients: 0.3 {STEP}"
    ),
    "fixed": 'base_lr: 0.05 lr_policy: "fixed"',
    "exp": 'base_lr: 0.05 momentum: 0.9 lr_policy: "exp" gamma: 0.97',
    "inv": 'base_lr: 0.05 momentum: 0.9 lr_policy: "inv" gamma: 0.01 power: 0.75',
    "multistep": (
        'base_lr: 0.05 momentum: 0.9 lr_policy: "multistep" gamma: 0.4 stepvalue: 10 stepvalue: 11 '
        "stepvalue: 40"
    ),
    "poly": 'base_lr: 0.05 momentum: 0.9 lr_policy: "poly" power: 1.5 max_iter: 80',
    # real Caffe refuses a negative gamma, so the rate can only rise
    "sigmoid": 'base_lr: 0.05 momentum: 0.9 lr_policy: "sigmoid" gamma: 0.1 stepsize: 30',
}


@pytest.mark.parametrize("case", SGD)
def test_sgd_moves_the_weights_as_real_caffe_does(case: str, ask_both: Ask, tmp_path: Path) -> None:
    request = {"solver": solver(SGD[case], tmp_path), "steps": UPDATES}
    assert_same_path(*ask_both(request, inputs()))


@pytest.mark.parametrize("case", [case for case in SGD if case != "L1"])
def test_sgd_updates_in_groups_as_one_by_one_to_the_bit(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a CPU, where both work: weights, history, and the diffs, which show the step taken."""
    (tmp_path / "solver.prototxt").write_text(solver(SGD[case], tmp_path))
    found = []
    for way in (SGDSolver.update_weights, GroupedSGDSolver.update_groups):
        monkeypatch.setattr(GroupedSGDSolver, "update_weights", way)
        made = GroupedSGDSolver(tmp_path / "solver.prototxt")
        for name, values in inputs().items():
            made.net.blobs[name].data[...] = values
        made.step(4)
        blobs = made.net.learnable_params
        found.append([*[b.data for b in blobs], *[b.diff for b in blobs], *made.history])
    for expected, values in zip(*found):
        np.testing.assert_array_equal(values, expected)


OTHERS = {
    "Nesterov": f'type: "Nesterov" base_lr: 0.02 momentum: 0.9 weight_decay: 0.01 {STEP}',
    "Nesterov without momentum": f'type: "Nesterov" base_lr: 0.05 {STEP}',
    "AdaGrad": f'type: "AdaGrad" base_lr: 0.05 weight_decay: 0.01 {STEP}',
    "AdaGrad, delta": f'type: "AdaGrad" base_lr: 0.05 delta: 0.01 {STEP}',
    "RMSProp": f'type: "RMSProp" base_lr: 0.01 rms_decay: 0.9 weight_decay: 0.01 {STEP}',
    "RMSProp, iter_size": f'type: "RMSProp" base_lr: 0.01 rms_decay: 0.98 iter_size: 2 {STEP}',
    "AdaDelta": f'type: "AdaDelta" base_lr: 1 momentum: 0.95 delta: 1e-4 {STEP}',
    "AdaDelta, L2": (
        f'type: "AdaDelta" base_lr: 1 momentum: 0.9 delta: 1e-3 weight_decay: 0.01 {STEP}'
    ),
    "Adam": f'type: "Adam" base_lr: 0.01 momentum: 0.9 momentum2: 0.999 {STEP}',
    "Adam, L2, delta": (
        f'type: "Adam" base_lr: 0.01 momentum: 0.8 momentum2: 0.99 delta: 1e-3 weight_decay: 0.01 '
        f"{STEP}"
    ),
    "Adam, L1, clipped": (
        'type: "Adam" base_lr: 0.01 momentum: 0.9 momentum2: 0.99 weight_decay: 0.004 '
        f'regularization_type: "L1" clip_gradients: 0.3 {STEP}'
    ),
    "old solver_type": f"solver_type: NESTEROV base_lr: 0.02 momentum: 0.9 {STEP}",
}


CASES = {**SGD, **OTHERS}


def kept(answer: Answer) -> dict[str, np.ndarray]:
    """Return the stored part of a real run: its losses, and the smaller parameters at the end."""
    return {
        name: values
        for name, values in answer.items()
        if name == "losses" or re.match("end/(conv1|fc2)/", name)
    }


@pytest.mark.parametrize("case", CASES)
def test_every_solver_repeats_the_stored_run_of_real_caffe(case: str, tmp_path: Path) -> None:
    request = {"solver": solver(CASES[case], tmp_path), "steps": UPDATES}
    ours = kept(both_engines.answer(caffe, request, inputs()))
    with np.load(GOLDEN) as stored:
        expected = {
            key.split(":")[1]: stored[key] for key in stored.files if key.split(":")[0] == case
        }
    assert set(expected) == set(ours)
    assert_same(expected, ours, 1e-4)


@pytest.mark.parametrize("case", [case for case in CASES if "clip" not in case])
def test_an_update_makes_no_tensor_on_another_device(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the meta device, where operations with the CPU's tensors fail as on a GPU."""
    meta = torch.device("meta")
    monkeypatch.setattr(Context, "device", property(lambda self: meta))
    (tmp_path / "solver.prototxt").write_text(solver(CASES[case], tmp_path))
    made = caffe.get_solver(tmp_path / "solver.prototxt")
    made.net.run_forward()
    made.net.run_backward()
    made.apply_update()
    assert {tensor.device for tensor in made.history} == {meta}
    assert {blob.tensor.device for blob in made.net.learnable_params} == {meta}


@pytest.mark.parametrize("case", OTHERS)
def test_every_solver_type_moves_the_weights_as_real_caffe_does(
    case: str, ask_both: Ask, tmp_path: Path
) -> None:
    request = {"solver": solver(OTHERS[case], tmp_path), "steps": UPDATES}
    assert_same_path(*ask_both(request, inputs()))
