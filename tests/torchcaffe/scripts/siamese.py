"""A siamese net as in Caffe's example: two branches of one set of weights, a contrastive loss."""

import caffe
import numpy as np
from caffe import layers as L
from caffe import params as P

caffe.set_mode_cpu()


def branch(data, end):
    shared = [
        [{"name": name + "_w", "lr_mult": 1}, {"name": name + "_b", "lr_mult": 2}]
        for name in ("conv", "ip", "feat")
    ]
    filler = {"type": "xavier"}
    conv = L.Convolution(
        data, num_output=4, kernel_size=3, weight_filler=filler, param=shared[0], name="conv" + end
    )
    pool = L.Pooling(conv, kernel_size=2, stride=2, pool=P.Pooling.MAX)
    ip = L.InnerProduct(pool, num_output=10, weight_filler=filler, param=shared[1], name="ip" + end)
    relu = L.ReLU(ip, in_place=True)
    return L.InnerProduct(
        relu, num_output=2, weight_filler=filler, param=shared[2], name="feat" + end
    )


n = caffe.NetSpec()
n.pair_data = L.Input(shape={"dim": [8, 2, 10, 10]})
n.sim = L.Input(shape={"dim": [8]})
n.data, n.data_p = L.Slice(n.pair_data, ntop=2, slice_dim=1, slice_point=1)
n.feat = branch(n.data, "")
n.feat_p = branch(n.data_p, "_p")
n.loss = L.ContrastiveLoss(n.feat, n.feat_p, n.sim, margin=1)
with open("siamese.prototxt", "w") as file:
    file.write(str(n.to_proto()))
with open("solver.prototxt", "w") as file:
    file.write(
        'net: "siamese.prototxt" base_lr: 0.02 lr_policy: "inv" gamma: 0.0001 power: 0.75 '
        "momentum: 0.9 weight_decay: 0.0005 max_iter: 30 display: 0 random_seed: 3 "
        'snapshot_prefix: "siamese" snapshot_after_train: false'
    )

draw = np.random.RandomState(7)
patterns = draw.rand(3, 10, 10)


def pairs():
    kinds = draw.randint(0, 3, (8, 2))
    images = patterns[kinds] + 0.1 * draw.rand(8, 2, 10, 10)
    return images, kinds[:, 0] == kinds[:, 1]


solver = caffe.get_solver("solver.prototxt")
print(solver.net.params["conv"][0].data is solver.net.params["conv_p"][0].data)
for step in range(30):
    solver.net.blobs["pair_data"].data[...], solver.net.blobs["sim"].data[...] = pairs()
    solver.step(1)
    if step % 5 == 4:
        print(step, float(solver.net.blobs["loss"].data))
net = solver.net
for one, other in (("conv", "conv_p"), ("ip", "ip_p"), ("feat", "feat_p")):
    for mine, theirs in zip(net.params[one], net.params[other]):
        print(one, bool((mine.data == theirs.data).all()), mine.data.ravel()[:4].tolist())
net.save("siamese.caffemodel")
again = caffe.Net("siamese.prototxt", caffe.TEST, weights="siamese.caffemodel")
again.blobs["pair_data"].data[...] = net.blobs["pair_data"].data
again.forward()
print(again.blobs["feat"].data.tolist())
print(again.blobs["feat_p"].data.tolist())
