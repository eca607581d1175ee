"""All views of an image (crops and mirrors) from one pass over the image, where a net allows it.

Crops of an image overlap, and what a convolution without padding makes of a crop is a window of
what it makes of the whole image: with kernel k and stride s, the crop of size n at offset o
becomes the window of size (n - k) // s + 1 at offset o / s, if s divides o.  So the first layers
run once on the image (and once on its mirror image) instead of once a crop.

Crops whose offsets leave different remainders mod s lie on different grids from that layer on.
Then each remainder gets a map of its own: the smallest part of the image that holds its crops.
Pooling rounds its output size up, so that the last window of a crop can be a partial one, which
ends at the crop's border although the image continues: from there on, each crop has its own map.
Behind the last layer that looks at neighbours only, all crops continue as one batch.

Whether a layer allows it is decided from its parameters (``_window``), not from its name; a net
that begins with any other layer is run on plain crops by the same code.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from tinynet.caffeformat import schema
from tinynet.caffeformat.transform import subtract_and_scale
from tinynet.torchcaffe.acceleration import extension
from tinynet.torchcaffe.blob import Blob
from tinynet.torchcaffe.context import CONTEXT
from tinynet.torchcaffe.errors import CaffeError, check
from tinynet.torchcaffe.fast.memory_order import preferred
from tinynet.torchcaffe.fast.recorded_evaluation import RecordedPredictions
from tinynet.torchcaffe.fast.recorded_passes import PLAIN_FIRST
from tinynet.torchcaffe.layer import Layer
from tinynet.torchcaffe.layer_types.batch_norm import BatchNorm
from tinynet.torchcaffe.layer_types.convolution import Convolution
from tinynet.torchcaffe.layer_types.lrn import LRN
from tinynet.torchcaffe.layer_types.pooling import Pooling
from tinynet.torchcaffe.net import Net
from tinynet.torchcaffe.reading.upload import upload

Pair = tuple[int, int]

# Bytes of the largest map of a pass: a few images a pass keep it in a processor's cache, and are
# enough for its matrix products; a GPU wants many at once.
_MAP_BYTES = 8 << 20
_GPU_MAP_BYTES = 1 << 30


@dataclass(frozen=True)
class _Window:
    """The square of cells below that one cell above depends on, and the step between two."""

    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    rounds_up: bool = False  # the last window may be a partial one

    @property
    def is_a_cell(self) -> bool:
        return self.kernel == (1, 1) and self.stride == (1, 1)

    def fits(self, size: Pair) -> bool:
        """Whether no window of a map of this size is a partial one."""
        return not self.rounds_up or all(
            (n - k) % s == 0 for n, k, s in zip(size, self.kernel, self.stride)
        )


# layers that treat each cell by itself (those with conditions are in _window)
_CELL_BY_CELL = {"AbsVal", "Dropout", "ELU", "Exp", "Log", "Power", "PReLU", "ReLU", "Sigmoid"}
_CELL_BY_CELL |= {"TanH"}


def _window(layer: Layer) -> _Window | None:
    """What a cell above depends on below; None where on its place too, or on all of the map."""
    param = layer.param
    if isinstance(layer, Convolution):
        window = layer.window
        if layer.axis != 1 or layer.spatial != 2 or any(window.pad) or layer.by_columns:
            return None
        height, width = window.extent
        return _Window((height, width), (window.stride[0], window.stride[1]))
    if isinstance(layer, Pooling):
        if layer.global_pooling or any(layer.pad):
            return None
        floor = param.pooling_param.round_mode == schema.PoolingParameter.FLOOR
        return _Window(layer.kernel, layer.stride, rounds_up=not floor)
    if isinstance(layer, LRN):
        return _Window() if layer.across else None
    if isinstance(layer, BatchNorm):
        return _Window() if layer.use_global_stats else None
    if layer.type in ("Scale", "Bias"):
        settings = param.scale_param if layer.type == "Scale" else param.bias_param
        return _Window() if settings.axis == 1 and settings.num_axes == 1 else None
    return _Window() if layer.type in _CELL_BY_CELL else None


@dataclass
class _Group:
    """Crops that lie on one grid, as windows of one map (N×C×H×W)."""

    map: torch.Tensor
    size: Pair  # of each window
    offsets: list[Pair]  # upper left corners (row, column) in the map
    views: list[int]  # the view that each window belongs to

    def cut(self, index: int) -> torch.Tensor:
        (row, column), (height, width) = self.offsets[index], self.size
        return self.map[:, :, row : row + height, column : column + width]

    def part(self, chosen: Sequence[int]) -> _Group:
        """The chosen windows, with the smallest part of the map that holds them."""
        rows, columns = zip(*(self.offsets[i] for i in chosen))
        top, left = min(rows), min(columns)
        return _Group(
            self.map[:, :, top : max(rows) + self.size[0], left : max(columns) + self.size[1]],
            self.size,
            [(row - top, column - left) for row, column in zip(rows, columns)],
            [self.views[i] for i in chosen],
        )

    def split(self, window: _Window) -> list[_Group]:
        """Groups that a layer can run on as they are: one a grid, or one a crop."""
        indices = range(len(self.views))
        if window.fits(self.size):
            grids = defaultdict(list)
            for i in indices:
                row, column = self.offsets[i]
                grids[row % window.stride[0], column % window.stride[1]].append(i)
            parts = [self.part(chosen) for chosen in grids.values()]
        else:
            parts = [self.part([i]) for i in indices]
        return [small for part in parts for small in part._unless_wasteful()]

    def _unless_wasteful(self) -> list[_Group]:
        """Small crops far apart are cheaper one by one than the map that holds them all."""
        if math.prod(self.map.shape[2:]) <= len(self.views) * math.prod(self.size):
            return [self]
        return [self.part([i]) for i in range(len(self.views))]

    def run(self, layer: Layer, window: _Window, in_place: bool) -> _Group:
        below = Blob(self.map.shape)
        below.set_data(self.map)
        above = below if in_place else Blob()
        layer.reshape_where_needed([below], [above])
        layer.forward([below], [above])
        height, width = (
            n if window.is_a_cell else -((k - n) // s) + 1 if window.rounds_up else (n - k) // s + 1
            for n, k, s in zip(self.size, window.kernel, window.stride)
        )
        steps = window.stride
        offsets = [(row // steps[0], column // steps[1]) for row, column in self.offsets]
        return _Group(above.tensor, (height, width), offsets, self.views)


def _dense_layers(net: Net) -> list[tuple[int, _Window]]:
    """The layers, from the input on, that a whole image can be run through: (index, window)."""
    graph, found = net.graph, []
    current = graph.input_ids[0]
    for i, layer in enumerate(graph.layers):
        if layer.type == "Input":
            continue
        bottoms, tops = graph.bottom_ids[i], graph.top_ids[i]
        window = _window(layer)
        if window is None or bottoms != [current] or len(tops) != 1:
            break
        current = tops[0]
        found.append((i, window))
    # the rest of the net reads whole crops: let it begin where the neighbours end
    while found and found[-1][1].is_a_cell:
        found.pop()
    return found


def predict_crops(
    net: Net, images: np.ndarray, origins: Sequence[Pair], mirror: bool = False
) -> np.ndarray:
    """The net's output for every crop of every image, as ``ViewPredictor`` computes it at once."""
    return ViewPredictor(net, origins, mirror, measure=False)(images)


@extension
def view_predictor(
    net: Net,
    origins: Sequence[Pair],
    mirror: bool = False,
    mean: np.ndarray | None = None,
    scale: float = 1.0,
) -> Callable[[np.ndarray], np.ndarray]:
    """A function from images to the net's outputs for their views: see ``ViewPredictor``."""
    return ViewPredictor(net, origins, mirror, mean, scale)


class ViewPredictor:
    """The net's output for every view of every image: float32 N×V×K.

    The V views are the crops at ``origins`` in their order and, with ``mirror``, then the mirror
    image of each, as in ``caffe.io.oversample``.  The images come as N×C×H×W, uint8 or float32,
    and go through Caffe's transform on the device: (pixel - mean) * scale, then the crop.  Equal
    to running the net on each crop, up to float32's rounding.

    Shared computation takes about 3 of 10 times the cost of ten crops on a CPU, for a net without
    padding.  A GPU may be quicker with more arithmetic and fewer calls, so that there the first
    batch is timed both ways, once each way is warm and recorded, and the quicker one stays.

    The net has one input, of one size, and one output of K values an image, in TEST phase; its
    blobs hold no whole image's values afterwards.
    """

    def __init__(
        self,
        net: Net,
        origins: Sequence[Pair],
        mirror: bool = False,
        mean: np.ndarray | None = None,
        scale: float = 1.0,
        measure: bool | None = None,
    ) -> None:
        """``origins``: upper left corners (row, column) of crops of the size of the net's input.

        ``mean``: float32, one value a channel (C×1×1) or a whole image (C×H×W).  ``measure``: time
        both ways on the first batch; None: on a GPU.  Raises CaffeError for a net of another kind.
        """
        self._net, self._origins, self._mirror = net, list(origins), mirror
        self._scale = scale
        _require_one_input_and_output(net)
        check(len(self._origins) > 0, "there are no crops to predict")
        height, width = net.blobs[net.inputs[0]].shape[-2:]
        self._size: Pair = (height, width)
        self.views = len(self._origins) * (1 + mirror)
        if mean is not None and self.views == 1:
            mean = self._seen(mean)
        self._mean = None if mean is None else upload(mean, CONTEXT.device)
        self._dense = _dense_layers(net) if self.views > 1 else []
        self._order = preferred(CONTEXT.device, CONTEXT.precision == "float32")
        self._run = self._recorded()
        self._measure = CONTEXT.gpu if measure is None else measure
        self._most: int | None = None  # images in a pass, once more have proved too many

    @property
    def shares(self) -> bool:
        """Whether the views share the first layers' computation."""
        return bool(self._dense)

    @torch.no_grad()
    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Raises CaffeError where a crop does not lie within the images."""
        _require_crops_within(self._net, images, self._origins)
        out: np.ndarray | None = None
        start = 0
        while start < len(images):
            step = _images_in_a_pass(self._net, self._dense, images, self._size)
            step = min(step, self._most or step, len(images) - start)
            some = images[start : start + step]
            try:
                if self._measure and self.shares:
                    self._choose(some)
                    self._measure = False
                found = self._pass(some)
            except torch.cuda.OutOfMemoryError:
                if step == 1:
                    raise
                self._most = step // 2
                torch.cuda.empty_cache()
                continue
            if out is None:
                out = np.empty((len(images), *found.shape[1:]), np.float32)
            out[start : start + step] = found
            start += step
        assert out is not None  # there are images
        self._run.tell()
        return out

    def _choose(self, images: np.ndarray) -> None:
        """Leave out the sharing where the views by themselves are quicker on this device."""
        ways = [(self._dense, self._run), ([], self._recorded())]
        seconds = []
        try:
            for self._dense, self._run in ways:
                for _ in range(PLAIN_FIRST + 1):  # allocates, chooses algorithms, records
                    self._pass(images)
                begun = time.perf_counter()
                self._pass(images)  # its copy to the host waits for the device
                seconds.append(time.perf_counter() - begun)
        finally:
            quicker = len(seconds) == 2 and seconds[1] < seconds[0]
            self._dense, self._run = ways[quicker]

    def _recorded(self) -> RecordedPredictions:
        return RecordedPredictions(self._net, self._outputs, CONTEXT.device)

    def _pass(self, images: np.ndarray) -> np.ndarray:
        if self.views == 1:
            images = self._seen(images)
        pixels = upload(np.ascontiguousarray(images), CONTEXT.device)
        return self._run(pixels).cpu().numpy()

    def _seen(self, values: np.ndarray) -> np.ndarray:
        """Of images, or of a mean of them, what the only view shows."""
        (row, column), (height, width) = self._origins[0], self._size
        if values.shape[-2:] == (1, 1):  # one value a channel
            return values
        return values[..., row : row + height, column : column + width]

    def _outputs(self, pixels: torch.Tensor) -> torch.Tensor:
        """Outputs N×V×K, on the device, of N×C×H×W bytes (or float32) there."""
        return _predict(self._net, self._groups(pixels), self._dense, self.views)

    def _groups(self, pixels: torch.Tensor) -> list[_Group]:
        values = self._transformed(pixels)
        if self.views == 1:
            return [_Group(values, self._size, [(0, 0)], [0])]
        numbers = list(range(len(self._origins)))
        groups = [_Group(values, self._size, self._origins, numbers)]
        if self._mirror:
            width = pixels.shape[3] - self._size[1]
            mirrored = [(row, width - column) for row, column in self._origins]
            numbers = list(range(len(self._origins), self.views))
            groups.append(_Group(values.flip(3), self._size, mirrored, numbers))
        return groups

    def _transformed(self, pixels: torch.Tensor) -> torch.Tensor:
        """(pixel - mean) * scale, in a copy of our own, since layers work in place."""
        if pixels.device.type != "cpu":
            values = pixels.to(torch.float32, memory_format=self._order, copy=True)
            return subtract_and_scale(values, self._mean, self._scale)
        # a processor is quicker plane by plane, and then puts the planes side by side
        planes = pixels.to(torch.float32, copy=True)
        subtract_and_scale(planes, self._mean, self._scale)
        values = torch.empty_like(planes, memory_format=self._order)
        for source, target in zip(planes.unbind(1), values.unbind(1)):
            target.copy_(source)
        return values


def _predict(
    net: Net, groups: list[_Group], dense: list[tuple[int, _Window]], views: int
) -> torch.Tensor:
    """Outputs N×V×K, on the device, of the views in ``groups``."""
    graph = net.graph
    for i, window in dense:
        if not window.is_a_cell:
            groups = [part for group in groups for part in group.split(window)]
        in_place = graph.bottom_ids[i] == graph.top_ids[i]
        groups = [group.run(graph.layers[i], window, in_place) for group in groups]
    crops: list[torch.Tensor] = [groups[0].map] * views
    for group in groups:
        for index, view in enumerate(group.views):
            crops[view] = group.cut(index)
    batch = torch.cat(crops) if views > 1 else crops[0]
    last = dense[-1][0] if dense else -1
    begin = graph.tops[last][0] if dense else graph.blobs[graph.input_ids[0]]
    begin.resize(tuple(batch.shape))
    begin.set_data(batch)
    net.run_forward(last + 1)
    found = graph.blobs[graph.output_ids[0]].tensor
    return found.reshape(views, len(batch) // views, -1).transpose(0, 1)


def _require_one_input_and_output(net: Net) -> None:
    if len(net.inputs) != 1 or len(net.outputs) != 1:
        raise CaffeError(
            f"net '{net.name}' has the inputs {net.inputs} and the outputs {net.outputs}; "
            "a prediction takes a net with one of each"
        )
    check(net.phase == schema.TEST, f"net '{net.name}' is in the TRAIN phase, and may be random")


def _require_crops_within(net: Net, images: np.ndarray, origins: Sequence[Pair]) -> None:
    shape = net.graph.blobs[net.graph.input_ids[0]].shape
    check(
        len(shape) == 4 and images.ndim == 4 and images.shape[1] == shape[1],
        f"net '{net.name}' takes inputs of shape {shape}; got images of {images.shape}",
    )
    check(len(images) > 0, "there are no images to predict")
    for row, column in origins:
        check(
            0 <= row <= images.shape[2] - shape[2] and 0 <= column <= images.shape[3] - shape[3],
            f"the crop of {shape[2]}x{shape[3]} at ({row}, {column}) does not lie within images "
            f"of {images.shape[2]}x{images.shape[3]}",
        )


def _images_in_a_pass(
    net: Net, dense: list[tuple[int, _Window]], images: np.ndarray, size: Pair
) -> int:
    """So many that the largest map stays below _MAP_BYTES."""
    largest = math.prod(images.shape[1:])
    for i, _ in dense:
        # the crop's map, and the whole image's beside it, which is larger by less than this
        channels, *extent = net.graph.tops[i][0].shape[1:]
        grown = [n * whole / crop for n, whole, crop in zip(extent, images.shape[2:], size)]
        largest = max(largest, int(channels * math.prod(grown)))
    return max(1, (_GPU_MAP_BYTES if CONTEXT.gpu else _MAP_BYTES) // (4 * largest))
