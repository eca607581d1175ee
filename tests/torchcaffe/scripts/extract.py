"""Features, messages and views: what scripts around trained nets do with pycaffe's objects."""

import caffe
import numpy as np
from caffe.proto import caffe_pb2
from google.protobuf import text_format

caffe.set_mode_cpu()
caffe.set_random_seed(9)
NET = """
name: "features"
input: "data" input_dim: 2 input_dim: 3 input_dim: 6 input_dim: 5
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool"
  pooling_param { pool: AVE global_pooling: true } }
layer { name: "fc8" type: "InnerProduct" bottom: "pool" top: "fc8"
  inner_product_param { num_output: 3 weight_filler { type: "gaussian" std: 0.1 } } }
layer { name: "prob" type: "Softmax" bottom: "fc8" top: "prob" }
"""
with open("net.prototxt", "w") as file:
    file.write(NET)
net = caffe.Net("net.prototxt", caffe.TEST)

# views stay aliased; growing a blob allocates new memory, and shrinking shows the first part
first = net.blobs["data"].data
first[...] = np.arange(180).reshape(2, 3, 6, 5) / 100.0
print(first is net.blobs["data"].data, first.base is None, first.flags.writeable)
net.forward()
again = net.blobs["conv"].data
net.blobs["data"].data[...] += 1
net.forward()
print(again.sum(), again.sum() == net.blobs["conv"].data.sum())
net.blobs["data"].reshape(1, 3, 6, 5)
print(net.blobs["data"].data.shape, float(net.blobs["data"].data.sum()))
first[0] = 7
print(float(net.blobs["data"].data.sum()))
net.reshape()
print(net.forward()["prob"].tolist(), net.blobs["conv"].data.shape)
net.blobs["data"].reshape(3, 3, 6, 5)
net.blobs["data"].data[...] = 1
print(net.forward()["prob"].tolist(), first.shape)
net.blobs["fc8"].diff[...] = np.arange(9).reshape(3, 3)
seen = net.blobs["fc8"].diff
seen *= 2
print(net.blobs["fc8"].diff.tolist(), net.blobs["fc8"].diff.dtype)

# weights to plain arrays and back, through a message
net.save("features.caffemodel")
message = caffe_pb2.NetParameter()
with open("features.caffemodel", "rb") as file:
    print(message.ParseFromString(file.read()) > 0)
for layer in message.layer:
    print(layer.name, layer.type, [list(blob.shape.dim) for blob in layer.blobs], layer.phase)
    for blob in layer.blobs:
        values = np.array(blob.data).reshape(list(blob.shape.dim))
        print(np.array_equal(values, caffe.io.blobproto_to_array(blob)), float(values.sum()))
for layer in message.layer:
    if layer.name == "fc8":
        layer.blobs[1].data[:] = [1.0, 2.0, 3.0]
with open("changed.caffemodel", "wb") as file:
    file.write(message.SerializeToString())
net.copy_from("changed.caffemodel")
print(net.params["fc8"][1].data.tolist())

# prototxt through protobuf's own text format
parsed = caffe_pb2.NetParameter()
with open("net.prototxt") as file:
    text_format.Merge(file.read(), parsed)
print(parsed.name, list(parsed.input), list(parsed.input_dim), len(parsed.layer))
print(parsed.layer[1].pooling_param.pool == caffe_pb2.PoolingParameter.AVE)
print(parsed.layer[0].convolution_param.kernel_size[0], parsed.layer[0].HasField("phase"))
parsed.layer[0].convolution_param.num_output = 2
del parsed.layer[3]
parsed.layer.add(name="silence", type="Silence").bottom.append("fc8")
with open("changed.prototxt", "w") as file:
    file.write(str(parsed))
changed = caffe.Net("changed.prototxt", caffe.TEST)
print(list(changed.blobs), changed.params["conv"][0].data.shape, list(changed.outputs))
solver = caffe_pb2.SolverParameter()
text_format.Merge('net: "net.prototxt" base_lr: 0.5 stepvalue: 3 stepvalue: 5', solver)
print(solver.base_lr, list(solver.stepvalue), solver.type, solver.HasField("gamma"))
datum = caffe_pb2.Datum()
datum.channels, datum.height, datum.width, datum.label = 1, 1, 2, 4
datum.data = b"\x01\x02"
print(caffe_pb2.Datum.FromString(datum.SerializeToString()).label, datum.ByteSize())
mean = caffe_pb2.BlobProto()
mean.data.extend([1, 2, 3])
mean.num, mean.channels, mean.height, mean.width = 1, 3, 1, 1
print(caffe.io.blobproto_to_array(mean).tolist())
print(caffe_pb2.TRAIN, caffe_pb2.TEST, caffe_pb2.SolverParameter.SnapshotFormat.Value("HDF5"))
print(sorted(set(caffe.layer_type_list()) & {"ReLU", "Data", "Python", "LRN", "Scale"}))
