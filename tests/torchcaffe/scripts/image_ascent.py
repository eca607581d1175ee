"""Images made by gradients: the input changes its size, diffs are added to between two layers."""

import caffe
import numpy as np
from google.protobuf import text_format

caffe.set_mode_cpu()
caffe.set_random_seed(6)
NET = """
name: "seen" input: "data" input_shape { dim: 3 dim: 3 dim: 12 dim: 12 }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  convolution_param { num_output: 4 kernel_size: 3 pad: 1 weight_filler { type: "msra" } } }
layer { name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }
layer { name: "pool1" type: "Pooling" bottom: "conv1" top: "pool1"
  pooling_param { pool: AVE kernel_size: 2 stride: 2 } }
layer { name: "left" type: "Convolution" bottom: "pool1" top: "left"
  convolution_param { num_output: 3 kernel_size: 3 pad: 1 weight_filler { type: "msra" } } }
layer { name: "right" type: "Convolution" bottom: "pool1" top: "right"
  convolution_param { num_output: 3 kernel_size: 1 weight_filler { type: "msra" } } }
layer { name: "both" type: "Concat" bottom: "left" bottom: "right" top: "both" }
layer { name: "fc" type: "Convolution" bottom: "both" top: "fc"
  convolution_param { num_output: 2 kernel_size: 3 weight_filler { type: "msra" } } }
"""
model = caffe.io.caffe_pb2.NetParameter()
text_format.Merge(NET, model)
model.force_backward = True
with open("seen.prototxt", "w") as file:
    file.write(str(model))
caffe.Net("seen.prototxt", caffe.TEST).save("seen.caffemodel")
net = caffe.Classifier(
    "seen.prototxt", "seen.caffemodel", mean=np.float32([104, 116, 122]), channel_swap=(2, 1, 0)
)
draw = np.random.RandomState(2)


def ascend(end, objective, step):
    src, dst = net.blobs["data"], net.blobs[end]
    src.data[0] = np.roll(src.data[0], 2, -1)
    net.forward(end=end)
    objective(dst)
    net.backward(start=end)
    gradient = src.diff[0]
    src.data[:] += step / np.abs(gradient).mean() * gradient
    src.data[0] = np.roll(src.data[0], -2, -1)
    mean = net.transformer.mean["data"]
    src.data[:] = np.clip(src.data, -mean, 255 - mean)


def louder(dst):
    dst.diff[:] = dst.data


def guided(dst):
    seen = dst.data[0].reshape(dst.data.shape[1], -1)
    guide = np.outer(np.arange(len(seen)), [1, -1]).astype(np.float32)
    dst.diff[0].reshape(len(seen), -1)[:] = guide[:, seen.T.dot(guide).argmax(1)]


detail = np.zeros((3, 8, 9), np.float32)
for size in ((8, 9), (12, 14)):
    net.blobs["data"].reshape(1, 3, *size)
    base = draw.uniform(-90, 90, (3, *size))
    net.blobs["data"].data[0] = base + np.resize(detail, base.shape)
    for end, objective in (("both", louder), ("pool1", louder), ("left", guided)):
        ascend(end, objective, 1.5)
        print(size, end, net.blobs["data"].data[0, :, 2, 3].tolist(), net.blobs[end].data.shape)
    detail = net.blobs["data"].data[0] - base

# from the top down, add each layer's own gradient to the diff from above, as for a style
net.blobs["data"].data[...] = draw.uniform(-1, 1, net.blobs["data"].data.shape)
net.forward()
layers = ["conv1", "both", "fc"]
net.blobs[layers[-1]].diff[:] = 0
for i, layer in enumerate(reversed(layers)):
    below = None if i == len(layers) - 1 else layers[-i - 2]
    grad = net.blobs[layer].diff[0]
    grad += 0.5 * net.blobs[layer].data[0] * (net.blobs[layer].data[0] > 0)
    net.backward(start=layer, end=below)
    print(layer, float(np.abs(net.blobs[below or "data"].diff[0]).sum()))
print(net.blobs["data"].diff[0, :, 4, 5].tolist())

one_hot = np.zeros_like(net.blobs["fc"].data)
one_hot.flat[3] = 1
acts = net.forward(data=net.blobs["data"].data * 2, end="fc")
net.blobs["fc"].diff[:] = one_hot
diffs = net.backward(start="fc", diffs=["data"])
print(acts["fc"].ravel().tolist(), float(np.abs(diffs["data"][0]).sum()))
net.blobs["fc"].diff.fill(0.0)
print(float(np.abs(net.backward(start="fc")["data"]).sum()))
