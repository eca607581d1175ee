"""Examples of solvers: every field of a SolverParameter, by a solver that uses it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.torchcaffe.every_field.observing import Example, solver, trained
from tests.torchcaffe.small_nets import layer
from tinynet.caffeformat import schema

NET = (
    layer(
        "DummyData",
        "",
        "x label",
        "dummy_data_param { shape { dim: 4 dim: 3 } shape { dim: 4 } "
        'data_filler { type: "gaussian" } data_filler { value: 1 } }',
        "data",
    )
    + layer(
        "InnerProduct",
        "x",
        "y",
        'inner_product_param { num_output: 3 weight_filler { type: "xavier" } }',
        "fc",
    )
    + layer("Dropout", "y", "z", 'include { phase: TRAIN stage: "noisy" }', "drop")
    + layer("Silence", "z", "", 'include { phase: TRAIN stage: "noisy" }', "quiet")
    + layer("Silence", "x", "", "include { phase: TEST min_level: 1 }", "tested")
    + layer("SoftmaxWithLoss", "y label", "loss", name="loss")
)
_BASE = 'base_lr: 0.5 lr_policy: "fixed" max_iter: 6 random_seed: 3'
_SNAP = f'{_BASE} snapshot_prefix: "s"'
_TEST = f"{_BASE} test_iter: 1 test_interval: 2"


def solvers(folder: Path) -> Iterator[Example]:
    """Solvers of one small net."""
    (folder / "small.prototxt").write_text(NET)
    named = 'net: "../small.prototxt"'
    examples = (
        f"{named} {_BASE}",
        f"{named} {_BASE} momentum: 0.9 weight_decay: 0.1",
        f'{named} {_BASE} weight_decay: 0.1 regularization_type: "L1"',
        f"{named} {_BASE} clip_gradients: 0.01",
        f'{named} base_lr: 1 lr_policy: "inv" gamma: 0.5 power: 2 max_iter: 4 random_seed: 1',
        f'{named} base_lr: 1 lr_policy: "step" gamma: 0.5 stepsize: 2 max_iter: 5 random_seed: 1',
        f'{named} base_lr: 1 lr_policy: "multistep" gamma: 0.5 stepvalue: [1, 3] max_iter: 5 '
        "random_seed: 1",
        f'{named} {_BASE} type: "Adam" momentum: 0.9 momentum2: 0.5 delta: 0.1',
        f'{named} {_BASE} type: "RMSProp" rms_decay: 0.5',
        f"{named} {_BASE} solver_type: ADAGRAD",
        f"{named} {_BASE} solver_type: NESTEROV momentum: 0.5",
        f"{named} {_BASE} iter_size: 3",
        f"{named} {_BASE} display: 2 average_loss: 3",
        f"{named} {_SNAP} snapshot: 2 snapshot_diff: true",
        f"{named} {_SNAP} snapshot_format: HDF5",
        f"{named} {_SNAP} snapshot_after_train: false",
        f"{named} {_TEST} test_initialization: false",
        f"{named} {_TEST} test_compute_loss: true",
        f'{named} {_TEST} train_state {{ stage: "noisy" level: 2 }} test_state {{ level: 1 }}',
        f"{named} {_BASE} display: 3 debug_info: true",
        f'train_net: "../small.prototxt" test_net: "../small.prototxt" {_TEST}',
        f"net_param {{ {NET} }} {_BASE}",
        f"train_net_param {{ {NET} }} test_net_param {{ {NET} }} {_TEST}",
        f'{named} {_BASE} weights: "../small.caffemodel"',
    )
    for written in examples:
        yield solver(written, written, schema.SolverParameter, folder)
    # only the command line reads a solver's device
    on_gpu = f"{named} {_BASE} solver_mode: GPU device_id: 99"
    yield trained("on a GPU", on_gpu, schema.SolverParameter, folder)
    state = 'state { phase: TEST level: 1 stage: "noisy" }'
    inner = f"net_param {{ {state} {NET} }} {_BASE}"
    yield solver("a net with a state", inner, schema.SolverParameter, folder)
