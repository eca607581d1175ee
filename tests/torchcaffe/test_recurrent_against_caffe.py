"""RNN, LSTM and LSTMUnit compute, initialize, refuse and save as in real Caffe."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinynet.torchcaffe as caffe
from tests.torchcaffe import both_engines
from tests.torchcaffe.conftest import Ask, RealCaffe, assert_same
from tests.torchcaffe.gradient_check import check_gradients
from tests.torchcaffe.layer_cases.recurrent import CONT, recurrent
from tests.torchcaffe.layer_cases.recurrent import RECURRENT as LAYERS
from tests.torchcaffe.refused_nets import refused
from tests.torchcaffe.small_nets import layer, net, normal
from tinynet.caffeformat import schema, shapes, text

TWO = ("RNN", "LSTM")
# without the cases that Caffe's diffs omit: exposed states, fractional cont, overwritten cells
SMOOTH = [
    name for name in LAYERS if not any(word in name for word in ("exposed", "half", "on its cells"))
]


_LSTM = recurrent()
_SHAPES = ((4, 3, 5), (4, 3))
REFUSED = {
    "no num_output": refused("LSTM", "", *_SHAPES, message="num_output must be positive"),
    "cont is missing": refused("RNN", _LSTM, _SHAPES[0], message="takes 2 to 3 bottom"),
    "a row of x": refused("RNN", _LSTM, (4,), (4, 3), message="2 axes or more"),
    "cont of other steps": refused("LSTM", _LSTM, (4, 3, 5), (5, 3), message="shape .4, 3."),
    "cont of other streams": refused("LSTM", _LSTM, (4, 3, 5), (4, 2), message="shape .4, 3."),
    "cont of three axes": refused("RNN", _LSTM, (4, 3, 5), (4, 3, 1), message="shape .4, 3."),
    "static of other streams": refused(
        "LSTM", _LSTM, *_SHAPES, (4, 2), message="begin with the 3 streams"
    ),
    "too many bottoms": refused("RNN", _LSTM, *_SHAPES, (3, 2), (3, 2), message="got 4"),
    "two tops": refused("RNN", _LSTM, *_SHAPES, tops="y z", message="exactly 1 top"),
    "exposed without its state": refused(
        "LSTM", recurrent("expose_hidden: true"), *_SHAPES, tops="y h c", message="takes 4 to 5"
    ),
    "exposed, of another size": refused(
        "RNN",
        recurrent("expose_hidden: true"),
        *_SHAPES,
        (1, 3, 3),
        tops="y h",
        message=r"must have the shape \(1, 3, 2\)",
    ),
    "unit of two steps": refused(
        "LSTMUnit", "", (2, 3, 2), (2, 3, 8), (2, 3), tops="cell hidden", message="1, streams, size"
    ),
    "unit of three gates": refused(
        "LSTMUnit",
        "",
        (1, 3, 2),
        (1, 3, 6),
        (1, 3),
        tops="cell hidden",
        message=r"shape \(1, 3, 8\)",
    ),
    "unit of other streams": refused(
        "LSTMUnit", "", (1, 3, 2), (1, 3, 8), (1, 2), tops="cell hidden", message=r"shape \(1, 3\)"
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_initial_weights_from_a_seed_equal_real_caffes_to_the_bit(name: str, ask_both: Ask) -> None:
    """Every step's copy of a shared parameter draws from its filler, and is then discarded."""
    case = LAYERS[name]
    real, ours = ask_both({**case.request, "backward": False}, case.arrays)
    for key in (key for key in real if "/param/" in key):
        np.testing.assert_array_equal(ours[key], real[key])


@pytest.mark.parametrize("name", SMOOTH)
def test_backward_equals_central_differences(name: str, tmp_path: Path) -> None:
    case = LAYERS[name]
    arrays = case.arrays
    if case.type != "LSTMUnit":
        arrays["cont"] = np.copy(arrays["cont"])
        arrays["cont"][0] = 0  # no state is carried from one forward pass to the next
    else:
        arrays["cont"] = np.array([[1, 0, 1, 0]], np.float32)
    learned = [name for name in case.inputs if name != "cont"]
    check_gradients(case.text, arrays, case.driven_tops, learned, tmp_path)


@pytest.mark.parametrize("kind", TWO)
def test_the_number_of_streams_may_change_between_passes(kind: str, ask_both: Ask) -> None:
    written = net(layer(kind, "x cont", "y", recurrent()), ("x", (4, 3, 5)), ("cont", (4, 3)))
    shapes = [{"x": [4, n, 5], "cont": [4, n]} for n in (3, 2, 3, 4)]
    inputs = {"x": normal(1, (4, 4, 5)), "cont": np.ones((4, 4), np.float32)}
    # a state larger than before starts from whatever Caffe's memory holds, so sequences begin here
    inputs["cont"][0] = 0
    request = {"net": written, "top_diffs": ["y"], "passes": 4, "shapes": shapes}
    assert_same(*ask_both(request, inputs))


@pytest.mark.parametrize("kind", TWO)
def test_the_number_of_steps_may_not_change(kind: str, both_refuse: Callable[..., str]) -> None:
    written = net(layer(kind, "x cont", "y", recurrent()), ("x", (4, 3, 5)), ("cont", (4, 3)))
    shapes = [{"x": [5, 3, 5], "cont": [5, 3]}]
    inputs = {"x": normal(1, (5, 3, 5)), "cont": np.ones((5, 3), np.float32)}
    assert "number of steps" in both_refuse({"net": written, "shapes": shapes}, inputs)


@pytest.mark.parametrize("case", REFUSED)
def test_where_real_caffe_aborts_a_caffe_error_says_why(
    case: str, both_refuse: Callable[..., str]
) -> None:
    written, message = REFUSED[case]
    found = both_refuse({"net": written})
    assert re.search(message, found), found


def test_cont_has_no_diff(both_refuse: Callable[..., str]) -> None:
    learned = layer("InnerProduct", "c", "cont", "inner_product_param { num_output: 3 }", "ip")
    loss = layer("Reduction", "y", "loss", "loss_weight: 1", "loss")
    written = net(
        learned + layer("LSTM", "x cont", "y", recurrent()) + loss, ("x", (4, 3, 5)), ("c", (4, 3))
    )
    assert "cannot propagate to bottom 1" in both_refuse({"net": written})


@pytest.mark.parametrize("name", LAYERS)
def test_the_shape_rule_gives_the_engines_shapes(name: str, tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(LAYERS[name].text)
    made = caffe.Net(tmp_path / "net.prototxt", caffe.TEST)
    rule = shapes.infer(text.parse(LAYERS[name].text, schema.NetParameter, name), schema.TEST)
    for blob, shape in rule.blobs.items():
        assert made.blobs[blob].shape == shape, blob
    found = [blob.shape for blobs in made.params.values() for blob in blobs]
    assert [shape for row in rule.layers for shape in row.parameters] == found


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # 4 steps of 3 streams: 5 inputs and 2 hidden values to 2 (RNN, and 2 to 2) or 8 rows
        ("RNN plain", 12 * (5 * 2 + 2 * 2 + 2 * 2)),
        ("LSTM plain", 12 * (5 * 8 + 2 * 8)),
        ("LSTM static", 12 * (5 * 8 + 2 * 8) + 3 * 3 * 8),
    ],
)
def test_multiply_adds_are_those_of_a_hand_calculation(name: str, expected: int) -> None:
    net_param = text.parse(LAYERS[name].text, schema.NetParameter, name)
    assert shapes.infer(net_param, schema.TRAIN).multiply_adds == expected


# --- training


def _sequence_net(kind: str, extra: str = "") -> str:
    """Random sequences; the label is a constant, so that both phases read the same."""
    data = (
        'layer { name: "data" type: "DummyData" top: "x" top: "cont" top: "t" dummy_data_param { '
        "shape { dim: 4 dim: 3 dim: 5 } shape { dim: 4 dim: 3 } shape { dim: 4 dim: 3 dim: 2 } "
        'data_filler { type: "gaussian" } data_filler { value: 1 } data_filler { value: 0.3 } } }\n'
    )
    return (
        f'name: "sequences"\n{data}{layer(kind, "x cont", "a", recurrent(), "r")}{extra}'
        f"{layer('EuclideanLoss', 'a t', 'loss', name='loss')}"
    )


def _solver(folder: Path, net_text: str, more: str) -> str:
    (folder / "net.prototxt").write_text(net_text)
    return (
        f'net: "{folder}/net.prototxt" base_lr: 0.2 lr_policy: "fixed" momentum: 0.9 '
        f'weight_decay: 0.01 max_iter: 100 random_seed: 5 snapshot_prefix: "{folder}/s" {more}'
    )


@pytest.mark.parametrize(
    "more", ["", "iter_size: 2", 'type: "Adam" momentum2: 0.99', "clip_gradients: 0.1"]
)
@pytest.mark.parametrize("kind", TWO)
def test_training_equals_real_caffes(kind: str, more: str, ask_both: Ask, tmp_path: Path) -> None:
    solver = _solver(tmp_path, _sequence_net(kind), more)
    real, ours = ask_both({"solver": solver, "steps": 6})
    assert_same(real, ours, 2e-5)
    assert ours["losses"][-1] < ours["losses"][0]


@pytest.mark.parametrize("kind", TWO)
def test_testing_uses_the_trained_parameters_at_every_step(
    kind: str, ask_both: Ask, tmp_path: Path
) -> None:
    """The test net's own copies of the steps after the first must follow the train net's."""
    solver = _solver(tmp_path, _sequence_net(kind), "test_iter: 2 test_interval: 2")
    real, ours = ask_both({"solver": solver, "steps": 5, "test_pass": True})
    assert_same(real, ours, 2e-5)
    assert "test/data/a" in real


def test_layers_that_share_parameters_by_name_train_as_in_real_caffe(
    ask_both: Ask, tmp_path: Path
) -> None:
    """In real Caffe the second layer's later steps keep their initial parameters."""
    names = " ".join(f'param {{ name: "{name}" }}' for name in ("wx", "b", "wh"))
    shared = layer("LSTM", "x cont", "a", recurrent() + names, "r")
    second = layer("LSTM", "a2 cont", "b", recurrent() + names, "r2")
    wide = layer("InnerProduct", "a", "a2", "inner_product_param { num_output: 5 axis: 2 }", "ip")
    written = _sequence_net("LSTM", wide + second).replace(
        'bottom: "a" bottom: "t"', 'bottom: "b" bottom: "t"'
    )
    written = written.replace(layer("LSTM", "x cont", "a", recurrent(), "r"), shared)
    assert_same(*ask_both({"solver": _solver(tmp_path, written, ""), "steps": 4}), 2e-5)


# --- files


@pytest.mark.parametrize("name", [f"{kind} {how}" for kind in TWO for how in ("plain", "static")])
def test_a_caffemodel_of_either_engine_loads_in_the_other(
    name: str, real_caffe: RealCaffe, tmp_path: Path
) -> None:
    case = LAYERS[name]
    ours_path, theirs_path = tmp_path / "ours.caffemodel", tmp_path / "theirs.caffemodel"
    ask = {**case.request, "seed": 3}
    ours = both_engines.answer(caffe, {**ask, "save": str(ours_path)}, case.arrays)
    theirs = real_caffe.answer({**ask, "seed": 4, "save": str(theirs_path)}, case.arrays, tmp_path)
    again = {**case.request, "seed": 9}
    loaded = real_caffe.answer({**again, "weights": str(ours_path)}, case.arrays, tmp_path)
    assert_same(loaded, ours)
    loaded = both_engines.answer(caffe, {**again, "weights": str(theirs_path)}, case.arrays)
    assert_same(theirs, loaded)


@pytest.mark.parametrize("kind", TWO)
def test_an_exact_resume_restores_the_hidden_state(kind: str, tmp_path: Path) -> None:
    """The losses of steps 4 to 6 equal those of an uninterrupted run to the bit."""

    def build_solver() -> Any:
        (tmp_path / "solver.prototxt").write_text(_solver(tmp_path, _sequence_net(kind), ""))
        solver = caffe.get_solver(tmp_path / "solver.prototxt")
        caffe.extensions.make_resumable(solver)
        return solver

    def losses(solver: Any) -> list[float]:
        found = []
        for _ in range(3):
            solver.step(1)
            found.append(float(solver.net.blobs["loss"].data))
        return found

    first = build_solver()
    losses(first)
    first.snapshot()
    expected = losses(first)
    resumed = build_solver()
    resumed.restore(tmp_path / "s_iter_3.solverstate")
    caffe.extensions.restore_complete(resumed, tmp_path / "s_iter_3.solverstate")
    assert losses(resumed) == expected


def test_a_damaged_hidden_state_is_refused(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(LAYERS["LSTM plain"].text)
    recurrent_layer: Any = caffe.Net(tmp_path / "net.prototxt", caffe.TRAIN).layer_dict["l"]
    state = recurrent_layer.state()
    assert set(state) == {"h_0", "c_0"}
    for torn in ({}, {**state, "c_0": "AAAA"}, {**state, "h_0": 3}, {**state, "h_0": "?"}):
        with pytest.raises(caffe.CaffeError, match="hidden state"):
            recurrent_layer.set_state(torn)


def test_blobs_in_the_prototxt_are_refused_where_caffe_ignores_them(tmp_path: Path) -> None:
    written = net(
        layer("RNN", "x cont", "y", recurrent() + " blobs { shape { dim: 1 } data: 1 }"),
        ("x", (4, 3, 5)),
        ("cont", CONT.shape),
    )
    (tmp_path / "net.prototxt").write_text(written)
    with pytest.raises(caffe.CaffeError, match="blobs stated in the prototxt have no effect"):
        caffe.Net(tmp_path / "net.prototxt", caffe.TRAIN)
