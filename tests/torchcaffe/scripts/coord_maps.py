"""Coordinate maps between the blobs of a fully convolutional net, and the crops that they give."""

import caffe
from caffe import layers as L
from caffe import params as P
from caffe.coord_map import (
    PASS_THROUGH_LAYERS,
    AxisMismatchException,
    UndefinedMapException,
    compose,
    conv_params,
    coord_map,
    coord_map_from_to,
    crop,
    crop_params,
    inverse,
)


def flat(values):
    return [values] if not hasattr(values, "__len__") else [float(value) for value in values]


def show(name, mapping):
    axis, scale, shift = mapping
    print(name, axis, flat(scale), flat(shift))


n = caffe.NetSpec()
n.data = L.Input(shape={"dim": [1, 3, 60, 60]})
n.conv1 = L.Convolution(n.data, num_output=4, kernel_size=3, pad=30)
n.relu1 = L.ReLU(n.conv1, in_place=True)
n.pool1 = L.Pooling(n.relu1, pool=P.Pooling.MAX, kernel_size=2, stride=2)
n.conv2 = L.Convolution(n.pool1, num_output=4, kernel_size=[3, 3], dilation=2)
n.drop = L.Dropout(n.conv2)
n.up = L.Deconvolution(n.drop, convolution_param={"num_output": 2, "kernel_size": 4, "stride": 2})
n.score = crop(n.up, n.data)
n.fine = L.Crop(n.up, n.data, axis=2, offset=[3, 4])
n.sum = L.Eltwise(n.score, n.fine)
n.fc = L.InnerProduct(n.data, num_output=2)

print(sorted(PASS_THROUGH_LAYERS))
for name in ("conv1", "relu1", "pool1", "conv2", "drop", "up", "fine"):
    show(name, coord_map(n[name].fn))
show("up to data", coord_map_from_to(n.up, n.data))
show("data to up", coord_map_from_to(n.data, n.up))
show("pool1 to drop", coord_map_from_to(n.pool1, n.drop))
show("fine to data", coord_map_from_to(n.fine, n.data))
show("inverse", inverse((1, 2.0, 3.0)))
show("composed", compose((None, 1, 0), (2, 0.5, 1.5)))
print([flat(values) for values in conv_params(n.conv2.fn)], crop_params(n.fine.fn)[0])
print(n.to_proto().layer[6].crop_param)

for what in (
    lambda: coord_map(n.fc.fn),
    lambda: compose((1, 1, 0), (2, 1, 0)),
    lambda: coord_map_from_to(n.fc, n.data),
    lambda: crop(n.pool1, n.data),
    lambda: conv_params(L.Convolution(n.data, kernel_h=3, kernel_w=3).fn),
):
    try:
        print(what())
    except (UndefinedMapException, AxisMismatchException, RuntimeError) as error:
        print(type(error).__name__)
    except (AssertionError, KeyError) as error:
        print("refused", type(error).__name__)
