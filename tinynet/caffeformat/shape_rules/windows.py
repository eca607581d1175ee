"""Shape rules of the layers that slide a window over images: convolution and its relatives."""

from __future__ import annotations

from math import prod

from tinynet.caffeformat import schema
from tinynet.caffeformat.convolution_window import window_of
from tinynet.caffeformat.shape_rules.rule import Result, Shape, canonical, rule


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
        out = window.steps(sizes)
        weight = (p.num_output, channels // p.group, *window.kernel)
        visits = prod(out)
    else:
        out = window.covered(sizes)
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
    return Result([(*outer, channels * prod(window.kernel), *window.steps(sizes))])


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
        # a last window that would start in the padding after the image is dropped
        if any(pads) and (pooled - 1) * stride >= size + pad:
            pooled -= 1
        if pooled < 1:
            raise ValueError(f"kernel_size {kernel} on a blob of {size}")
        out.append(pooled)
    return Result([(number, channels, *out)] * max(1, len(layer.top)))
