"""Figures 1 and 2 of the paper: a net as boxes, with the sizes that its prototxt makes.

Every box is a blob.  Its height is that of its feature maps, its width grows with the square root
of their number; a fully connected layer is a bar as tall as the logarithm of its units.
Layers that change no shape (ReLU, dropout, softmax) are words below the box that they work on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon

from tinynet.caffeformat import schema, shapes
from tinynet.caffeformat.convolution_window import window_of
from tinynet.caffeformat.phases import layers_of
from tinynet.errors import TinynetError
from tinynet.report import canvas

_LINE = 0.145  # inches between lines of text
_TALLEST = 1.35  # inches of the highest feature map
_DEPTH = (0.2, 0.13)  # offset of a box's rear edge, to the right and up, as parts of its height
_SIZE = 7.5  # points


@dataclass
class Block:
    """One box: a blob, the layer that makes it and the words below it."""

    name: str
    type: str  # of the layer that makes it; "Input" for the net's input
    shape: tuple[int, ...]  # without the batch: channels, height, width, or units
    words: list[str] = field(default_factory=list)
    parameters: int = 0
    kernel: tuple[int, ...] = ()  # the window that one of its values sees in the box before

    @property
    def size(self) -> str:
        """Height × width × channels, as the paper counts, or the number of units."""
        if len(self.shape) == 3:
            channels, height, width = self.shape
            return f"{height}×{width}×{channels}"
        return f"{prod(self.shape):,}"

    @property
    def lines(self) -> list[str]:
        return [self.name, self.size, *self.words]


def blocks_of(net: schema.NetParameter) -> list[Block]:
    """The boxes of a deploy net, from its first blob to its last.

    Raises TinynetError if the net is not a chain, because of two inputs or of branches.
    """
    layers = list(layers_of(net, schema.TEST))
    inferred = shapes.infer(net, schema.TEST)
    by_layer = {layer.name: layer for layer in inferred.layers}
    blocks = [_input_block(net)] if len(net.input) else []
    last = net.input[0] if len(net.input) else None
    for layer in layers:
        if list(layer.bottom) != ([last] if last else []) or len(layer.top) != 1:
            raise TinynetError(
                f"net '{net.name}': layer {layer.name} reads {', '.join(layer.bottom) or 'nothing'}"
                f" and makes {', '.join(layer.top)}; only nets that are one chain are drawn"
            )
        last = layer.top[0]
        words, kernel = _words(layer)
        top = dict(by_layer[layer.name].tops)[last]
        if layer.type in _SHAPELESS and blocks:
            blocks[-1].words += words
        else:
            count = by_layer[layer.name].parameter_count
            blocks.append(Block(layer.name, layer.type, tuple(top[1:]), words, count, kernel))
    if not blocks:
        raise TinynetError(f"net '{net.name}' has no layers to draw")
    return blocks


_SHAPELESS = {"ReLU", "Dropout", "Softmax", "PReLU", "Sigmoid", "TanH", "LRN", "BatchNorm", "Scale"}


def _input_block(net: schema.NetParameter) -> Block:
    shape = tuple(net.input_shape[0].dim) if len(net.input_shape) else tuple(net.input_dim[:4])
    return Block(net.input[0], "Input", tuple(shape[1:]))


def _words(layer: schema.LayerParameter) -> tuple[list[str], tuple[int, ...]]:
    """A few short lines about a layer, and its kernel."""
    if layer.type == "Convolution":
        window = window_of(layer.convolution_param, 2)
        words = ["×".join(map(str, window.kernel)) + " conv"]
        words += [f"stride {window.stride[0]}"] if max(window.stride) > 1 else []
        words += [f"pad {window.pad[0]}"] if max(window.pad) else []
        return words, window.kernel
    if layer.type == "Pooling":
        p = layer.pooling_param
        kind = {0: "max", 1: "mean"}.get(p.pool, "stochastic")
        size = p.kernel_size or p.kernel_h
        stride = p.stride_h or p.stride
        words = [f"{size}×{size} {kind}"] if size else [f"{kind} of all"]
        words += [f"stride {stride}"] if stride not in (1, size) else []
        return words, (size, size) if size else ()
    if layer.type == "ReLU":
        slope = layer.relu_param.negative_slope
        return [f"leaky {slope:g}" if slope else "ReLU"], ()
    if layer.type == "Dropout":
        return [f"dropout {layer.dropout_param.dropout_ratio:g}"], ()
    if layer.type == "Input":
        return [], ()
    return [{"InnerProduct": "full"}.get(layer.type, layer.type.lower())], ()


@canvas.styled
def draw_architecture(net: schema.NetParameter, title: str) -> Figure:
    """Draw a deploy net.  Raises TinynetError if it is not a chain.

    The boxes are in one row, or for a telephone in several, with arrows from each row to the next.
    """
    blocks = blocks_of(net)
    inferred = shapes.infer(net, schema.TEST)
    tallest = max([block.shape[1] for block in blocks if len(block.shape) == 3], default=1)
    columns = [_column_width(block, tallest) for block in blocks]
    if canvas.is_narrow():
        width, aside = canvas.NARROW, _ARROW
        rows = _rows(blocks, columns, width - 2 * aside)
    else:
        width, aside = max(canvas.WIDTH, sum(columns)), 0.0
        rows = [_Row(blocks, columns)]
    height = _HEAD + sum(row.height(tallest) for row in rows)
    made = canvas.empty(width, height)
    made.set_layout_engine("none")
    axes = made.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    axes.set_xlim(0, width)
    axes.set_ylim(0, height)
    bottom = height - _HEAD
    for number, row in enumerate(rows):
        bottom -= row.height(tallest)
        first, last = row.draw(axes, aside, width - aside, bottom, tallest)
        if number > 0:
            _arrow(axes, 0.04, first.left - 0.02, first.middle)
        if number < len(rows) - 1:
            _arrow(axes, last.left + last.width + last.back[0] + 0.02, width - 0.04, last.middle)
    batch = max(1, next(iter(inferred.blobs.values()))[0])
    cost = inferred.multiply_adds / batch
    axes.text(0.06, height - 0.08, title, fontsize=11, va="top")
    summary = f"{inferred.parameters:,} parameters, {cost / 1e6:,.1f} M multiply-adds an image"
    axes.text(0.06, height - 0.28, summary, fontsize=8.5, va="top")
    return made


_HEAD = 0.42  # inches for the title and the line below it
_ARROW = 0.2  # inches at either end of a row, for an arrow to the next


@dataclass(frozen=True)
class _Row:
    """Blocks beside each other, with the inches that each takes."""

    blocks: Sequence[Block]
    columns: Sequence[float]

    @property
    def _below(self) -> float:
        """Inches for the words below the boxes."""
        return 0.25 + max(len(block.lines) for block in self.blocks) * _LINE

    def _tallest(self, tallest: int) -> float:
        return max(_extent(block, tallest)[1] for block in self.blocks)

    def height(self, tallest: int) -> float:
        """Inches from its words to the highest edge of a box."""
        return self._below + self._tallest(tallest) * (1 + _DEPTH[1])

    def draw(
        self, axes: Axes, left: float, right: float, bottom: float, tallest: int
    ) -> tuple[_Box, _Box]:
        """Draw the row between ``left`` and ``right``; return its first and its last box."""
        slack = (right - left - sum(self.columns)) / len(self.columns)
        middle = bottom + self._below + self._tallest(tallest) / 2 - 0.05
        boxes = []
        for block, column in zip(self.blocks, self.columns):
            centre = left + (column + slack) / 2
            boxes.append(_Box(block, centre, middle, tallest))
            _label(axes, block, centre, bottom + self._below - 0.2)
            left += column + slack
        for before, box in zip(boxes, boxes[1:]):
            _connect(axes, before, box)
        for box in boxes:
            box.draw(axes)
        return boxes[0], boxes[-1]


def _rows(blocks: Sequence[Block], columns: Sequence[float], width: float) -> list[_Row]:
    """The fewest rows of at most ``width`` inches, all about as long."""
    count = 1
    while True:
        rows: list[_Row] = []
        start, used = 0, 0.0
        for end, column in enumerate(columns):
            is_full = used + column > width or used + column / 2 > sum(columns) / count
            if end > start and is_full and (used + column > width or len(rows) < count - 1):
                rows.append(_Row(blocks[start:end], columns[start:end]))
                start, used = end, 0.0
            used += column
        rows.append(_Row(blocks[start:], columns[start:]))
        if len(rows) <= count or count >= len(columns):
            return rows
        count += 1


def _arrow(axes: Axes, start: float, end: float, y: float) -> None:
    axes.annotate(
        "",
        (end, y),
        (start, y),
        arrowprops={"arrowstyle": "->", "color": canvas.INK, "linewidth": 0.8},
    )


class _Box:
    """The place of a block, in inches: a cuboid, or a bar for a vector."""

    def __init__(self, block: Block, x: float, y: float, tallest: int) -> None:
        self.block = block
        self.width, self.height = _extent(block, tallest)
        self.is_volume = len(block.shape) == 3
        dx, dy = _DEPTH if self.is_volume else (0.03, 0.02)
        self.back = (dx * self.height, dy * self.height)
        self.left = x - (self.width + self.back[0]) / 2
        self.bottom = y - (self.height + self.back[1]) / 2
        self.middle = y

    @property
    def colour(self) -> str:
        kinds = {"Convolution": canvas.BLUE, "Pooling": canvas.SKY, "InnerProduct": canvas.ORANGE}
        return kinds.get(self.block.type, canvas.FAINT)

    def on_side(self, across: float, up: float) -> tuple[float, float]:
        """A point of the right side, on which feature maps are drawn; both from 0 to 1."""
        return (
            self.left + self.width + across * self.back[0],
            self.bottom + up * self.height + across * self.back[1],
        )

    def draw(self, axes: Axes) -> None:
        x, y, w, h = self.left, self.bottom, self.width, self.height
        dx, dy = self.back
        front = [(x, y), (x + w, y), (x + w, y + h), (x, y + h)]
        top = [(x, y + h), (x + w, y + h), (x + w + dx, y + h + dy), (x + dx, y + h + dy)]
        side = [self.on_side(0, 0), self.on_side(1, 0), self.on_side(1, 1), self.on_side(0, 1)]
        for corners, alpha in ((front, 0.75), (top, 0.5), (side, 0.35)):
            axes.add_patch(Polygon(corners, facecolor=canvas.PAPER, edgecolor="none", zorder=2))
            axes.add_patch(
                Polygon(corners, facecolor=self.colour, alpha=alpha, edgecolor="none", zorder=3)
            )
            axes.add_patch(
                Polygon(corners, fill=False, edgecolor=canvas.INK, linewidth=0.6, zorder=4)
            )


def _extent(block: Block, tallest: int) -> tuple[float, float]:
    """Width and height of a block's front, in inches."""
    if len(block.shape) == 3:
        return 0.026 * math.sqrt(block.shape[0]), max(0.06, _TALLEST * block.shape[1] / tallest)
    return 0.1, 0.12 * math.log2(max(2, prod(block.shape)))


def _column_width(block: Block, tallest: int) -> float:
    width, height = _extent(block, tallest)
    text = max(len(line) for line in block.lines) * _SIZE * 0.62 / 72
    return max(text, width + _DEPTH[0] * height) + 0.1


def _connect(axes: Axes, before: _Box, box: _Box) -> None:
    """Draw lines to the box from the window of the box before that one of its values sees.

    From a vector, or without a window, they start at the corners of the side.
    """
    target = (box.left, box.bottom + box.height / 2)
    kernel = box.block.kernel
    if before.is_volume and kernel and len(kernel) == 2:
        high, wide = (min(1.0, k / extent) for k, extent in zip(kernel, before.block.shape[1:]))
        corners = [(0.5 - wide / 2, 0.5 - high / 2), (0.5 + wide / 2, 0.5 - high / 2)]
        corners += [(0.5 + wide / 2, 0.5 + high / 2), (0.5 - wide / 2, 0.5 + high / 2)]
        patch = [before.on_side(*corner) for corner in corners]
        axes.add_patch(Polygon(patch, fill=False, edgecolor=canvas.INK, linewidth=0.8, zorder=5))
        starts = (patch[2], patch[1])
    else:
        starts = (before.on_side(1, 1), before.on_side(1, 0))
    for start in starts:
        axes.plot(*zip(start, target), color=canvas.INK, linewidth=0.5, alpha=0.7, zorder=5)


def _label(axes: Axes, block: Block, x: float, top: float) -> None:
    for number, line in enumerate(block.lines):
        axes.text(
            x,
            top - number * _LINE,
            line,
            ha="center",
            va="center",
            fontsize=_SIZE,
            fontweight="bold" if number == 0 else "normal",
        )


def describe(net: schema.NetParameter) -> str:
    """The figure in words, for those who do not see it."""
    parts: Sequence[str] = [
        f"{block.name} {block.size}" + (f" ({', '.join(block.words)})" if block.words else "")
        for block in blocks_of(net)
    ]
    return "From left to right: " + "; ".join(parts) + "."
