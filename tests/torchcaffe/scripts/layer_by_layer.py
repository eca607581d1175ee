"""A script that walks a net: initialisation layer by layer, statistics, blobs by their numbers."""

import caffe
import numpy as np
from caffe import layers as L
from caffe import params as P

caffe.set_mode_cpu()
caffe.set_random_seed(11)
n = caffe.NetSpec()
n.data = L.Input(shape={"dim": [4, 3, 9, 9]})
n.c1 = L.Convolution(
    n.data, num_output=6, kernel_size=3, pad=1, group=3, weight_filler={"type": "msra"}
)
n.r1 = L.ReLU(n.c1, in_place=True, negative_slope=0.1)
n.p1 = L.Pooling(n.r1, pool=P.Pooling.AVE, kernel_size=3, stride=2)
n.n1 = L.LRN(n.p1, local_size=3, alpha=0.01, beta=0.75)
n.c2a = L.Convolution(n.n1, num_output=4, kernel_size=1, weight_filler={"type": "xavier"})
n.c2b = L.Convolution(
    n.n1, num_output=4, kernel_h=3, kernel_w=1, pad_h=1, pad_w=0, weight_filler={"type": "xavier"}
)
n.cat = L.Concat(n.c2a, n.c2b)
n.sum = L.Eltwise(n.c2a, n.c2b, operation=P.Eltwise.SUM, coeff=[1, -0.5])
n.fc = L.InnerProduct(
    n.cat, num_output=5, weight_filler={"type": "uniform", "min": -0.1, "max": 0.1}
)
n.prob = L.Softmax(n.fc)
message = n.to_proto()
message.name, message.force_backward = "walk", True
with open("walk.prototxt", "w") as file:
    file.write(str(message))
net = caffe.Net("walk.prototxt", caffe.TRAIN)
draw = np.random.RandomState(1)

for i, (name, layer) in enumerate(zip(net._layer_names, net.layers)):
    bottoms = [net._blob_names[b] for b in net._bottom_ids(i)]
    tops = [net._blob_names[b] for b in net._top_ids(i)]
    print(i, name, layer.type, bottoms, tops, [tuple(b.shape) for b in layer.blobs])
net.blobs["data"].data[...] = draw.randn(4, 3, 9, 9)
for i, name in enumerate(net._layer_names):
    net._forward(i, i)
    top = net.blobs[net._blob_names[net._top_ids(i)[0]]].data
    if net.layers[i].type in ("Convolution", "InnerProduct"):  # unit variance, as LSUV does
        net.layers[i].blobs[0].data[...] /= top.std()
        net._forward(i, i)
    print(name, float(top.mean()), float(top.std()))
for layer in net.layers:
    for blob in layer.blobs:
        blob.diff[...] = 0
net.blobs["fc"].diff[...] = draw.randn(4, 5)
net.blobs["sum"].diff[...] = 0
net._backward(list(net._layer_names).index("fc"), 0)
for name, blobs in net.params.items():
    print(name, [float(np.abs(b.diff).mean() / (np.abs(b.data).mean() + 1)) for b in blobs])
print(net.blobs["data"].diff[0, 0].tolist())

net.params["fc"][1].data[:] = np.arange(5)
print(net.forward()["prob"][0].argsort()[-1:-4:-1].tolist())
kept = net.blobs["fc"].data
net.blobs["data"].data[...] *= -1
net.forward()
print(bool((kept == net.blobs["fc"].data).all()))
np.savez("features.npz", **{name: blob.data for name, blob in net.blobs.items()})
print(sorted(np.load("features.npz").files))
many = net.forward_all(data=draw.randn(5, 3, 9, 9).astype(np.float32))
print(sorted((name, rows.shape) for name, rows in many.items()), many["prob"].tolist())
net.blobs["data"].reshape(*(2, 3, 9, 9))
print(net.forward()["prob"].tolist())


def raised(call):
    try:
        call()
    except Exception as error:
        return [kind.__name__ for kind in (KeyError, ValueError) if isinstance(error, kind)]
    return "nothing"


for call in (
    lambda: net.forward(data=np.zeros((3, 3, 9, 9))),
    lambda: net.forward(data=np.zeros((2, 9, 9, 3))),
    lambda: net.forward_all(dat=np.zeros((2, 3, 9, 9))),
    lambda: net.forward_all(data=np.zeros((2, 3, 9, 9)), more=np.zeros(2)),
    lambda: net.forward_all(),
    lambda: net.backward(diffs=["none"]),
    lambda: net.backward(start="none"),
    lambda: caffe.io.resize_image(np.eye(4), (2, 2)),
    lambda: n.none,
    lambda: n["none"],
):
    print(raised(call))
