"""Caffe's shape rules: what each layer type makes of its bottoms, and the parameters it holds.

A rule takes (layer, shapes of the bottoms, shape of a record's image) and returns the shapes of
the tops and of the parameters, and the multiply-adds of a forward pass.  It raises ValueError where
Caffe would abort.  ``RULES`` finds a rule by layer type.

Source: Reshape and LayerSetUp of the layers in Caffe's src/caffe/layers/.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod, trunc

from tinynet.caffeformat import schema

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Result:
    tops: Sequence[Shape]
    parameters: Sequence[Shape] = ()
    multiply_adds: int = 0


Rule = Callable[[schema.LayerParameter, "list[Shape]", Shape], Result]
RULES: dict[str, Rule] = {}


def rule(*types: str) -> Callable[[Rule], Rule]:
    """Decorator: make a function the rule of these layer types; one that has one already fails."""

    def register(function: Rule) -> Rule:
        for name in types:
            if name in RULES:
                raise ValueError(f"two shape rules for {name}")
            RULES[name] = function
        return function

    return register


def canonical(axis: int, shape: Shape) -> int:
    """An axis counted from the front; negative ones count from the back."""
    if not -len(shape) <= axis < len(shape):
        raise ValueError(f"axis {axis} of a blob with {len(shape)} axes")
    return axis % len(shape)


# ------------------------------------------------------------------------------- data layers


def _cropped(parameter: schema.TransformationParameter, image: Shape) -> Shape:
    channels, height, width = image
    crop = parameter.crop_size
    if crop > min(height, width):
        raise ValueError(f"crop_size {crop} of an image of {height}x{width}")
    return (channels, crop, crop) if crop else image


@rule("Data")
def data(layer: schema.LayerParameter, bottoms: list[Shape], image: Shape) -> Result:
    batch = layer.data_param.batch_size
    return Result([(batch, *_cropped(layer.transform_param, image)), (batch,)])


@rule("ImageData")
def image_data(layer: schema.LayerParameter, bottoms: list[Shape], image: Shape) -> Result:
    parameter = layer.image_data_param
    size = (parameter.new_height, parameter.new_width)
    resized = (3 if parameter.is_color else 1, *(size if all(size) else image[1:]))
    batch = parameter.batch_size
    return Result([(batch, *_cropped(layer.transform_param, resized)), (batch,)])


@rule("MemoryData")
def memory_data(layer: schema.LayerParameter, bottoms: list[Shape], image: Shape) -> Result:
    p = layer.memory_data_param
    return Result([(p.batch_size, p.channels, p.height, p.width), (p.batch_size,)])


@rule("WindowData")
def window_data(layer: schema.LayerParameter, bottoms: list[Shape], image: Shape) -> Result:
    batch, crop = layer.window_data_param.batch_size, layer.transform_param.crop_size
    if not crop:
        raise ValueError("crop_size must be positive")
    return Result([(batch, 3, crop, crop), (batch,)])


@rule("HDF5Data")
def hdf5_data(layer: schema.LayerParameter, bottoms: list[Shape], image: Shape) -> Result:
    raise ValueError("its shapes are those of the datasets in its files")


@rule("Input")
def input(layer: schema.LayerParameter, bottoms: list[Shape], image: Shape) -> Result:
    return Result(_one_each(layer, [tuple(shape.dim) for shape in layer.input_param.shape]))


@rule("DummyData")
def dummy_data(layer: schema.LayerParameter, bottoms: list[Shape], image: Shape) -> Result:
    p = layer.dummy_data_param
    shapes = [tuple(shape.dim) for shape in p.shape]
    if not shapes:
        shapes = list(zip(p.num, p.channels, p.height, p.width))
    return Result(_one_each(layer, shapes))


@rule("Parameter")
def parameter(layer: schema.LayerParameter, bottoms: list[Shape], image: Shape) -> Result:
    shape = tuple(layer.parameter_param.shape.dim)
    return Result([shape], [shape])


def _one_each(layer: schema.LayerParameter, shapes: list[Shape]) -> list[Shape]:
    if len(shapes) not in (1, len(layer.top)):
        raise ValueError(f"{len(shapes)} shapes for {len(layer.top)} tops")
    return shapes * len(layer.top) if len(shapes) == 1 else shapes


# --------------------------------------------------------------- convolution and its relatives


@dataclass(frozen=True)
class Window:
    """Kernel, stride, padding and dilation, one value for each spatial axis."""

    kernel: Shape
    stride: Shape
    pad: Shape
    dilation: Shape

    @property
    def extent(self) -> Shape:
        """What a dilated kernel covers."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation))


def window_of(p: schema.ConvolutionParameter, axes: int) -> Window:
    """The window of a ConvolutionParameter over ``axes`` spatial axes."""

    def of_axes(name: str, default: int | None) -> Shape:
        short = name.removesuffix("_size")
        if schema.is_set(p, f"{short}_h") or schema.is_set(p, f"{short}_w"):
            return (getattr(p, f"{short}_h"), getattr(p, f"{short}_w"))
        values = list(getattr(p, name)) or ([] if default is None else [default])
        if len(values) not in (1, axes):
            raise ValueError(f"{name} must be given once, or {axes} times; got {len(values)}")
        return tuple(values * axes if len(values) == 1 else values)

    dilation = tuple((list(p.dilation) or [1]) * (axes if len(p.dilation) <= 1 else 1))
    window = Window(of_axes("kernel_size", None), of_axes("stride", 1), of_axes("pad", 0), dilation)
    if min(window.kernel, default=1) < 1 or min(window.stride, default=1) < 1:
        raise ValueError("kernel_size and stride must be positive")
    return window


def _slide(sizes: Shape, window: Window) -> Shape:
    """Rounded toward zero, as C++ divides: a kernel may overhang by less than a stride."""
    moved = zip(sizes, window.extent, window.stride, window.pad)
    return tuple(trunc((size + 2 * p - extent) / s) + 1 for size, extent, s, p in moved)


@rule("Convolution", "Deconvolution")
def convolution(layer: schema.LayerParameter, bottoms: list[Shape], image: Shape) -> Result:
    p = layer.convolution_param
    axis = canonical(p.axis, bottoms[0])
    outer, channels, sizes = bottoms[0][:axis], bottoms[0][axis], bottoms[0][axis + 1 :]
    window = window_of(p, len(sizes))
    if not p.group or channels % p.group or p.num_output % p.group or not p.num_output:
        raise ValueError(
            f"num_output {p.num_output} and {channels} channels must be multiples of group "
            f"{p.group}"
        )
    if layer.type == "Convolution":
        out = _slide(sizes, window)
        weight = (p.num_output, channels // p.group, *window.kernel)
        visits = prod(out)
    else:
        moved = zip(sizes, window.extent, window.stride, window.pad)
        out = tuple(s * (size - 1) + extent - 2 * pad for size, extent, s, pad in moved)
        weight = (channels, p.num_output // p.group, *window.kernel)
        visits = prod(sizes)
    if min(out, default=1) < 1:
        raise ValueError(f"a kernel of {window.kernel} on a blob of {sizes}")
    tops = [(*outer, p.num_output, *out)] * len(bottoms)
    parameters = [weight, (p.num_output,)] if p.bias_term else [weight]
    return Result(tops, parameters, len(bottoms) * prod(outer) * visits * prod(weight))


@rule("Im2col")
def im2col(layer: schema.LayerParameter, bottoms: list[Shape], image: Shape) -> Result:
    p = layer.convolution_param
    axis = canonical(p.axis, bottoms[0])
    outer, channels, sizes = bottoms[0][:axis], bottoms[0][axis], bottoms[0][axis + 1 :]
    window = window_of(p, len(sizes))
    return Result([(*outer, channels * prod(window.kernel), *_slide(sizes, window))])


@rule("SPP")
def spp(layer: schema.LayerParameter, bottoms: list[Shape], image: Shape) -> Result:
    levels = layer.spp_param.pyramid_height
    number, channels, *sizes = bottoms[0]
    if levels < 1 or len(sizes) != 2:
        raise ValueError(f"{levels} levels of a pyramid over a blob of {bottoms[0]}")
    for bins in (2**level for level in range(levels)):
        for size in sizes:
            kernel = -(-size // bins)
            if (kernel * bins - size + 1) // 2 >= kernel:
                raise ValueError(f"{bins} bins are too many for {size} values")
    if levels == 1:
        return Result([(number, channels, 1, 1)])
    return Result([(number, channels * sum(4**level for level in range(levels)))])


@rule("Pooling")
def pooling(layer: schema.LayerParameter, bottoms: list[Shape], image: Shape) -> Result:
    p = layer.pooling_param
    number, channels, *sizes = bottoms[0]
    out = []
    pads = (p.pad_h, p.pad_w) if p.HasField("pad_h") or p.HasField("pad_w") else (p.pad, p.pad)
    for index, suffix in enumerate(("_h", "_w")):
        size, pad = sizes[index], pads[index]
        kernel = p.kernel_size or getattr(p, f"kernel{suffix}")
        stride = getattr(p, f"stride{suffix}") or p.stride
        if p.global_pooling:
            kernel, stride, pad = size, 1, 0
        if kernel < 1 or pad >= kernel:
            raise ValueError(f"kernel_size {kernel} must be positive and larger than pad {pad}")
        reach = size + 2 * pad - kernel
        ceil = p.round_mode == schema.PoolingParameter.CEIL
        pooled = (-(-reach // stride) if ceil else reach // stride) + 1
        # a last window that would begin in the padding behind the image is dropped
        if any(pads) and (pooled - 1) * stride >= size + pad:
            pooled -= 1
        if pooled < 1:
            raise ValueError(f"kernel_size {kernel} on a blob of {size}")
        out.append(pooled)
    return Result([(number, channels, *out)] * max(1, len(layer.top)))


@rule("InnerProduct")
def inner_product(layer: schema.LayerParameter, bottoms: list[Shape], image: Shape) -> Result:
    p = layer.inner_product_param
    axis = canonical(p.axis, bottoms[0])
    inputs = prod(bottoms[0][axis:])
    top = (*bottoms[0][:axis], p.num_output)
    weight = (inputs, p.num_output) if p.transpose else (p.num_output, inputs)
    parameters = [weight, (p.num_output,)] if p.bias_term else [weight]
    return Result([top], parameters, prod(top) * inputs)


@rule("Embed")
def embed(layer: schema.LayerParameter, bottoms: list[Shape], image: Shape) -> Result:
    p = layer.embed_param
    weight = (p.input_dim, p.num_output)
    parameters = [weight, (p.num_output,)] if p.bias_term else [weight]
    return Result([(*bottoms[0], p.num_output)], parameters)


# ------------------------------------------------------------------------------- sequences


@rule("RNN", "LSTM")
def recurrent(layer: schema.LayerParameter, bottoms: list[Shape], image: Shape) -> Result:
    p = layer.recurrent_param
    steps, streams = bottoms[0][:2]
    parts = (1 if layer.type == "RNN" else 2) if p.expose_hidden else 0
    rows = p.num_output if layer.type == "RNN" else 4 * p.num_output
    of_inputs, of_state = (rows, prod(bottoms[0][2:])), (rows, p.num_output)
    parameters: list[Shape] = [of_inputs, (rows,)]
    multiply_adds = steps * streams * (prod(of_inputs) + prod(of_state))
    if len(bottoms) > 2 + parts:
        of_static = (rows, prod(bottoms[2][1:]))
        parameters.append(of_static)
        multiply_adds += streams * prod(of_static)
    parameters.append(of_state)
    if layer.type == "RNN":
        parameters += [(rows, rows), (rows,)]
        multiply_adds += steps * streams * rows * rows
    tops = [(steps, streams, p.num_output), *[(1, streams, p.num_output)] * parts]
    return Result(tops, parameters, multiply_adds)


@rule("LSTMUnit")
def lstm_unit(layer: schema.LayerParameter, bottoms: list[Shape], image: Shape) -> Result:
    return Result([bottoms[0]] * 2)


# --------------------------------------------------------------------------- value by value


@rule(
    *("AbsVal", "BNLL", "Clip", "Dropout", "ELU", "Exp", "Log", "Power", "ReLU", "Sigmoid"),
    *("Swish", "TanH", "Threshold", "LRN", "Softmax", "Split", "Eltwise"),
)
def same(layer: schema.LayerParameter, bottoms: list[Shape], image: Shape) -> Result:
    return Result([bottoms[0]] * len(layer.top))


@rule("MVN")
def mvn(layer: schema.LayerParameter, bottoms: list[Shape], image: Shape) -> Result:
    if len(bottoms[0]) > 4:
        raise ValueError(f"a blob of more than 4 axes: {bottoms[0]}")
    return Result([(*bottoms[0], 1, 1, 1, 1)[:4]])


@rule("PReLU")
def prelu(layer: schema.LayerParameter, bottoms: list[Shape], image: Shape) -> Result:
    return Result([bottoms[0]], [() if layer.prelu_param.channel_shared else (bottoms[0][1],)])


@rule("BatchNorm")
def batch_norm(layer: schema.LayerParameter, bottoms: list[Shape], image: Shape) -> Result:
    channels = bottoms[0][1] if len(bottoms[0]) > 1 else 1
    return Result([bottoms[0]], [(channels,), (channels,), (1,)])


@rule("Scale", "Bias")
def scale(layer: schema.LayerParameter, bottoms: list[Shape], image: Shape) -> Result:
    p = layer.scale_param if layer.type == "Scale" else layer.bias_param
    parameters: list[Shape] = []
    operand = bottoms[1] if len(bottoms) > 1 else None
    if operand is None:
        axis = canonical(p.axis, bottoms[0])
        operand = bottoms[0][axis:] if p.num_axes == -1 else bottoms[0][axis : axis + p.num_axes]
        parameters.append(operand)
    if layer.type == "Scale" and layer.scale_param.bias_term:
        parameters.append(operand)
    return Result([bottoms[0]], parameters)


# ------------------------------------------------------------------------ joining and cutting


@rule("Concat")
def concat(layer: schema.LayerParameter, bottoms: list[Shape], image: Shape) -> Result:
    p = layer.concat_param
    axis = canonical(p.concat_dim if p.HasField("concat_dim") else p.axis, bottoms[0])
    for shape in bottoms:
        if shape[:axis] + shape[axis + 1 :] != bottoms[0][:axis] + bottoms[0][axis + 1 :]:
            raise ValueError(f"bottoms differ in more than axis {axis}: {bottoms}")
    joined = sum(shape[axis] for shape in bottoms)
    return Result([(*bottoms[0][:axis], joined, *bottoms[0][axis + 1 :])])


@rule("Slice")
def slice(layer: schema.LayerParameter, bottoms: list[Shape], image: Shape) -> Result:
    p = layer.slice_param
    axis = canonical(p.slice_dim if p.HasField("slice_dim") else p.axis, bottoms[0])
    size, tops = bottoms[0][axis], len(layer.top)
    points = list(p.slice_point) or [size * i // tops for i in range(1, tops)]
    if len(points) != tops - 1 or (not len(p.slice_point) and size % tops):
        raise ValueError(f"{size} cannot be cut into {tops} tops at {points}")
    pieces = [end - start for start, end in zip([0, *points], [*points, size])]
    return Result([(*bottoms[0][:axis], n, *bottoms[0][axis + 1 :]) for n in pieces])


@rule("Flatten")
def flatten(layer: schema.LayerParameter, bottoms: list[Shape], image: Shape) -> Result:
    start = canonical(layer.flatten_param.axis, bottoms[0])
    end = canonical(layer.flatten_param.end_axis, bottoms[0]) + 1
    return Result([(*bottoms[0][:start], prod(bottoms[0][start:end]), *bottoms[0][end:])])


@rule("Reshape")
def reshape(layer: schema.LayerParameter, bottoms: list[Shape], image: Shape) -> Result:
    p = layer.reshape_param
    bottom = bottoms[0]
    start = p.axis if p.axis >= 0 else len(bottom) + p.axis + 1
    end = len(bottom) if p.num_axes == -1 else start + p.num_axes
    dims = [bottom[start + i] if dim == 0 else dim for i, dim in enumerate(p.shape.dim)]
    if -1 in dims:
        known = prod(dim for dim in dims if dim != -1)
        dims[dims.index(-1)] = prod(bottom[start:end]) // known
    top = (*bottom[:start], *dims, *bottom[end:])
    if prod(top) != prod(bottom):
        raise ValueError(f"{bottom} has no {prod(top)} values, which {top} needs")
    return Result([top])


@rule("Tile")
def tile(layer: schema.LayerParameter, bottoms: list[Shape], image: Shape) -> Result:
    axis = canonical(layer.tile_param.axis, bottoms[0])
    if layer.tile_param.tiles < 1:
        raise ValueError("tiles must be given and positive")
    tiled = bottoms[0][axis] * layer.tile_param.tiles
    return Result([(*bottoms[0][:axis], tiled, *bottoms[0][axis + 1 :])])


@rule("Crop")
def crop(layer: schema.LayerParameter, bottoms: list[Shape], image: Shape) -> Result:
    whole, size = bottoms
    axis = canonical(layer.crop_param.axis, whole)
    end = len(whole)
    offsets = list(layer.crop_param.offset) or [0]
    offsets = offsets * (end - axis) if len(offsets) == 1 else offsets
    if len(size) < end or len(offsets) != end - axis:
        raise ValueError(f"{len(offsets)} offsets for a crop of {whole} to {size} from axis {axis}")
    if any(o + s > w for o, s, w in zip(offsets, size[axis:], whole[axis:])):
        raise ValueError(f"a crop of {whole} to {size} at {offsets} is out of bounds")
    return Result([(*whole[:axis], *size[axis:end])])


@rule("BatchReindex")
def batch_reindex(layer: schema.LayerParameter, bottoms: list[Shape], image: Shape) -> Result:
    (chosen,) = bottoms[1]
    return Result([(chosen, *bottoms[0][1:])])


@rule("Filter")
def filter(layer: schema.LayerParameter, bottoms: list[Shape], image: Shape) -> Result:
    """What there is room for: how many items pass, the selector's values say at every forward."""
    if any(shape[:1] != bottoms[-1][:1] for shape in bottoms):
        raise ValueError(f"bottoms must have as many items as the selector: {bottoms}")
    return Result(bottoms[:-1])


@rule("Reduction")
def reduction(layer: schema.LayerParameter, bottoms: list[Shape], image: Shape) -> Result:
    return Result([bottoms[0][: canonical(layer.reduction_param.axis, bottoms[0])]])


# ---------------------------------------------------------------------- losses and measures


@rule(
    *("SoftmaxWithLoss", "EuclideanLoss", "HingeLoss", "InfogainLoss", "ContrastiveLoss"),
    *("MultinomialLogisticLoss", "SigmoidCrossEntropyLoss"),
)
def loss(layer: schema.LayerParameter, bottoms: list[Shape], image: Shape) -> Result:
    return Result([(), bottoms[0]][: max(1, len(layer.top))])


@rule("Accuracy")
def accuracy(layer: schema.LayerParameter, bottoms: list[Shape], image: Shape) -> Result:
    classes = bottoms[0][canonical(layer.accuracy_param.axis, bottoms[0])]
    return Result([(), (classes,)][: max(1, len(layer.top))])


@rule("ArgMax")
def argmax(layer: schema.LayerParameter, bottoms: list[Shape], image: Shape) -> Result:
    p = layer.argmax_param
    if p.HasField("axis"):
        axis = canonical(p.axis, bottoms[0])
        return Result([(*bottoms[0][:axis], p.top_k, *bottoms[0][axis + 1 :])])
    trailing = (1,) * max(0, len(bottoms[0]) - 3)
    return Result([(bottoms[0][0], 2 if p.out_max_val else 1, p.top_k, *trailing)])


@rule("Silence", "HDF5Output")
def silence(layer: schema.LayerParameter, bottoms: list[Shape], image: Shape) -> Result:
    return Result([])
