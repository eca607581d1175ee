"""All views of an image (crops and mirrors) from one pass over the image, where a net allows it.

Crops of an image overlap, and a convolution without padding maps a crop to a part of its output for
the whole image: with kernel k and stride s, the crop of size n at offset o becomes the part of size
(n - k) // s + 1 at offset o / s, if s divides o.  So the first layers run once on the image (and
once on its mirror image) instead of once per crop.

Crops whose offsets leave different remainders mod s lie on different grids from that layer on.
Each grid then gets a map of its own: the smallest part of the image that holds its crops.
Pooling rounds its output size up, so the last window of a crop can be a partial one, which ends at
the crop's border although the image continues.  From there on, each crop has its own map.
After the last layer that looks at neighbours, all crops continue as one batch.

Which layers can be shared follows from their parameters (``_receptive_field``).  A net that begins
with any other layer runs on plain crops, through the same code.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Sequence
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

# Bytes of the largest map of a pass.  On a CPU a few images per pass stay in the cache and are
# enough for its matrix products; a GPU needs many at once.
_MAP_BYTES = 8 << 20
_GPU_MAP_BYTES = 1 << 30


@dataclass(frozen=True)
class _ReceptiveField:
    """The rectangle of inputs that one output depends on, and the step between two outputs."""

    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    rounds_up: bool = False  # the last rectangle may be a partial one

    @property
    def is_pointwise(self) -> bool:
        return self.kernel == (1, 1) and self.stride == (1, 1)

    def fits(self, size: Pair) -> bool:
        """Whether every rectangle lies whole within a map of this size."""
        return not self.rounds_up or all(
            (n - k) % s == 0 for n, k, s in zip(size, self.kernel, self.stride)
        )


# layers that treat each position by itself (_receptive_field has those that do so conditionally)
_POINTWISE = {"AbsVal", "Dropout", "ELU", "Exp", "Log", "Power", "PReLU", "ReLU", "Sigmoid", "TanH"}


def _receptive_field(layer: Layer) -> _ReceptiveField | None:
    """What an output depends on; None if it also depends on its position, or on the whole map."""
    param = layer.param
    if isinstance(layer, Convolution):
        window = layer.window
        if layer.axis != 1 or layer.spatial != 2 or any(window.pad) or layer.by_columns:
            return None
        height, width = window.extent
        return _ReceptiveField((height, width), (window.stride[0], window.stride[1]))
    if isinstance(layer, Pooling):
        if layer.global_pooling or any(layer.pad):
            return None
        floor = param.pooling_param.round_mode == schema.PoolingParameter.FLOOR
        return _ReceptiveField(layer.kernel, layer.stride, rounds_up=not floor)
    if isinstance(layer, LRN):
        return _ReceptiveField() if layer.across else None
    if isinstance(layer, BatchNorm):
        return _ReceptiveField() if layer.use_global_stats else None
    if layer.type in ("Scale", "Bias"):
        settings = param.scale_param if layer.type == "Scale" else param.bias_param
        return _ReceptiveField() if settings.axis == 1 and settings.num_axes == 1 else None
    return _ReceptiveField() if layer.type in _POINTWISE else None


@dataclass
class _Group:
    """Crops that lie on one grid, as parts of one map (N×C×H×W)."""

    map: torch.Tensor
    size: Pair  # of each crop
    offsets: list[Pair]  # upper left corners (row, column) in the map
    views: list[int]  # the number of each crop's view

    def cut(self, index: int) -> torch.Tensor:
        (row, column), (height, width) = self.offsets[index], self.size
        return self.map[:, :, row : row + height, column : column + width]

    def part(self, chosen: Sequence[int]) -> _Group:
        """The chosen crops, with the smallest part of the map that holds them."""
        rows, columns = zip(*(self.offsets[i] for i in chosen))
        top, left = min(rows), min(columns)
        return _Group(
            self.map[:, :, top : max(rows) + self.size[0], left : max(columns) + self.size[1]],
            self.size,
            [(row - top, column - left) for row, column in zip(rows, columns)],
            [self.views[i] for i in chosen],
        )

    def split(self, field: _ReceptiveField) -> list[_Group]:
        """Groups that a layer can run on as they are: one per grid, or one per crop."""
        if not field.fits(self.size):
            return self._one_by_one()
        grids = defaultdict(list)
        for i, (row, column) in enumerate(self.offsets):
            grids[row % field.stride[0], column % field.stride[1]].append(i)
        parts = [self.part(chosen) for chosen in grids.values()]
        return [small for part in parts for small in part._unless_wasteful()]

    def _unless_wasteful(self) -> list[_Group]:
        """This group, or one per crop if crops far apart are cheaper than their common map."""
        if math.prod(self.map.shape[2:]) <= len(self.views) * math.prod(self.size):
            return [self]
        return self._one_by_one()

    def _one_by_one(self) -> list[_Group]:
        return [self.part([i]) for i in range(len(self.views))]

    def run(self, layer: Layer, field: _ReceptiveField, in_place: bool) -> _Group:
        """The same crops after ``layer``."""
        below = Blob(self.map.shape)
        below.set_data(self.map)
        above = below if in_place else Blob()
        layer.reshape_where_needed([below], [above])
        layer.forward([below], [above])
        height, width = (
            (-((k - n) // s) if field.rounds_up else (n - k) // s) + 1
            for n, k, s in zip(self.size, field.kernel, field.stride)
        )
        down, right = field.stride
        offsets = [(row // down, column // right) for row, column in self.offsets]
        return _Group(above.tensor, (height, width), offsets, self.views)


def _shared_layers(net: Net) -> list[tuple[int, _ReceptiveField]]:
    """The first layers of the net that can run on whole images: (index, receptive field)."""
    graph, found = net.graph, []
    current = graph.input_ids[0]
    for i, layer in enumerate(graph.layers):
        if layer.type == "Input":
            continue
        bottoms, tops = graph.bottom_ids[i], graph.top_ids[i]
        field = _receptive_field(layer)
        if field is None or bottoms != [current] or len(tops) != 1:
            break
        current = tops[0]
        found.append((i, field))
    # the batch of crops begins right after the last layer that looks at neighbours
    while found and found[-1][1].is_pointwise:
        found.pop()
    return found


@extension("view_predictor")
class ViewPredictor:
    """Computes the net's output for every view of every image: float32 N×V×K.

    The V views are the crops at ``origins`` in their order and, with ``mirror``, then the mirror
    image of each, as in ``caffe.io.oversample``.  The images are N×C×H×W, uint8 or float32, and go
    through Caffe's transform on the device: (pixel - mean) * scale, then the crop.  The result
    equals that of running the net on each crop, up to float32's rounding.

    On a CPU, shared computation takes about 3/10 of the time of ten crops, for a net without
    padding.  A GPU may be quicker with more arithmetic and fewer calls.  So it times the first
    batch both ways, once each is warm and recorded, and keeps the quicker one.

    The net must be in the TEST phase, with one input, of one size, and one output of K values per
    image.  Its blobs hold no whole image's values afterwards.
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

        ``mean``: float32, one value per channel (C×1×1) or a whole image (C×H×W).  ``measure``:
        whether to time both ways on the first batch; None: on a GPU only.  Raises CaffeError for a
        net of another kind.
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
        self._shared = _shared_layers(net) if self.views > 1 else []
        self._order = preferred(CONTEXT.device, CONTEXT.precision == "float32")
        self._run = self._recorded()
        self._measure = CONTEXT.gpu if measure is None else measure
        self._most: int | None = None  # images per pass, once a larger pass ran out of memory

    @property
    def shares(self) -> bool:
        """Whether the views share the first layers' computation."""
        return bool(self._shared)

    @torch.no_grad()
    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Predict ``images``.  Raises CaffeError if a crop does not lie within them."""
        _require_crops_within(self._net, images, self._origins)
        out: np.ndarray | None = None
        start = 0
        while start < len(images):
            step = _images_in_a_pass(self._net, self._shared, images, self._size)
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
        self._run.log_once()
        return out

    def _choose(self, images: np.ndarray) -> None:
        """Stop sharing if plain crops are quicker on this device."""
        ways = [(self._shared, self._run), ([], self._recorded())]
        seconds = []
        try:
            for self._shared, self._run in ways:
                for _ in range(PLAIN_FIRST + 1):  # to allocate, choose algorithms and record
                    self._pass(images)
                begun = time.perf_counter()
                self._pass(images)  # copies the result to the host, and so waits for the device
                seconds.append(time.perf_counter() - begun)
        finally:
            quicker = len(seconds) == 2 and seconds[1] < seconds[0]
            self._shared, self._run = ways[quicker]

    def _recorded(self) -> RecordedPredictions:
        return RecordedPredictions(self._net, self._outputs, CONTEXT.device)

    def _pass(self, images: np.ndarray) -> np.ndarray:
        if self.views == 1:
            images = self._seen(images)
        pixels = upload(np.ascontiguousarray(images), CONTEXT.device)
        return self._run(pixels).cpu().numpy()

    def _seen(self, values: np.ndarray) -> np.ndarray:
        """The only view's part of images, or of their mean."""
        (row, column), (height, width) = self._origins[0], self._size
        if values.shape[-2:] == (1, 1):  # one value per channel
            return values
        return values[..., row : row + height, column : column + width]

    def _outputs(self, pixels: torch.Tensor) -> torch.Tensor:
        """Outputs N×V×K for N×C×H×W pixels, uint8 or float32; both on the device."""
        return _predict(self._net, self._groups(pixels), self._shared, self.views)

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
        """(pixel - mean) * scale, in a copy, since layers may work in place on it."""
        if pixels.device.type != "cpu":
            values = pixels.to(torch.float32, memory_format=self._order, copy=True)
            return subtract_and_scale(values, self._mean, self._scale)
        # a CPU is quicker plane by plane, and then interleaves the planes
        planes = pixels.to(torch.float32, copy=True)
        subtract_and_scale(planes, self._mean, self._scale)
        values = torch.empty_like(planes, memory_format=self._order)
        for source, target in zip(planes.unbind(1), values.unbind(1)):
            target.copy_(source)
        return values


def _predict(
    net: Net, groups: list[_Group], shared: list[tuple[int, _ReceptiveField]], views: int
) -> torch.Tensor:
    """Outputs N×V×K, on the device, for the views in ``groups``."""
    graph = net.graph
    for i, field in shared:
        if not field.is_pointwise:
            groups = [part for group in groups for part in group.split(field)]
        in_place = graph.bottom_ids[i] == graph.top_ids[i]
        groups = [group.run(graph.layers[i], field, in_place) for group in groups]
    crops: list[torch.Tensor] = [groups[0].map] * views
    for group in groups:
        for index, view in enumerate(group.views):
            crops[view] = group.cut(index)
    batch = torch.cat(crops) if views > 1 else crops[0]
    last = shared[-1][0] if shared else -1
    begin = graph.tops[last][0] if shared else graph.blobs[graph.input_ids[0]]
    begin.resize(tuple(batch.shape))
    begin.set_data(batch)
    net.run_forward(last + 1)
    found = graph.blobs[graph.output_ids[0]].tensor
    return found.reshape(views, len(batch) // views, -1).transpose(0, 1)


def _require_one_input_and_output(net: Net) -> None:
    if len(net.inputs) != 1 or len(net.outputs) != 1:
        raise CaffeError(
            f"net '{net.name}' has the inputs {net.inputs} and the outputs {net.outputs}; "
            "a net that predicts must have one of each"
        )
    check(
        net.phase == schema.TEST,
        f"net '{net.name}' is in the TRAIN phase, in which it may be random; load it in TEST",
    )


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
    net: Net, shared: list[tuple[int, _ReceptiveField]], images: np.ndarray, size: Pair
) -> int:
    """The number of images whose largest map stays below _MAP_BYTES; at least 1."""
    largest = math.prod(images.shape[1:])
    for i, _ in shared:
        # an upper bound for the whole image's map, from the crop's
        channels, *extent = net.graph.tops[i][0].shape[1:]
        grown = [n * whole / crop for n, whole, crop in zip(extent, images.shape[2:], size)]
        largest = max(largest, int(channels * math.prod(grown)))
    return max(1, (_GPU_MAP_BYTES if CONTEXT.gpu else _MAP_BYTES) // (4 * largest))
