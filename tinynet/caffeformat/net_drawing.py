"""Draws a net as SVG or PNG: boxes of layers and blobs, laid out by igraph.

A layer that works in place is a line in the box of the blob that it changes.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any
from xml.sax.saxutils import escape

from tinynet.caffeformat import schema, shapes
from tinynet.caffeformat.phases import layers_of
from tinynet.errors import TinynetError, UsageError

FORMATS = ("svg", "png")
DIRECTIONS = ("TB", "BT", "LR", "RL")
_FONT = 12.0  # pixels
_LINE = 15.0
_LETTER = 6.9  # average width of a letter
_MARGIN = 8.0
_GAP = 28.0  # between boxes
_BLOB, _IN_PLACE, _OTHER = "#E8E8E8", "#A6E5A6", "#9DB8F2"
_FILLS = {
    "Convolution": "#FF8C8C",
    "Deconvolution": "#FF8C8C",
    "Pooling": "#FFBF66",
    "InnerProduct": "#D9A3FF",
}


@dataclass
class _Box:
    lines: list[tuple[str, str]]  # text, fill colour behind it
    is_layer: bool
    x: float = 0.0  # of the centre
    y: float = 0.0

    @property
    def width(self) -> float:
        return _LETTER * max(len(text) for text, _ in self.lines) + 2 * _MARGIN

    @property
    def height(self) -> float:
        return _LINE * len(self.lines) + _MARGIN


@dataclass
class _Drawing:
    boxes: list[_Box] = field(default_factory=list)
    edges: list[tuple[int, int]] = field(default_factory=list)
    paths: list[list[tuple[float, float]]] = field(default_factory=list)
    width: float = 0.0
    height: float = 0.0


def draw(
    net: schema.NetParameter, kind: str, direction: str = "TB", phase: int | None = None
) -> bytes:
    """Draw an up-to-date NetParameter.

    ``kind``: one of ``FORMATS``; ``direction``: from input to output, one of ``DIRECTIONS``;
    ``phase``: draw only the layers of this phase.  Shapes are shown if the prototxt determines
    them.  Raises UsageError for another kind or direction, TinynetError for a net without layers,
    or if igraph is not installed.
    """
    if kind not in FORMATS:
        raise UsageError(f"no image format '{kind}'; the formats are {', '.join(FORMATS)}")
    if direction not in DIRECTIONS:
        raise UsageError(f"no direction '{direction}'; the directions are {', '.join(DIRECTIONS)}")
    layers = list(net.layer) if phase is None else list(layers_of(net, phase))
    if not layers:
        raise TinynetError(f"net '{net.name}' has no layers to draw")
    drawing = _boxes(net, layers, _shapes(net, phase))
    _lay_out(drawing, direction)
    return _svg(drawing) if kind == "svg" else _png(drawing)


def _shapes(net: schema.NetParameter, phase: int | None) -> dict[str, tuple[int, ...]]:
    """The shapes of blobs, by name; none if they depend on data."""
    if any(layer.type in ("Data", "ImageData", "WindowData") for layer in net.layer):
        return {}  # the prototxt does not state the size of the images
    try:
        return shapes.infer(net, schema.TEST if phase is None else phase).blobs
    except TinynetError:
        return {}


def _boxes(
    net: schema.NetParameter,
    layers: Sequence[schema.LayerParameter],
    known: dict[str, tuple[int, ...]],
) -> _Drawing:
    drawing = _Drawing()
    latest: dict[str, int] = {}  # blob → number of its latest box

    def blob(name: str) -> int:
        lines = [(name, _BLOB)]
        if name in known:
            lines.append(("×".join(map(str, known[name])) or "1", _BLOB))
        drawing.boxes.append(_Box(lines, False))
        latest[name] = len(drawing.boxes) - 1
        return latest[name]

    for name in net.input:
        blob(name)
    for layer in layers:
        if len(layer.bottom) and list(layer.bottom) == list(layer.top) and layer.top[0] in latest:
            box = drawing.boxes[latest[layer.top[0]]]
            box.lines.append((f"{layer.name} ({layer.type})", _IN_PLACE))
            continue
        fill = _FILLS.get(layer.type, _OTHER)
        drawing.boxes.append(_Box([(line, fill) for line in _words(layer)], True))
        own = len(drawing.boxes) - 1
        for name in layer.bottom:
            drawing.edges.append((latest[name] if name in latest else blob(name), own))
        for name in layer.top:
            # a blob that layers of both phases make has one box; a layer that also reads the blob
            # gets a new one
            shared = name in latest and name not in layer.bottom
            drawing.edges.append((own, latest[name] if shared else blob(name)))
    return drawing


def _words(layer: schema.LayerParameter) -> list[str]:
    """The lines of a layer's box: its name, its type, and its window or number of outputs."""
    words = [layer.name, layer.type]
    if layer.type in ("Convolution", "Deconvolution"):
        p = layer.convolution_param
        kernel = "×".join(map(str, p.kernel_size)) or f"{p.kernel_h}×{p.kernel_w}"
        stride, pad = p.stride or [p.stride_h, p.stride_w], p.pad or [p.pad_h, p.pad_w]
        words.append(f"{p.num_output} of {kernel}" + _window(stride, pad))
        words += [f"{p.group} groups"] if p.group > 1 else []
    elif layer.type == "Pooling":
        words.append(_pooling(layer.pooling_param))
    elif layer.type == "InnerProduct":
        words.append(f"{layer.inner_product_param.num_output} outputs")
    elif layer.type == "Data":
        words.append(f"batches of {layer.data_param.batch_size}")
    phases = [rule.phase for rule in layer.include if rule.HasField("phase")]
    if len(phases) == len(layer.include) == 1:
        words.append("in training" if phases[0] == schema.TRAIN else "in tests")
    return words


def _pooling(p: schema.PoolingParameter) -> str:
    how = {0: "max", 1: "mean", 2: "stochastic"}.get(p.pool, str(p.pool))
    size = "all" if p.global_pooling else f"{p.kernel_size or f'{p.kernel_h}×{p.kernel_w}'}"
    stride = [p.stride_h, p.stride_w] if p.HasField("stride_h") else [p.stride]
    pad = [p.pad_h, p.pad_w] if p.HasField("pad_h") else [p.pad]
    return f"{how} of {size}" + _window(stride, pad)


def _window(stride: Sequence[int], pad: Sequence[int]) -> str:
    text = f", stride {'×'.join(map(str, stride))}" if any(s > 1 for s in stride) else ""
    return text + (f", pad {'×'.join(map(str, pad))}" if any(pad) else "")


def _lay_out(drawing: _Drawing, direction: str) -> None:
    """Set the position of every box and the path of every edge."""
    try:
        import igraph
    except ImportError:
        raise TinynetError(
            "drawing nets needs igraph, which is not installed: pip install igraph"
        ) from None
    graph = igraph.Graph(n=len(drawing.boxes), edges=drawing.edges, directed=True)
    if not graph.is_dag():
        raise TinynetError("the net has a cycle; draw the layers of one phase only")
    ranks = _ranks(graph.topological_sorting(), drawing.edges)
    # an edge across several ranks gets a point in each, so that it passes between their boxes
    bends = [
        [start, *_added(ranks, ranks[start] + 1, ranks[end]), end] for start, end in drawing.edges
    ]
    steps = [step for nodes in bends for step in zip(nodes, nodes[1:])]
    bent = igraph.Graph(n=len(ranks), edges=steps, directed=True)
    places = [(x, y) for x, y in bent.layout_sugiyama(layers=ranks, hgap=1, vgap=1, maxiter=200)]
    across = direction in ("TB", "BT")
    sizes = [(b.width, b.height) if across else (b.height, b.width) for b in drawing.boxes]
    # igraph places boxes on a grid: make its columns and rows large enough for the boxes
    wide = max(width for width, _ in sizes) + _GAP
    rows = sorted({round(y) for _, y in places})
    highest = dict.fromkeys(rows, 0.0)
    for (_, y), (_, height) in zip(places, sizes):
        highest[round(y)] = max(highest[round(y)], height)
    tops, at = {}, _GAP
    for row in rows:
        tops[row] = at + highest[row] / 2
        at += highest[row] + _GAP
    length = at
    least = min(x for x, _ in places)
    breadth = (max(x for x, _ in places) - least + 1) * wide + _GAP

    def place(x: float, y: float) -> tuple[float, float]:
        u, v = (x - least + 0.5) * wide + _GAP / 2, tops[round(y)]
        v = length - v if direction in ("BT", "RL") else v
        return (u, v) if across else (v, u)

    points = [place(x, y) for x, y in places]
    for box, (x, y) in zip(drawing.boxes, points):
        box.x, box.y = x, y
    drawing.width, drawing.height = (breadth, length) if across else (length, breadth)
    drawing.paths = [[points[node] for node in nodes] for nodes in bends]
    for path, (start, end) in zip(drawing.paths, drawing.edges):
        path[0] = _border(drawing.boxes[start], path[1])
        path[-1] = _border(drawing.boxes[end], path[-2])


def _ranks(order: Sequence[int], edges: Sequence[tuple[int, int]]) -> list[int]:
    """The length of the longest path from a source to each box."""
    before: dict[int, list[int]] = {}
    for start, end in edges:
        before.setdefault(end, []).append(start)
    ranks = [0] * len(order)
    for box in order:
        ranks[box] = max([ranks[one] + 1 for one in before.get(box, [])], default=0)
    return ranks


def _added(ranks: list[int], first: int, end: int) -> list[int]:
    """Add one point to each rank from ``first`` to before ``end``; return the points' numbers."""
    ranks.extend(range(first, end))
    return list(range(len(ranks) - (end - first), len(ranks)))


def _border(box: _Box, towards: tuple[float, float]) -> tuple[float, float]:
    """The point where the line from the box's centre to ``towards`` leaves the box."""
    dx, dy = towards[0] - box.x, towards[1] - box.y
    scale = min(
        (box.width / 2) / abs(dx) if dx else 1.0, (box.height / 2) / abs(dy) if dy else 1.0, 1.0
    )
    return box.x + dx * scale, box.y + dy * scale


def _lines_of(box: _Box) -> list[tuple[float, float, str, str]]:
    """For each line: its centre (y), height, text and fill colour."""
    band = box.height / len(box.lines)
    top = box.y - box.height / 2
    return [(top + (i + 0.5) * band, band, *line) for i, line in enumerate(box.lines)]


def _svg(drawing: _Drawing) -> bytes:
    width, height = drawing.width, drawing.height
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.1f} {height:.1f}" font-family="Helvetica, Arial, sans-serif" '
        f'font-size="{_FONT:g}" text-anchor="middle">',
        '<defs><marker id="arrow" markerWidth="8" markerHeight="8" refX="7" refY="4" orient="auto">'
        '<path d="M0 0 L8 4 L0 8 z"/></marker></defs>',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for path in drawing.paths:
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in path)
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="black" marker-end="url(#arrow)"/>'
        )
    for box in drawing.boxes:
        left, top, radius = box.x - box.width / 2, box.y - box.height / 2, 0 if box.is_layer else 6
        for middle, band, _, fill in _lines_of(box):
            parts.append(
                f'<rect x="{left:.1f}" y="{middle - band / 2:.1f}" width="{box.width:.1f}" '
                f'height="{band:.1f}" fill="{fill}"/>'
            )
        parts.append(
            f'<rect x="{left:.1f}" y="{top:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" '
            f'rx="{radius}" fill="none" stroke="black"/>'
        )
        for middle, _, text, _ in _lines_of(box):
            parts.append(f'<text x="{box.x:.1f}" y="{middle + 4:.1f}">{escape(text)}</text>')
    return "\n".join([*parts, "</svg>\n"]).encode()


_LARGEST = 60_000_000  # pixels of a PNG


def _png(drawing: _Drawing) -> bytes:
    from PIL import Image, ImageDraw, ImageFont

    scale = 2.0
    while scale > 0.25 and prod((drawing.width * scale, drawing.height * scale)) > _LARGEST:
        scale /= 2
    size = (int(drawing.width * scale) + 1, int(drawing.height * scale) + 1)
    image = Image.new("RGB", size, "white")
    canvas = ImageDraw.Draw(image)
    try:
        font: Any = ImageFont.load_default(_FONT * scale)
    except TypeError:  # Pillow before 10.1 has only one size
        font = ImageFont.load_default()
    for path in drawing.paths:
        points = [(x * scale, y * scale) for x, y in path]
        canvas.line(points, fill="black", width=max(1, int(scale)))
        canvas.polygon(_arrow(points[-2], points[-1], 5 * scale), fill="black")
    for box in drawing.boxes:
        left, right = (box.x - box.width / 2) * scale, (box.x + box.width / 2) * scale
        for middle, band, text, fill in _lines_of(box):
            corners = (left, (middle - band / 2) * scale, right, (middle + band / 2) * scale)
            canvas.rectangle(corners, fill=fill)
            x, y, to_x, to_y = canvas.textbbox((0, 0), text, font=font)
            start = (box.x * scale - (x + to_x) / 2, middle * scale - (y + to_y) / 2)
            canvas.text(start, text, fill="black", font=font)
        top, bottom = (box.y - box.height / 2) * scale, (box.y + box.height / 2) * scale
        canvas.rectangle((left, top, right, bottom), outline="black", width=max(1, int(scale)))
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def _arrow(
    start: tuple[float, float], end: tuple[float, float], size: float
) -> list[tuple[float, float]]:
    """The triangle of an arrowhead at ``end``."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = (dx * dx + dy * dy) ** 0.5 or 1.0
    dx, dy = dx / length * size, dy / length * size
    base = end[0] - dx * 1.6, end[1] - dy * 1.6
    return [end, (base[0] - dy * 0.6, base[1] + dx * 0.6), (base[0] + dy * 0.6, base[1] - dx * 0.6)]
