"""The nets of a stage as Caffe's NetParameter: train_val and deploy."""

from __future__ import annotations

from typing import Any, NamedTuple

from tinynet.caffeformat import schema
from tinynet.experiment import stages
from tinynet.experiment.data_description import DataSet
from tinynet.experiment.hyperparameters import INPUT_SCALE
from tinynet.experiment.stages import Stage

DEPLOY_BATCH = 10  # one image's ten crops at a time, as in Caffe's own deploy nets


class Filler(NamedTuple):
    """How weights are initialized: Caffe's filler type, and the std of a "gaussian"."""

    type: str
    std: float


def train_val(
    stage: Stage,
    data: DataSet,
    train_batch: int,
    test_batch: int,
    std: float,
    filler_type: str = "gaussian",
) -> schema.NetParameter:
    """The net for training and testing; its tops are ``accuracy``, ``accuracy_top5`` and ``loss``.

    ``filler_type``: Caffe's filler for all weights; ``std``: its standard deviation if gaussian.
    """
    filler = Filler(filler_type, std)
    scores = _last_fully_connected(stage)
    net = schema.NetParameter(name=stage.name)
    net.layer.extend(
        [
            _data(stage, data, schema.TRAIN, train_batch),
            _data(stage, data, schema.TEST, test_batch),
            *_body(stage, data.classes, filler),
            _layer("loss", "SoftmaxWithLoss", [scores, "label"], "loss"),
            _accuracy("accuracy", scores, top_k=1),
            _accuracy("accuracy_top5", scores, top_k=min(5, data.classes)),
        ]
    )
    return net


def deploy(stage: Stage, data: DataSet) -> schema.NetParameter:
    """The deploy net: ``data`` (10 x 3 x S x S, mean subtracted, scaled) in, ``prob`` out."""
    size = stage.input_size(data.image_size)
    net = schema.NetParameter(name=stage.name)
    net.layer.extend(
        [
            _input("data", [DEPLOY_BATCH, len(data.mean_values), size, size]),
            *_body(stage, data.classes, filler=None),
            _layer("prob", "Softmax", [_last_fully_connected(stage)], "prob"),
        ]
    )
    return net


def _body(stage: Stage, classes: int, filler: Filler | None) -> list[schema.LayerParameter]:
    """The layers between data and classifier; without fillers if ``filler`` is None."""
    bottom = "data"
    body = []
    for layer in stage.layers:
        if isinstance(layer, stages.Convolution):
            body.append(_convolution(layer, bottom, filler))
        elif isinstance(layer, stages.ReLU):
            body.append(_relu(layer, bottom))
        elif isinstance(layer, stages.MaxPooling):
            body.append(_max_pooling(layer, bottom))
        elif isinstance(layer, stages.FullyConnected):
            body.append(_fully_connected(layer, bottom, layer.units or classes, filler))
        elif isinstance(layer, stages.Dropout):
            body.append(_dropout(layer, bottom))
        else:  # Data and Softmax differ between the two nets, which add them themselves
            continue
        bottom = body[-1].top[0]
    return body


def _last_fully_connected(stage: Stage) -> str:
    return [x for x in stage.layers if isinstance(x, stages.FullyConnected)][-1].name


def _layer(
    name: str, kind: str, bottoms: list[str], top: str, **parameters: Any
) -> schema.LayerParameter:
    return schema.LayerParameter(name=name, type=kind, bottom=bottoms, top=[top], **parameters)


def _data(stage: Stage, data: DataSet, phase: schema.Phase, batch: int) -> schema.LayerParameter:
    training = phase == schema.TRAIN
    source = data.paths.train_lmdb if training else data.paths.val_lmdb
    layer = schema.LayerParameter(name="data", type="Data", top=["data", "label"])
    layer.include.add(phase=phase)
    transform = layer.transform_param
    if stage.data.mirror and training:  # Caffe would mirror at random in the TEST phase too
        transform.mirror = True
    if stage.data.crop:
        transform.crop_size = stage.data.crop
    transform.scale = INPUT_SCALE
    transform.mean_value.extend(data.mean_values)
    layer.data_param.source = source.as_posix()
    layer.data_param.batch_size = batch
    layer.data_param.backend = schema.DataParameter.LMDB
    return layer


def _input(top: str, shape: list[int]) -> schema.LayerParameter:
    layer = schema.LayerParameter(name=top, type="Input", top=[top])
    layer.input_param.shape.add(dim=shape)
    return layer


def _convolution(
    layer: stages.Convolution, bottom: str, filler: Filler | None
) -> schema.LayerParameter:
    parameter = schema.ConvolutionParameter(
        num_output=layer.filters, kernel_size=[layer.filter_size], stride=[layer.stride]
    )
    _fill(parameter, filler)
    return _layer(layer.name, "Convolution", [bottom], layer.name, convolution_param=parameter)


def _fully_connected(
    layer: stages.FullyConnected, bottom: str, units: int, filler: Filler | None
) -> schema.LayerParameter:
    parameter = schema.InnerProductParameter(num_output=units)
    _fill(parameter, filler)
    return _layer(layer.name, "InnerProduct", [bottom], layer.name, inner_product_param=parameter)


def _fill(
    parameter: schema.ConvolutionParameter | schema.InnerProductParameter, filler: Filler | None
) -> None:
    if filler is not None:
        parameter.weight_filler.type = filler.type
        if filler.type == "gaussian":
            parameter.weight_filler.std = filler.std
        parameter.bias_filler.type = "constant"
        parameter.bias_filler.value = 0


def _relu(layer: stages.ReLU, bottom: str) -> schema.LayerParameter:
    relu = _layer(layer.name, "ReLU", [bottom], bottom)
    if layer.negative_slope:
        relu.relu_param.negative_slope = layer.negative_slope
    return relu


def _max_pooling(layer: stages.MaxPooling, bottom: str) -> schema.LayerParameter:
    parameter = schema.PoolingParameter(
        pool=schema.PoolingParameter.MAX, kernel_size=layer.kernel, stride=layer.stride
    )
    return _layer(layer.name, "Pooling", [bottom], layer.name, pooling_param=parameter)


def _dropout(layer: stages.Dropout, bottom: str) -> schema.LayerParameter:
    parameter = schema.DropoutParameter(dropout_ratio=layer.probability)
    return _layer(layer.name, "Dropout", [bottom], bottom, dropout_param=parameter)


def _accuracy(name: str, scores: str, top_k: int) -> schema.LayerParameter:
    layer = _layer(name, "Accuracy", [scores, "label"], name)
    layer.include.add(phase=schema.TEST)
    if top_k != 1:
        layer.accuracy_param.top_k = top_k
    return layer
