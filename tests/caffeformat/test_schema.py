"""The schema is Caffe's, field by field, and shares a process with a real Caffe's messages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pool

from tests.conftest import run_python
from tinynet.caffeformat import schema

SCRIPT = Path(__file__).with_name("in_caffe.py")
# kendryte-caffe is a fork with its own layers, made before Caffe had Clip.
FORK_MESSAGES = {
    "LabelsequenceAccuracyParameter",
    "CtcLossParameter",
    "PermuteParameter",
    "ReverseParameter",
    "ContinuationIndicatorParameter",
}
FORK_FIELDS = {
    ("LayerParameter", "permute_param"),
    ("LayerParameter", "labelsequence_accuracy_param"),
    ("LayerParameter", "reverse_param"),
    ("LayerParameter", "ctc_loss_param"),
    ("LayerParameter", "continuation_indicator_param"),
    ("V1LayerParameter", "reverse_param"),
    ("V0LayerParameter", "axis"),
}
NEWER_MESSAGES = {"ClipParameter"}
NEWER_FIELDS = {("LayerParameter", "clip_param")}


@pytest.fixture(scope="module")
def real(caffe_python: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("schema") / "schema.json"
    run_python(caffe_python, SCRIPT, "schema", out)
    return json.loads(out.read_text())


def _default(field: schema.Field) -> Any:
    if field.default is None:
        return None
    if field.kind == "bool":
        return field.default == "true"
    if field.kind in ("string", "enum"):
        return field.default
    return float(field.default)


def test_messages_are_those_of_real_caffe(real: dict[str, Any]) -> None:
    assert set(schema.MESSAGES) - NEWER_MESSAGES == set(real["messages"]) - FORK_MESSAGES - (
        NEWER_MESSAGES
    )


def test_every_field_has_real_caffes_number_type_label_and_default(real: dict[str, Any]) -> None:
    compared = 0
    for message, description in real["messages"].items():
        if message in FORK_MESSAGES:
            continue
        ours = schema.FIELDS[message]
        unknown = {(message, name) for name in set(description["fields"]) - set(ours)}
        absent = {(message, name) for name in set(ours) - set(description["fields"])}
        assert unknown <= FORK_FIELDS, unknown
        assert absent <= NEWER_FIELDS, absent
        for name, expected in description["fields"].items():
            if (message, name) in FORK_FIELDS:
                continue
            field, where = ours[name], f"{message}.{name}"
            label = "repeated" if field.repeated else field.label
            kind = field.type_name if field.values or field.kind == "message" else field.kind
            assert field.number == expected["number"], where
            assert kind == expected["type"].replace("TYPE_", "").lower() or (
                kind == expected["type"]
            ), where
            assert label == expected["label"], where
            assert (field.label == "packed") == expected["packed"], where
            assert (field.default is not None) == expected["has_default"], where
            if expected["has_default"]:
                given = expected["default"]
                if isinstance(given, float):
                    assert _default(field) == pytest.approx(given, rel=1e-7), where
                else:
                    assert _default(field) == given, where
            compared += 1
    assert compared > 400


def test_every_enum_has_real_caffes_values(real: dict[str, Any]) -> None:
    assert real["enums"] == {"Phase": {"TRAIN": schema.TRAIN, "TEST": schema.TEST}}
    for message, description in real["messages"].items():
        for name, values in description["enums"].items():
            if message in FORK_MESSAGES or (message, name) == ("V1LayerParameter", "LayerType"):
                continue
            descriptor = schema.MESSAGES[message].DESCRIPTOR.enum_types_by_name[name]
            assert {v.name: v.number for v in descriptor.values} == values, f"{message}.{name}"
    layer_types = real["messages"]["V1LayerParameter"]["enums"]["LayerType"]
    ours = schema.MESSAGES["V1LayerParameter"].DESCRIPTOR.enum_types_by_name["LayerType"]
    # the fork adds types of its own here as well
    assert {v.name: v.number for v in ours.values}.items() <= layer_types.items()


def test_an_empty_message_returns_the_defaults() -> None:
    solver = schema.SolverParameter()
    assert solver.delta == pytest.approx(1e-8)
    assert solver.regularization_type == "L2"
    assert solver.solver_mode == schema.SolverParameter.GPU
    assert schema.PoolingParameter().round_mode == schema.PoolingParameter.CEIL
    assert schema.LayerParameter().convolution_param.bias_term is True


def test_nothing_is_registered_in_the_pool_that_a_real_caffe_uses() -> None:
    pool = descriptor_pool.Default()
    for name in ("caffe.NetParameter", "tinynet.caffe.NetParameter"):
        with pytest.raises(KeyError):
            pool.FindMessageTypeByName(name)
    assert schema.NetParameter.DESCRIPTOR.full_name == "tinynet.caffe.NetParameter"


def test_an_unknown_message_name_raises_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="NetParameters"):
        _ = schema.NetParameters
