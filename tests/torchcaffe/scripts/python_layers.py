"""A net with layers written in Python: data, a layer with a parameter, and a loss; trained."""

import caffe

caffe.set_mode_cpu()
NET = """
name: "python"
layer { name: "in" type: "Python" top: "data" top: "target"
  python_param { module: "own_layers" layer: "Numbers" param_str: "{'batch': 6, 'seed': 5}" } }
layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc"
  inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }
layer { name: "gain" type: "Python" bottom: "fc" top: "gain"
  python_param { module: "own_layers" layer: "Gain" } }
layer { name: "loss" type: "Python" bottom: "gain" bottom: "target" top: "loss" loss_weight: 0.5
  python_param { module: "own_layers" layer: "Euclidean" } }
"""
SOLVER = """
net: "net.prototxt" base_lr: 0.05 momentum: 0.9 lr_policy: "fixed" random_seed: 9
snapshot_prefix: "own" max_iter: 25 snapshot_after_train: false display: 0
"""
for name, text in (("net.prototxt", NET), ("solver.prototxt", SOLVER)):
    with open(name, "w") as file:
        file.write(text)
print("Python" in caffe.layer_type_list())
solver = caffe.SGDSolver("solver.prototxt")
solver.net.layers[0].shift(0.25)  # the user's own object, with its own methods
print([layer.type for layer in solver.net.layers], solver.net.layers[2].blobs[0].data.tolist())
for _ in range(25):
    solver.step(1)
    print(solver.net.blobs["loss"].data.tolist(), solver.net.params["gain"][0].data.tolist())
print(solver.net.blobs["gain"].diff.tolist(), solver.net.params["fc"][0].data.tolist())
solver.net.save("own.caffemodel")
net = caffe.Net("net.prototxt", caffe.TEST, weights="own.caffemodel")
net.layers[0].shift(0.25)
print(net.forward()["loss"].tolist(), net.layers[0].phase, net.params["gain"][0].data.tolist())
