# ruff: noqa: C408 (dict() is how users of NetSpec write it)
"""LeNet written with NetSpec, as in Caffe's notebook, loaded and run."""

import caffe
from caffe import layers as L
from caffe import params as P


def lenet(batch_size):
    n = caffe.NetSpec()
    n.data, n.label = L.DummyData(
        shape=[dict(dim=[batch_size, 1, 28, 28]), dict(dim=[batch_size])],
        data_filler=[dict(type="gaussian", std=1.0), dict(type="constant", value=2)],
        ntop=2,
    )
    n.conv1 = L.Convolution(n.data, kernel_size=5, num_output=20, weight_filler=dict(type="xavier"))
    n.pool1 = L.Pooling(n.conv1, kernel_size=2, stride=2, pool=P.Pooling.MAX)
    n.conv2 = L.Convolution(
        n.pool1,
        kernel_size=5,
        num_output=50,
        weight_filler=dict(type="xavier"),
        param=[dict(lr_mult=1, decay_mult=1), dict(lr_mult=2)],
    )
    n.pool2 = L.Pooling(n.conv2, kernel_size=2, stride=2, pool=P.Pooling.AVE)
    n.fc1 = L.InnerProduct(n.pool2, num_output=50, weight_filler=dict(type="xavier"))
    n.relu1 = L.ReLU(n.fc1, in_place=True, relu_param=dict(negative_slope=0.25))
    n.drop = L.Dropout(n.relu1, dropout_ratio=0.5, in_place=True, include=dict(phase=caffe.TRAIN))
    n["score"] = L.InnerProduct(n.relu1, num_output=10, weight_filler=dict(type="xavier"))
    n.loss = L.SoftmaxWithLoss(n.score, n.label, loss_weight=0.5)
    n.silence = L.Silence(n.score, ntop=0)
    return n.to_proto()


def unnamed():
    data = L.Input(shape=dict(dim=[1, 3, 4, 4]))
    conv = L.Convolution(data, num_output=2, kernel_size=1, weight_filler={}, transform_param={})
    pool = L.Pooling(conv, global_pooling=True, pool=P.Pooling.AVE)
    left, right = L.Slice(pool, ntop=2, slice_point=1)
    return caffe.to_proto(left, L.Eltwise(left, right, operation=P.Eltwise.PROD))


print(lenet(4))
print(unnamed())
with open("lenet.prototxt", "w") as file:
    file.write(str(lenet(4)))
caffe.set_mode_cpu()
caffe.set_random_seed(2)
net = caffe.Net("lenet.prototxt", caffe.TRAIN)
print([(name, blob.data.shape) for name, blob in net.blobs.items()])
print(net.forward())
net.backward()
print([float(abs(blobs[0].diff).sum()) for blobs in net.params.values()])

proto = caffe.proto.caffe_pb2
read = proto.NetParameter()
read.ParseFromString(lenet(2).SerializeToString())
print(len(read.layer), read.layer[3].type, proto.TRAIN, proto.TEST, proto.Phase.Name(1))
print(proto.PoolingParameter.MAX, proto.PoolingParameter.PoolMethod.Name(1), P.Loss.VALID)
