"""The stages are the paper's, line by line, and each changes exactly one thing."""

from __future__ import annotations

import pytest

from tinynet.errors import UsageError
from tinynet.experiment import stages
from tinynet.experiment.assumptions import ASSUMPTIONS
from tinynet.experiment.hyperparameters import HYPERPARAMETERS, MEMBERS
from tinynet.experiment.stages import STAGES, stage


def _described(layer: stages.Layer) -> str:
    """A layer in the words of the paper's list (section 3)."""
    if isinstance(layer, stages.Data):
        return "Data layer"
    if isinstance(layer, stages.Convolution):
        return (
            f"Convolutional layer - filter size: {layer.filter_size}, stride: {layer.stride}, "
            f"number of filters: {layer.filters}"
        )
    if isinstance(layer, stages.MaxPooling):
        return f"Pooling layer - max pooling, stride: {layer.stride}"
    if isinstance(layer, stages.FullyConnected):
        return f"Fully connected - {layer.units or 200} units"
    return {stages.ReLU: "ReLU", stages.Softmax: "Softmax classifier"}[type(layer)]


def test_stage_1_is_the_papers_list_of_14_layers() -> None:
    assert [_described(layer) for layer in stage(1).layers] == [
        "Data layer",
        "Convolutional layer - filter size: 5, stride: 1, number of filters: 50",
        "ReLU",
        "Pooling layer - max pooling, stride: 2",
        "Convolutional layer - filter size: 5, stride: 1, number of filters: 100",
        "ReLU",
        "Pooling layer - max pooling, stride: 2",
        "Convolutional layer - filter size: 3, stride: 1, number of filters: 200",
        "ReLU",
        "Pooling layer - max pooling, stride: 2",
        "Fully connected - 400 units",
        "ReLU",
        "Fully connected - 200 units",
        "Softmax classifier",
    ]


def _changes(number: int) -> tuple[list[stages.Layer], list[stages.Layer]]:
    """(layers missing from the stage before, new layers), compared by value and name."""
    before, after = stage(number - 1).layers, stage(number).layers
    gone = [layer for layer in before if layer not in after]
    return gone, [layer for layer in after if layer not in before]


def test_stage_2_adds_dropout_between_the_fully_connected_layers_only() -> None:
    assert _changes(2) == ([], [stages.Dropout("drop1", 0.5)])
    names = [getattr(layer, "name", "") for layer in stage(2).layers]
    assert names.index("fc1") < names.index("drop1") < names.index("fc2")


def test_stage_3_changes_the_data_layer_only() -> None:
    assert _changes(3) == ([stages.Data()], [stages.Data(mirror=True, crop=60)])
    assert [s.data.mirror for s in STAGES] == [False, False] + [True] * 6
    assert [s.input_size(64) for s in STAGES] == [64, 64] + [60] * 6


def test_stage_4_makes_every_relu_leaky_and_changes_nothing_else() -> None:
    gone, new = _changes(4)
    assert gone == [stages.ReLU(f"relu{n}") for n in ("1", "2", "3", "_fc1")]
    assert new == [stages.ReLU(f"relu{n}", 0.01) for n in ("1", "2", "3", "_fc1")]
    for later in STAGES[3:]:
        slopes = {x.negative_slope for x in later.layers if isinstance(x, stages.ReLU)}
        assert slopes == {0.01}, later.name


def test_stage_5_resizes_three_convolutions_and_fc1() -> None:
    gone, new = _changes(5)
    assert [(x.name, x.filters) for x in new if isinstance(x, stages.Convolution)] == [
        ("conv1", 64),
        ("conv2", 128),
        ("conv3", 256),
    ]
    assert [x for x in new if isinstance(x, stages.FullyConnected)] == [
        stages.FullyConnected("fc1", 2048)
    ]
    assert len(gone) == len(new) == 4
    kept = [(type(x), getattr(x, "filter_size", 0)) for x in stage(5).layers]
    assert kept == [(type(x), getattr(x, "filter_size", 0)) for x in stage(4).layers]


def test_stage_6_puts_three_3x3_convolutions_with_their_relus_for_conv2() -> None:
    gone, new = _changes(6)
    assert [getattr(layer, "name", "") for layer in gone] == ["conv2", "relu2"]
    kinds = [type(layer) for layer in new]
    assert kinds == [stages.Convolution, stages.ReLU] * 3
    assert {x.filter_size for x in new if isinstance(x, stages.Convolution)} == {3}
    at = stage(6).layers.index(new[0])
    assert stage(6).layers[at : at + 6] == tuple(new)  # no pooling between them
    assert isinstance(stage(6).layers[at + 6], stages.MaxPooling)


def test_stage_7_adds_dropout_between_the_last_conv_block_and_fc1_only() -> None:
    assert _changes(7) == ([], [stages.Dropout("drop2", 0.5)])
    names = [getattr(layer, "name", "") for layer in stage(7).layers]
    assert names[names.index("drop2") - 1 : names.index("drop2") + 2] == ["pool3", "drop2", "fc1"]


def test_stage_8_is_stage_7_eleven_times_with_other_seeds_and_nearly_equal_settings() -> None:
    assert stage(8).layers == stage(7).layers
    assert stage(8).members == len(MEMBERS) == 11
    assert [member.number for member in MEMBERS] == list(range(1, 12))
    assert len({member.random_seed for member in MEMBERS}) == 11
    settings = [(m.base_lr_factor, m.weight_decay_factor) for m in MEMBERS]
    # the first three are stage 7's own runs from its first three seeds
    assert settings[:3] == [(1.0, 1.0)] * 3
    assert [m.random_seed for m in MEMBERS[:3]] == [1, 2, 3]
    assert len(set(settings[2:])) == 9
    for member in MEMBERS:
        assert 0.75 <= member.base_lr_factor <= 1.25
        assert 0.75 <= member.weight_decay_factor <= 1.25


def test_every_stage_has_hyperparameters_that_a_solver_can_follow() -> None:
    assert [s.number for s in STAGES] == list(HYPERPARAMETERS) == list(range(1, 9))
    for settings in HYPERPARAMETERS.values():
        assert settings.std > 0
        assert settings.base_lr > 0
        assert list(settings.drops) == sorted(set(settings.drops))
        assert all(0 < drop < settings.epochs for drop in settings.drops)
        assert (settings.lr_policy == "fixed") == (not settings.drops)


def test_an_assumption_states_question_decision_and_reason_once() -> None:
    questions = [row.question for row in ASSUMPTIONS]
    assert len(set(questions)) == len(questions)
    assert all(part.strip() for row in ASSUMPTIONS for part in row)


@pytest.mark.parametrize("number", [0, 9, -1])
def test_a_number_that_no_stage_has_is_wrong_use(number: int) -> None:
    with pytest.raises(UsageError, match=f"no stage {number}; the stages are 1 to 8"):
        stage(number)


def test_a_number_that_no_member_has_is_wrong_use() -> None:
    with pytest.raises(UsageError, match="no member 12; .* 1 to 11"):
        stages.member(12)
