"""The loop of Caffe's examples: step by step, testing by hand, looking at what happens."""

import caffe
import numpy as np

caffe.set_mode_cpu()
NET = """
name: "hand"
layer { name: "in" type: "Input" top: "data" top: "label"
  input_param { shape { dim: 10 dim: 8 } shape { dim: 10 } } }
layer { name: "fc1" type: "InnerProduct" bottom: "data" top: "fc1"
  inner_product_param { num_output: 12 weight_filler { type: "xavier" } } }
layer { name: "tanh" type: "ReLU" bottom: "fc1" top: "fc1" relu_param { negative_slope: 0.1 } }
layer { name: "fc2" type: "InnerProduct" bottom: "fc1" top: "fc2"
  inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc2" bottom: "label" top: "loss" }
layer { name: "accuracy" type: "Accuracy" bottom: "fc2" bottom: "label" top: "accuracy"
  include { phase: TEST } }
"""
SOLVER = """
net: "hand.prototxt" test_iter: 1 test_interval: 1000 base_lr: 0.1 momentum: 0.9
weight_decay: 0.001 lr_policy: "step" gamma: 0.5 stepsize: 20 max_iter: 60 random_seed: 7
snapshot_prefix: "hand"
"""
for name, text in (("hand.prototxt", NET), ("solver.prototxt", SOLVER)):
    with open(name, "w") as file:
        file.write(text)

solver = caffe.get_solver("solver.prototxt")
print(type(solver).__name__, solver.iter, len(solver.test_nets), solver.param.max_iter)
print(solver.param.base_lr, solver.param.display, list(solver.net.params))
draw = np.random.RandomState(3)
centres = draw.randn(3, 8)


def batch(net):
    labels = draw.randint(0, 3, 10)
    net.blobs["label"].data[...] = labels
    net.blobs["data"].data[...] = centres[labels] + draw.randn(10, 8)


started = []
solver.add_callback(lambda: started.append(solver.iter), lambda: started.append("ready"))
losses = []
for it in range(60):
    batch(solver.net)
    solver.step(1)
    losses.append(float(solver.net.blobs["loss"].data))
    if it % 20 == 0:
        solver.test_nets[0].share_with(solver.net)
        batch(solver.test_nets[0])
        solver.test_nets[0].forward(start="fc1")
        scores = solver.test_nets[0].blobs["fc2"].data
        right = (scores.argmax(1) == solver.test_nets[0].blobs["label"].data).mean()
        print(it, solver.lr, right, float(solver.test_nets[0].blobs["accuracy"].data))
        # after an update the diff is the step taken, not the gradient
        print(solver.net.params["fc2"][0].diff.tolist())
print(losses)
print(started[:6], len(started))
print(solver.net.params["fc1"][0].data.tolist())

net = solver.net
solver.param.base_lr = 0.5
batch(net)
net.clear_param_diffs()
net.forward()
net.backward()
before = net.params["fc2"][1].data.copy()
solver.apply_update()
print(solver.iter, solver.lr, (net.params["fc2"][1].data - before).tolist())
solver.snapshot()

again = caffe.SGDSolver("solver.prototxt")
again.restore("hand_iter_61.solverstate")
print(again.iter, again.net.params["fc2"][1].data.tolist())
batch(again.net)
again.step(3)
print(again.net.params["fc2"][1].data.tolist())
other = caffe.Net("hand.prototxt", caffe.TEST)
again.share_weights(other)
print(other.params["fc2"][1].data.tolist())
