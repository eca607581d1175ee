"""caffe.draw without graphviz: SVG and PNG are drawn; other formats say what they need."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from tests.torchcaffe.scripts import pydot
from tinynet.caffeformat import schema, text
from tinynet.torchcaffe import draw
from tinynet.torchcaffe.errors import CaffeError, CaffeValueError

pytest.importorskip("igraph")
NET = text.parse(
    'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 } } }'
    'layer { name: "fc" type: "InnerProduct" bottom: "x" top: "y" '
    "inner_product_param { num_output: 3 } }",
    schema.NetParameter,
    "net",
)


@pytest.fixture(autouse=True)
def no_graphviz(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setitem(sys.modules, "pydotplus", None)
    monkeypatch.setitem(sys.modules, "pydot", None)


def test_svg_and_png_are_drawn_without_graphviz(tmp_path: Path) -> None:
    draw.draw_net_to_file(NET, str(tmp_path / "net.svg"), "TB")
    assert b">fc<" in (tmp_path / "net.svg").read_bytes()
    assert draw.draw_net(NET, "LR").startswith(b"\x89PNG")


def test_other_formats_say_what_they_need(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match="pip install pydot"):
        draw.draw_net_to_file(NET, str(tmp_path / "net.pdf"))
    monkeypatch.setitem(sys.modules, "pydot", pydot)
    with pytest.raises(CaffeError, match="pdf needs graphviz, whose program dot is not on PATH"):
        draw.draw_net_to_file(NET, str(tmp_path / "net.pdf"))
    assert not (tmp_path / "net.pdf").exists()


def test_graphviz_draws_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/dot")
    monkeypatch.setitem(sys.modules, "pydot", pydot)
    assert draw.draw_net(NET, "LR", "png") == b"png8"  # the graph, 4 nodes, 3 edges


def test_learning_rate_multipliers_of_a_layer_with_more_than_two_params_are_refused() -> None:
    layer = text.parse(
        'type: "InnerProduct" param {} param {} param {}', schema.LayerParameter, "l"
    )
    with pytest.raises(CaffeValueError, match="Could not parse the learning rate multiplier"):
        draw.get_layer_lr_mult(layer)
