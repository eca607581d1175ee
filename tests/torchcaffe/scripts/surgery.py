"""Net surgery: parameters written by hand, reshape, partial passes, names, batches."""

import caffe
import numpy as np

caffe.set_mode_cpu()
caffe.set_random_seed(4)
NET = """
name: "surgery" force_backward: true
input: "data" input_shape { dim: 2 dim: 3 dim: 8 dim: 8 }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "fc" type: "InnerProduct" bottom: "conv" top: "fc"
  inner_product_param { num_output: 5 weight_filler { type: "xavier" } } }
layer { name: "prob" type: "Softmax" bottom: "fc" top: "prob" }
"""
FULLY_CONVOLUTIONAL = NET.replace(
    'name: "fc" type: "InnerProduct"', 'name: "fc-conv" type: "Convolution"'
).replace(
    'inner_product_param { num_output: 5 weight_filler { type: "xavier" } }',
    "convolution_param { num_output: 5 kernel_size: 6 }",
)
for name, text in (("net", NET), ("full", FULLY_CONVOLUTIONAL)):
    with open(name + ".prototxt", "w") as file:
        file.write(text)

net = caffe.Net("net.prototxt", caffe.TRAIN)
full = caffe.Net("full.prototxt", phase=caffe.TEST)
for name, blobs in net.params.items():
    print(name, [blob.data.shape for blob in blobs], [blob.count for blob in blobs])
for part in range(2):
    full.params["fc-conv"][part].data.flat = net.params["fc"][part].data.flat
    full.params["conv"][part].data[...] = net.params["conv"][part].data
full.blobs["data"].reshape(1, 3, 10, 9)
full.reshape()
print([(name, blob.data.shape) for name, blob in full.blobs.items()])
draw = np.random.RandomState(1)
image = draw.randn(1, 3, 10, 9)
print(full.forward(data=image)["prob"].tolist())
print(full.blobs["data"].num, full.blobs["data"].channels, full.blobs["data"].height)
print(full.blobs["data"].width, list(full.blobs["data"].shape))

print([layer.type for layer in net.layers], [len(layer.blobs) for layer in net.layers])
print(list(net.layer_dict), list(net._layer_names), list(net._blob_names))
print(list(net.top_names.items()), list(net.bottom_names.items()))
print(list(net.blob_loss_weights.items()))
print(list(net._inputs), list(net._outputs), list(net._top_ids(2)), list(net._bottom_ids(2)))
print(list(net.inputs), list(net._input_list), list(net.outputs), list(net._output_list))

net.params["conv"][1].data[1] = 3
net.params["fc"][0].data[...] *= 2
given = {"data": draw.randn(2, 3, 8, 8)}
out = net.forward(blobs=["conv"], **given)
print(sorted(out), out["conv"].sum(), out["prob"].tolist())
print(sorted(net.forward(start="relu", end="fc")), sorted(net.forward(end="conv")))
net.forward()
net.blobs["prob"].diff[...] = 0
net.blobs["prob"].diff[:, 2] = 1
grads = net.backward(diffs=["fc"])
print(sorted(grads), grads["data"].sum(), grads["fc"].tolist())
print(net.params["fc"][0].diff.sum(), np.abs(net.params["conv"][0].diff).sum())
print(sorted(net.backward(start="fc", end="fc", diffs=["prob"])))
net.clear_param_diffs()
print(net.params["fc"][0].diff.any(), net.params["conv"][0].diff.any())
diffs = draw.randn(2, 5).astype(np.float32)
print(net.backward(prob=diffs)["data"][0, 0].tolist())

many = draw.randn(5, 3, 8, 8)
outs = net.forward_all(blobs=["fc"], data=many)
print(sorted(outs), outs["fc"].shape, outs["prob"].tolist())
outs, grads = net.forward_backward_all(
    blobs=["fc"], diffs=["conv"], data=many, prob=draw.randn(5, 5)
)
print({k: v.shape for k, v in sorted(outs.items())}, grads["data"].sum(axis=(1, 2, 3)).tolist())

net.save("surgery.caffemodel")
other = caffe.Net("net.prototxt", "surgery.caffemodel", caffe.TEST)
print(other.forward(**given)["prob"].tolist())
third = caffe.Net("net.prototxt", caffe.TEST)
third.share_with(net)
net.params["fc"][1].data[...] = [1, 2, 3, 4, 5]
print(third.forward(**given)["prob"].tolist())
third.copy_from("surgery.caffemodel")
print(net.params["fc"][1].data.tolist())

seen = []
net.before_forward(lambda layer: seen.append(("before", layer)))
net.after_forward(lambda layer: seen.append(("after", layer)))
net.before_backward(lambda layer: seen.append(("before back", layer)))
net.after_backward(lambda layer: seen.append(("after back", layer)))
net.forward(start="fc")
net.backward(end="fc")
print(seen)


def raised(call):
    try:
        call()
    except Exception as error:
        return [kind.__name__ for kind in (KeyError, ValueError) if isinstance(error, kind)]
    return "nothing"


print(raised(lambda: net.blobs["no such"]), raised(lambda: net.params["relu"]))
print(raised(lambda: net.forward(start="no such")), raised(lambda: net.forward(end="no such")))
print(raised(lambda: net.forward(blobs=["no such"])))
print(raised(lambda: net.forward(nosuch=given["data"])) != "nothing")
print(raised(lambda: net.forward(data=many)) != "nothing")
try:
    caffe.Net("no-such.prototxt", caffe.TEST)
except RuntimeError:
    print("RuntimeError for a file that is not there")
