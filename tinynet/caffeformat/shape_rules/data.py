"""Shape rules of the layers that read data or take the place of data."""

from __future__ import annotations

from tinynet.caffeformat import schema
from tinynet.caffeformat.shape_rules.rule import Result, Shape, rule


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
