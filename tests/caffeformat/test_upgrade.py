"""Files of all of Caffe's formats are upgraded; a second upgrade changes nothing."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.caffeformat import messages
from tinynet.caffeformat import binary, schema, text, upgrade
from tinynet.caffeformat.without_effect import fields_without_effect
from tinynet.errors import TinynetError

KINDS = st.sampled_from(["NetParameter", "V1LayerParameter", "V0LayerParameter"])
V0_TYPES = st.sampled_from(["conv", "pool", "padding", "data", "innerproduct", "relu", "", "conv2"])


@st.composite
def nets(draw: st.DrawFn) -> Any:
    """Draw nets with layers of all formats, wired at random; most of them are invalid."""
    rng = random.Random(draw(st.integers(0, 2**32)))
    net = schema.NetParameter()
    without = {("NetParameter", "layers"), ("NetParameter", "layer"), ("V1LayerParameter", "layer")}
    messages.fill(net, rng, draw(st.sampled_from([0.0, 0.3])), without)
    names = st.sampled_from(["a", "b", "c"])
    net.input.extend(draw(st.lists(names, max_size=3)))
    net.input_dim.extend(draw(st.lists(st.integers(-1, 3), max_size=9)))
    for v0 in draw(st.lists(st.booleans(), max_size=5)):
        layer = net.layers.add(top=draw(st.lists(names, max_size=2)))
        layer.bottom.extend(draw(st.lists(names, max_size=2)))
        messages.fill(layer.layer if v0 else layer, rng, 0.1, without)
        if v0:
            layer.layer.type = draw(V0_TYPES)
    for _ in range(draw(st.sampled_from([0, 0, 0, 2]))):
        layer = messages.fill(net.layer.add(), rng, 0.1)
        layer.type = draw(st.sampled_from(["BatchNorm", "ReLU"]))
        layer.param.extend([schema.ParamSpec()] * draw(st.integers(0, 2)))
    return net


@given(nets())
def test_upgrading_any_net_twice_equals_once_or_it_is_refused_by_a_tinynet_error(net: Any) -> None:
    old = net.SerializeToString(deterministic=True)
    needed = upgrade.needs_upgrade(net)
    try:
        upgrade.upgrade(net, "net")
    except TinynetError as error:
        assert "\n" not in str(error)
        return
    once = net.SerializeToString(deterministic=True)
    assert needed or once == old
    assert not net.layers and not net.input
    assert upgrade.upgrade(net, "net")
    assert net.SerializeToString(deterministic=True) == once
    for layer in net.layer:
        fields_without_effect(layer)
    assert text.parse(text.format(net), schema.NetParameter, "printed") is not None


@given(st.integers(0, 2**32))
def test_upgrading_any_solver_twice_equals_once_or_it_is_refused_by_a_tinynet_error(
    seed: int,
) -> None:
    solver = messages.fill(schema.SolverParameter(), random.Random(seed))
    both = solver.HasField("type") and solver.HasField("solver_type")
    try:
        upgrade.upgrade_solver(solver, "solver")
    except TinynetError:
        assert both
        return
    once = solver.SerializeToString(deterministic=True)
    assert not both and not upgrade.solver_needs_upgrade(solver)
    upgrade.upgrade_solver(solver, "solver")
    assert solver.SerializeToString(deterministic=True) == once


@pytest.mark.parametrize(
    ("number", "word"),
    list(enumerate(["SGD", "Nesterov", "AdaGrad", "RMSProp", "AdaDelta", "Adam"])),
)
def test_every_solver_type_number_becomes_its_name(number: int, word: str) -> None:
    solver = schema.SolverParameter(solver_type=number)
    upgrade.upgrade_solver(solver, "solver")
    assert solver.type == word and not solver.HasField("solver_type")


def test_a_net_in_the_current_format_keeps_every_byte(tmp_path: Path) -> None:
    without = {("NetParameter", name) for name in ("layers", "input")}
    net = messages.fill(schema.NetParameter(), random.Random(5), without=without)
    for layer in net.layer:
        layer.type = "ReLU"
    binary.write(tmp_path / "net", net)
    logged: list[str] = []
    found = upgrade.read_model(tmp_path / "net", lambda severity, message: logged.append(message))
    assert found.SerializeToString(deterministic=True) == (tmp_path / "net").read_bytes()
    assert not logged and net.layer


def test_fields_that_caffe_drops_silently_are_named() -> None:
    source = """
    debug_info: true input: "x" input_dim: [1, 1, 1, 1, 5]
    layers { bottom: "x" top: "y" include { phase: TEST } layer { type: "flatten" new_num: 2 } }
    """
    logged: list[tuple[str, str]] = []
    net = text.parse(source, schema.NetParameter, "v0")
    assert upgrade.upgrade(net, "v0", lambda *entry: logged.append(entry))
    warnings = [message for severity, message in logged if severity == "warning"]
    assert [message.split(":")[0] for message in warnings] == [
        "layer ",
        "layer ",
        "'debug_info' beside V0 layers is dropped, as Caffe drops it",
        "input_dim is given 5 times; only the first 4 are used",
    ]
    assert "include beside a V0 layer's own fields" in warnings[0]
    assert "'new_num' is dropped" in warnings[1]


def test_a_window_data_layer_takes_its_scale_from_its_own_parameters() -> None:
    layer = schema.LayerParameter(name="w", type="WindowData")
    layer.window_data_param.scale = layer.transform_param.scale = 0.5
    assert fields_without_effect(layer) == [
        "layer w: transform_param.scale has no effect in Caffe 1.0; write it in window_data_param"
    ]
