"""Shape rules of the layers that join, cut and reshape."""

from __future__ import annotations

from math import prod

from tinynet.caffeformat import schema
from tinynet.caffeformat.shape_rules.rule import Result, Shape, canonical, rule


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
    """The largest tops; the selector's values decide at every forward how many items pass."""
    if any(shape[:1] != bottoms[-1][:1] for shape in bottoms):
        raise ValueError(f"bottoms must have as many items as the selector: {bottoms}")
    return Result(bottoms[:-1])


@rule("Reduction")
def reduction(layer: schema.LayerParameter, bottoms: list[Shape], image: Shape) -> Result:
    return Result([bottoms[0][: canonical(layer.reduction_param.axis, bottoms[0])]])
