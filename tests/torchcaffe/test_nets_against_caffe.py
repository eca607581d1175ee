"""Nets are built from prototxt as in real Caffe: rules, splits, sharing, backward passes."""

from __future__ import annotations

from pathlib import Path

import pytest

import tinynet.torchcaffe as torchcaffe
from tests.torchcaffe.conftest import Ask, assert_same
from tests.torchcaffe.layer_cases import whole
from tests.torchcaffe.small_nets import GAUSSIAN, layer, net, normal, x_of


def fc(bottom: str, top: str, name: str, rest: str = "", outputs: int = 4) -> str:
    given = f"inner_product_param {{ num_output: {outputs} {GAUSSIAN} }} {rest}"
    return layer("InnerProduct", bottom, top, given, name)


def euclidean(bottoms: str, top: str = "loss", rest: str = "", name: str = "loss") -> str:
    return layer("EuclideanLoss", bottoms, top, rest, name)


RULES = "".join(
    layer("Power", "x", name, rule, name)
    for name, rule in {
        "always": "",
        "train": "include { phase: TRAIN }",
        "test": "include { phase: TEST }",
        "not_test": "exclude { phase: TEST }",
        "low": "include { max_level: 1 }",
        "high": "include { min_level: 2 }",
        "middle": "include { min_level: 1 max_level: 2 }",
        "deploy": 'include { stage: "deploy" }',
        "not_deploy": 'include { not_stage: "deploy" }',
        "both": 'include { stage: "deploy" stage: "fast" }',
        "either": 'include { stage: "deploy" } include { stage: "fast" }',
        "fast_only": 'include { stage: "fast" not_stage: "deploy" }',
        "neither": 'exclude { stage: "deploy" } exclude { stage: "fast" }',
        "test_and_fast": 'include { phase: TEST stage: "fast" }',
        "high_train": "exclude { phase: TRAIN min_level: 1 }",
    }.items()
)


@pytest.mark.parametrize("phase", [0, 1])
@pytest.mark.parametrize("level", [0, 1, 2])
@pytest.mark.parametrize("stages", [[], ["deploy"], ["fast"], ["deploy", "fast", "other"]])
def test_include_and_exclude_rules_keep_the_layers_that_real_caffe_keeps(
    phase: int, level: int, stages: list[str], ask_both: Ask
) -> None:
    asked = {"net": net(RULES, ("x", (2,))), "phase": phase, "level": level, "stages": stages}
    real, ours = ask_both({**asked, "backward": False})
    for what in ("layers", "outputs", "blobs"):
        assert ours[what].tolist() == real[what].tolist()


NETS = {
    "several readers": fc("x", "y", "a")
    + fc("y", "z", "b")
    + layer("Eltwise", "y z x", "sum", "", "sum")
    + euclidean("sum t"),
    "the input read three times": fc("x", "y", "a")
    + fc("x", "z", "b")
    + layer("Eltwise", "x y z", "product", "eltwise_param { operation: PROD }", "product")
    + euclidean("product t"),
    "two losses": fc("x", "y", "a")
    + euclidean("y t", "one", "loss_weight: 0.3", "one")
    + layer("Reduction", "y", "two", "loss_weight: 2 reduction_param { operation: SUMSQ }", "two"),
    "a loss top that others read": fc("x", "y", "a")
    + euclidean("y t", "one", "loss_weight: 0.3", "one")
    + layer("Power", "one", "squared", "power_param { power: 2 } loss_weight: 3", "two"),
    "a weighted top that is no scalar": fc("x", "y", "a", "loss_weight: 0.25"),
    "a loss of weight 0": fc("x", "y", "a")
    + fc("y", "z", "b")
    + euclidean("z t", "zero", "loss_weight: 0"),
    "a branch without loss": fc("x", "y", "a") + fc("y", "z", "b") + euclidean("y t"),
    "lr_mult 0 below": fc("x", "y", "a", "param { lr_mult: 0 } param { lr_mult: 0 }")
    + fc("y", "z", "b")
    + euclidean("z t"),
    "lr_mult 0 between": fc("x", "y", "a")
    + fc("y", "z", "b", "param { lr_mult: 0 } param { lr_mult: 0 }")
    + euclidean("z t"),
    "propagate_down false": fc("x", "y", "a")
    + fc("y", "z", "b", "propagate_down: false")
    + euclidean("z t"),
    "propagate_down true for an input": fc("x", "y", "a", "propagate_down: true")
    + euclidean("y t", rest="propagate_down: true propagate_down: true"),
    "propagate_down false on one branch": fc("x", "y", "a")
    + fc("x", "z", "b")
    + layer("Eltwise", "y z", "sum", "propagate_down: true propagate_down: false", "sum")
    + euclidean("sum t"),
    "a shared weight": fc("x", "y", "a", 'param { name: "w" } param { name: "b" }')
    + fc("y", "z", "b", 'param { name: "w" } param { name: "b" }')
    + euclidean("z t"),
    "a shared weight among others": fc(
        "x", "y", "a", 'param { name: "w" lr_mult: 2 } param { lr_mult: 0 }'
    )
    + fc("y", "z", "b")
    + fc("z", "u", "c", 'param { name: "w" } param { }')
    + euclidean("u t"),
    "a weight shared with another shape": fc(
        "x", "y", "a", 'param { name: "w" share_mode: PERMISSIVE }'
    )
    + layer("Reshape", "y", "pairs", "reshape_param { shape { dim: -1 dim: 2 } }", "r")
    + fc("pairs", "z", "b", 'param { name: "w" share_mode: PERMISSIVE }', outputs=8)
    + layer("Reduction", "z", "two", "loss_weight: 2 reduction_param { operation: SUMSQ }", "two"),
    "batch norm masks its blobs": layer(
        "BatchNorm", "x", "n", "batch_norm_param { use_global_stats: true eps: 0.5 }", "n"
    )
    + fc("n", "y", "a")
    + euclidean("y t"),
    "an old batch norm": layer(
        "BatchNorm",
        "x",
        "n",
        "batch_norm_param { use_global_stats: true eps: 0.5 } "
        "param { lr_mult: 1 decay_mult: 1 } param { lr_mult: 1 } param { lr_mult: 2 }",
        "n",
    )
    + fc("n", "y", "a")
    + euclidean("y t"),
    "a scale whose input learns nothing": layer("Scale", "x", "s", "", "s") + euclidean("s t"),
    "silence": fc("x", "y", "a") + layer("Silence", "y", "", "", "s") + euclidean("x t"),
    "automatic loss top": fc("x", "y", "a") + layer("EuclideanLoss", "y t", "", "", "loss"),
}


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("case", NETS)
def test_data_and_diffs_of_all_blobs_equal_real_caffes(
    case: str, force: bool, ask_both: Ask
) -> None:
    text = net(NETS[case], ("x", (3, 4)), ("t", (3, 4)), force_backward=force)
    asked = {"net": text, "passes": 2, "clear": False}
    real, ours = ask_both(asked, {**x_of((3, 4)), "t": normal(2, (3, 4))})
    assert_same(real, ours)
    for what in ("layers", "outputs", "blobs"):
        assert ours[what].tolist() == real[what].tolist()


BRANCHES = {
    "Eltwise sum": ("Eltwise", "eltwise_param { coeff: 2 coeff: -1 }", (3, 4)),
    "Eltwise product": ("Eltwise", "eltwise_param { operation: PROD }", (3, 4)),
    "Eltwise max": ("Eltwise", "eltwise_param { operation: MAX }", (3, 4)),
    "Concat": ("Concat", "", (3, 4)),
    "Scale": ("Scale", "scale_param { axis: 0 bias_term: true }", (3, 4)),
    "Scale by a row": ("Scale", "", (4,)),
    "Bias": ("Bias", "", (4,)),
    "EuclideanLoss": ("EuclideanLoss", "", (3, 4)),
}


@pytest.mark.parametrize("downs", [(True, False), (False, True), (False, False)])
@pytest.mark.parametrize("case", BRANCHES)
def test_only_the_bottoms_that_need_a_diff_get_one(
    case: str, downs: tuple[bool, bool], ask_both: Ask
) -> None:
    layer_type, parameters, shape = BRANCHES[case]
    text = layer("Power", "x", "a", "", "left") + layer("Power", "t", "b", "", "right")
    rest = " ".join(f"propagate_down: {str(down).lower()}" for down in downs)
    text += layer(layer_type, "a b", "y", f"{parameters} {rest}", "joined")
    text += layer("Power", "y", "loss", "power_param { power: 2 } loss_weight: 1", "loss")
    asked = {"net": net(text, ("x", (3, 4)), ("t", shape), force_backward=False)}
    assert_same(*ask_both(asked, {**x_of((3, 4)), "t": normal(2, shape)}))


MASKED = {
    "Scale": ("Scale", "scale_param { bias_term: true }", 2),
    "Bias": ("Bias", "", 1),
    "PReLU": ("PReLU", "", 1),
    "InnerProduct": ("InnerProduct", "inner_product_param { num_output: 4 }", 2),
    "Convolution": ("Convolution", "convolution_param { num_output: 4 kernel_size: 1 }", 2),
}


@pytest.mark.parametrize("learned", [(1, 0), (0, 1), (0, 0)])
@pytest.mark.parametrize("case", MASKED)
def test_only_the_parameters_that_learn_get_a_diff(
    case: str, learned: tuple[int, int], ask_both: Ask
) -> None:
    layer_type, parameters, count = MASKED[case]
    specs = " ".join(f"param {{ lr_mult: {lr} }}" for lr in learned[:count])
    convolution = f"convolution_param {{ num_output: 3 kernel_size: 1 {GAUSSIAN} }}"
    text = layer("Convolution", "x", "a", convolution, "below")
    text += layer(layer_type, "a", "y", f"{parameters} {specs}", "masked")
    text += layer("Power", "y", "loss", "power_param { power: 2 } loss_weight: 1", "loss")
    asked = {"net": net(text, ("x", (2, 3, 2, 2)), force_backward=False)}
    assert_same(*ask_both(asked, x_of((2, 3, 2, 2))))


def test_reshaping_at_run_time_gives_what_real_caffe_gives(ask_both: Ask) -> None:
    convolution = f"convolution_param {{ num_output: 4 kernel_size: 3 {GAUSSIAN} }}"
    text = layer("Convolution", "x", "c", convolution, "c")
    text += layer("LRN", "c", "n", "lrn_param { local_size: 3 }", "n")
    text += layer("PReLU", "n", "n", "", "p")
    text += layer("Scale", "n", "n", "scale_param { bias_term: true }", "s")
    text += layer("Pooling", "n", "p", "pooling_param { kernel_size: 2 stride: 2 }", "pool")
    text += layer("Slice", "p", "left right", "", "cut")
    text += layer("Concat", "right left", "swapped", "", "join")
    text += layer("Flatten", "swapped", "f", "", "f")
    text += layer("Reduction", "f", "y", "reduction_param { axis: 1 }", "y")
    shapes = [{"x": shape} for shape in [(2, 3, 8, 8), (4, 3, 6, 7), (1, 3, 9, 5), (2, 3, 8, 8)]]
    asked = {"net": net(text, ("x", (2, 3, 8, 8))), "shapes": shapes, "passes": 4}
    assert_same(*ask_both({**asked, "top_diffs": ["y"]}, x_of((4, 3, 8, 8))))


OLD_INPUTS = {
    "input_dim": 'input: "x" input_dim: 2 input_dim: 3 input_dim: 1 input_dim: 2',
    "input_shape": 'input: "x" input_shape { dim: 2 dim: 3 }',
    "two": 'input: "x" input: "z" input_shape { dim: 2 dim: 3 } input_shape { dim: 4 }',
    "two by dim": 'input: "x" input: "z"'
    + "".join(f" input_dim: {dim}" for dim in (2, 3, 1, 2, 5, 1, 1, 1)),
}


@pytest.mark.parametrize("case", OLD_INPUTS)
def test_older_input_fields_make_an_input_layer(case: str, ask_both: Ask) -> None:
    text = f'name: "old"\n{OLD_INPUTS[case]}\nforce_backward: true\n' + fc("x", "y", "fc")
    real, ours = ask_both({"net": text, "top_diffs": ["y"]}, x_of((2, 6)))
    assert_same(real, ours)
    assert ours["layers"].tolist() == real["layers"].tolist()


@pytest.mark.parametrize("case", ["a shared weight", "a shared weight among others"])
def test_training_shared_parameters_equals_real_caffes(
    case: str, ask_both: Ask, tmp_path: Path
) -> None:
    data = layer(
        "DummyData",
        "",
        "x t",
        'dummy_data_param { data_filler { type: "gaussian" std: 1 } shape { dim: 3 dim: 4 } }',
        "data",
    )
    path = tmp_path / "net.prototxt"
    path.write_text(f'name: "shared"\n{data}{NETS[case]}')
    solver = f'net: "{path}" base_lr: 0.05 momentum: 0.9 weight_decay: 0.01 lr_policy: "fixed" '
    solver += f'max_iter: 9 random_seed: 3 snapshot_prefix: "{tmp_path}/s" solver_mode: CPU'
    assert_same(*ask_both({"solver": solver, "steps": 9}))


def test_training_with_batch_norm_equals_real_caffes(
    ask_both: Ask, tmp_path: Path, caffe_that_normalizes_by_batch: object
) -> None:
    data = layer(
        "DummyData",
        "",
        "x t",
        'dummy_data_param { data_filler { type: "gaussian" std: 1 } shape { dim: 8 dim: 4 } }',
        "data",
    )
    layers = fc("x", "y", "a") + layer("BatchNorm", "y", "y", "", "bn")
    layers += layer("Scale", "y", "y", "scale_param { bias_term: true }", "scale")
    layers += layer("ReLU", "y", "y", "", "relu") + fc("y", "z", "b") + euclidean("z t")
    path = tmp_path / "net.prototxt"
    path.write_text(f'name: "normalized"\n{data}{layers}')
    solver = f'net: "{path}" base_lr: 0.05 momentum: 0.9 weight_decay: 0.01 lr_policy: "fixed" '
    solver += f'max_iter: 30 random_seed: 3 snapshot_prefix: "{tmp_path}/s" solver_mode: CPU'
    assert_same(*ask_both({"solver": solver, "steps": 30}), 1e-4)


def test_the_loss_of_a_net_is_the_weighted_sum_of_its_tops(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(net(NETS["two losses"], ("x", (3, 4)), ("t", (3, 4))))
    built = torchcaffe.Net(path, torchcaffe.TRAIN)
    built.blobs["x"].data[...] = normal(1, (3, 4))
    loss = float(built.run_forward())
    one, two = (float(built.blobs[name].data) for name in ("one", "two"))
    assert loss == pytest.approx(0.3 * one + 2 * two)
    assert dict(built.blob_loss_weights)["two"] == 2


def test_accuracy_needs_no_gradient_even_when_forced(ask_both: Ask) -> None:
    text = fc("x", "y", "fc") + layer("SoftmaxWithLoss", "y label", "loss", "", "loss")
    text += layer("Accuracy", "y label", "accuracy", "include { phase: TEST }", "accuracy")
    asked = {"net": net(text, ("x", (3, 4)), ("label", (3,)), force_backward=False), "phase": 1}
    assert_same(*ask_both(asked, {**x_of((3, 4)), "label": whole(1, (3,), 4)}))


def test_unknown_layers_and_parameters_are_named(tmp_path: Path) -> None:
    path = tmp_path / "unknown.prototxt"
    path.write_text(layer("Convolutoin", "", "y"))
    with pytest.raises(
        torchcaffe.CaffeError,
        match=r"unknown layer type 'Convolutoin' \(layer l\); did you mean 'Convolution'\?",
    ):
        torchcaffe.Net(path, torchcaffe.TEST)
    path.write_text(net(layer("ReLU", "xx", "y"), ("x", (1,))))
    with pytest.raises(torchcaffe.CaffeError, match=r"bottom blob 'xx': .*; did you mean 'x'\?"):
        torchcaffe.Net(path, torchcaffe.TEST)
    path.write_text(layer("ReLU", "x", "y", "relu_param {\n negative_slop: 1 }"))
    with pytest.raises(Exception, match=r"unknown.prototxt:2: .*negative_slop.*ReLUParameter"):
        torchcaffe.Net(path, torchcaffe.TEST)
