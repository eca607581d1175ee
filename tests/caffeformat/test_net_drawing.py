"""Any net can be drawn: every layer and blob has its box, and boxes do not overlap."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.command import run
from tinynet.caffeformat import net_drawing, schema, text
from tinynet.errors import TinynetError, UsageError

pytest.importorskip("igraph")

NET = """
name: "branches" input: "x" input_shape { dim: 1 dim: 3 dim: 8 dim: 8 }
layer { name: "a" type: "Convolution" bottom: "x" top: "a<1>"
  convolution_param { num_output: 4 kernel_size: 3 pad: 1 stride: 2 group: 1 } }
layer { name: "relu_a" type: "ReLU" bottom: "a<1>" top: "a<1>" }
layer { name: "b" type: "Pooling" bottom: "x" top: "b" pooling_param { global_pooling: true } }
layer { name: "skip" type: "Flatten" bottom: "x" top: "skip" }
layer { name: "fc" type: "InnerProduct" bottom: "a<1>" top: "fc"
  inner_product_param { num_output: 5 } }
layer { name: "more" type: "InnerProduct" bottom: "fc" top: "more"
  inner_product_param { num_output: 192 } }
layer { name: "sum" type: "Eltwise" bottom: "more" bottom: "skip" top: "more" }
"""
PHASES = """
layer { name: "data" type: "Data" top: "x" top: "y" include { phase: TRAIN }
  data_param { source: "s" batch_size: 8 } }
layer { name: "data" type: "Data" top: "x" top: "y" include { phase: TEST }
  data_param { source: "s" batch_size: 3 } }
layer { name: "drop" type: "Dropout" bottom: "x" top: "x" }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "x" bottom: "y" }
"""


def parsed(source: str) -> object:
    return text.parse(source, schema.NetParameter, "net")


def words(svg: bytes) -> list[str]:
    tree = xml.etree.ElementTree.fromstring(svg)
    return [str(e.text) for e in tree.iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("direction", net_drawing.DIRECTIONS)
def test_every_layer_and_blob_is_named_in_svg(direction: str) -> None:
    svg = net_drawing.draw(parsed(NET), "svg", direction)
    shown = words(svg)
    for name in ("a", "b", "skip", "fc", "more", "sum", "x", "a<1>", "relu_a (ReLU)"):
        assert name in shown
    assert "4 of 3, stride 2, pad 1" in shown and "max of all" in shown and "5 outputs" in shown
    assert "1×3×8×8" in shown and "1×4×4×4" in shown  # shapes, if the prototxt states them
    # the sum reads "more" and writes a new version of it
    assert shown.count("more") == 3
    assert svg.count(b"<polyline") == 6 + 6 + 1  # inputs of six boxes, one of them two; outputs


def test_a_stride_and_a_pad_of_each_axis_are_shown() -> None:
    source = """
    layer { name: "a" type: "Convolution" bottom: "x" top: "a" convolution_param { num_output: 4
      kernel_h: 2 kernel_w: 3 stride_h: 2 stride_w: 1 pad_h: 0 pad_w: 1 } }
    layer { name: "b" type: "Pooling" bottom: "a" top: "b"
      pooling_param { kernel_size: 2 stride_h: 1 stride_w: 3 pad_h: 1 pad_w: 0 } }
    """
    shown = words(net_drawing.draw(parsed(source), "svg"))
    assert "4 of 2×3, stride 2×1, pad 0×1" in shown
    assert "max of 2, stride 1×3, pad 1×0" in shown


@pytest.mark.parametrize("direction", net_drawing.DIRECTIONS)
def test_boxes_do_not_overlap_and_lie_within_the_image(direction: str) -> None:
    svg = net_drawing.draw(parsed(NET), "svg", direction).decode()
    pattern = r'<rect x="(\S+)" y="(\S+)" width="(\S+)" height="(\S+)" rx'
    boxes = [tuple(map(float, found)) for found in re.findall(pattern, svg)]
    assert len(boxes) == 6 + 7
    width, height = map(float, re.findall(r'viewBox="0 0 (\S+) (\S+)"', svg)[0])
    for i, (x, y, w, h) in enumerate(boxes):
        assert x > 0 and y > 0 and x + w < width and y + h < height
        for u, v, a, b in boxes[:i]:
            assert u + a <= x or x + w <= u or v + b <= y or y + h <= v


def test_the_net_is_drawn_in_the_requested_direction() -> None:
    def place(direction: str, name: str) -> tuple[float, float]:
        svg = net_drawing.draw(parsed(NET), "svg", direction).decode()
        found = re.findall(rf'<text x="(\S+)" y="(\S+)">{name}<', svg)[0]
        return float(found[0]), float(found[1])

    for direction, axis, sign in (("TB", 1, 1), ("BT", 1, -1), ("LR", 0, 1), ("RL", 0, -1)):
        assert sign * (place(direction, "fc")[axis] - place(direction, "x")[axis]) > 0


def test_layers_of_both_phases_share_their_blobs_and_one_phase_is_drawn_alone() -> None:
    shown = words(net_drawing.draw(parsed(PHASES), "svg"))
    assert shown.count("x") == shown.count("y") == 1
    assert "in training" in shown and "in tests" in shown and "drop (Dropout)" in shown
    shown = words(net_drawing.draw(parsed(PHASES), "svg", phase=schema.TEST))
    assert "batches of 3" in shown and "batches of 8" not in shown


def test_a_png_has_the_same_boxes() -> None:
    svg = net_drawing.draw(parsed(NET), "svg").decode()
    width, height = map(float, re.findall(r'viewBox="0 0 (\S+) (\S+)"', svg)[0])
    image = Image.open(io.BytesIO(net_drawing.draw(parsed(NET), "png")))
    assert image.format == "PNG" and image.size == (int(2 * width) + 1, int(2 * height) + 1)
    pattern = r'<rect x="(\S+)" y="(\S+)" width="\S+" height="(\S+)" rx'
    x, y, h = map(float, re.findall(pattern, svg)[1])
    assert image.getpixel((int(2 * x) + 4, int(2 * (y + h / 2)))) == (0xFF, 0x8C, 0x8C)  # "a"
    assert image.getpixel((2, 2)) == (255, 255, 255)


def test_what_cannot_be_drawn_is_refused_with_the_reason() -> None:
    with pytest.raises(UsageError, match="no image format 'pdf'; the formats are svg, png"):
        net_drawing.draw(parsed(NET), "pdf")
    with pytest.raises(UsageError, match="no direction 'up'; the directions are TB"):
        net_drawing.draw(parsed(NET), "svg", "up")
    with pytest.raises(TinynetError, match="net 'empty' has no layers to draw"):
        net_drawing.draw(parsed('name: "empty"'), "svg")


def test_the_command_writes_the_requested_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.prototxt").write_text(NET)
    assert run("draw", "net.prototxt").stdout == "net.svg\n"
    assert b"relu_a (ReLU)" in (tmp_path / "net.svg").read_bytes()
    assert run("draw", "net.prototxt", "out.PNG", "--direction", "LR").status == 0
    assert Image.open(tmp_path / "out.PNG").format == "PNG"
    assert run("draw", "net.prototxt", "--out", "named.svg").stdout == "named.svg\n"
    assert (tmp_path / "named.svg").read_bytes() == (tmp_path / "net.svg").read_bytes()
    for arguments, message in (
        (["net.prototxt", "out.gif"], "no image format 'gif'"),
        (["net.prototxt", "--phase", "train"], "no phase 'train'; the phases are TRAIN and TEST"),
        (["net.prototxt", "a.svg", "--out", "b.svg"], "OUT is given twice"),
        (["missing.prototxt"], "missing.prototxt: No such file"),
    ):
        done = run("draw", *arguments)
        assert done.status in (1, 2) and message in done.stderr
