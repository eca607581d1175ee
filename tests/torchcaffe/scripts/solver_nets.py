"""A solver's nets in every form: files, messages in the solver, states; lr_mult, scores, order."""

import caffe
import numpy as np

caffe.set_mode_cpu()
NET = """
name: "forms"
layer { name: "in" type: "DummyData" top: "data" top: "label"
  dummy_data_param { data_filler { type: "gaussian" } data_filler { type: "constant" value: 2 }
    shape { dim: 4 dim: 5 } shape { dim: 4 } } }
layer { name: "fast" type: "InnerProduct" bottom: "data" top: "scores"
  include { stage: "fast" } inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "slow" type: "InnerProduct" bottom: "data" top: "scores"
  exclude { stage: "fast" } inner_product_param { num_output: 3 weight_filler { type: "msra" } } }
layer { name: "deep" type: "Power" bottom: "scores" top: "deep" include { min_level: 2 } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "scores" bottom: "label" top: "loss" }
layer { name: "accuracy" type: "Accuracy" bottom: "scores" bottom: "label" top: "accuracy"
  include { phase: TEST } }
"""
REST = """
base_lr: 0.1 momentum: 0.9 lr_policy: "step" gamma: 0.5 stepsize: 3 max_iter: 8 random_seed: 5
snapshot_prefix: "forms" test_interval: 100
"""
INLINE = "{ %s }"
FORMS = {
    "net": 'net: "net.prototxt" test_iter: 1',
    "net, two tests": 'net: "net.prototxt" test_iter: 1 test_iter: 2 '
    'test_state { stage: "fast" } test_state { level: 2 }',
    "train_net and test_net": 'train_net: "net.prototxt" test_net: "net.prototxt" test_iter: 1',
    "no test": 'train_net: "net.prototxt"',
    "net_param": "net_param " + INLINE % NET + " test_iter: 1",
    "train_net_param": "train_net_param "
    + INLINE % NET
    + " test_net_param "
    + INLINE % NET
    + ' test_net: "net.prototxt" test_iter: 1 test_iter: 1',
    "train_state": 'net: "net.prototxt" test_iter: 1 train_state { stage: "fast" level: 3 } '
    'test_state { stage: "fast" }',
}
with open("net.prototxt", "w") as file:
    file.write(NET)
for form, text in sorted(FORMS.items()):
    with open("solver.prototxt", "w") as file:
        file.write(text + REST)
    solver = caffe.get_solver("solver.prototxt")
    print(form, len(solver.test_nets))
    for net in [solver.net] + list(solver.test_nets):
        print(list(net._layer_names), list(net.blobs), list(net.outputs))
    solver.step(5)
    print(solver.iter, float(solver.net.blobs["loss"].data), solver.lr)
    for blobs in solver.net.params.values():
        print([blob.data.tolist() for blob in blobs])
    for net in solver.test_nets:
        net.share_with(solver.net)
        print(float(net.forward()["accuracy"]), np.abs(net.blobs["scores"].data).sum())
