"""Training where every image has its size and its number of regions."""

import caffe
import numpy as np

caffe.set_mode_cpu()


def python(name, layer, bottoms, tops, more=""):
    blobs = [f'bottom: "{b}"' for b in bottoms] + [f'top: "{t}"' for t in tops]
    module = f'python_param {{ module: "region_layers" layer: "{layer}" {more} }}'
    return f'layer {{ name: "{name}" type: "Python" {" ".join(blobs)} {module}'


SCALE = "param_str: \"{'scale': 2}\""
NET = f"""
name: "regions"
{python("images", "Images", (), ("data", "boxes"))} }}
layer {{ name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param {{ num_output: 6 kernel_size: 3 stride: 2 weight_filler {{ type: "msra" }} }} }}
layer {{ name: "relu" type: "ReLU" bottom: "conv" top: "conv" }}
layer {{ name: "score" type: "Convolution" bottom: "conv" top: "score"
  convolution_param {{ num_output: 1 kernel_size: 1 weight_filler {{ type: "msra" }} }} }}
layer {{ name: "half" type: "Power" bottom: "score" top: "half" power_param {{ scale: 0.5 }} }}
layer {{ name: "squares" type: "EuclideanLoss" bottom: "score" bottom: "half" top: "squares"
  loss_weight: 0.1 propagate_down: true propagate_down: false }}
{python("rows", "Proposals", ("score", "boxes"), ("rows", "labels", "targets"))}
  propagate_down: false propagate_down: false }}
layer {{ name: "scaled" type: "Power" bottom: "rows" top: "scaled" propagate_down: false
  power_param {{ scale: 0.1 }} }}
layer {{ name: "class" type: "InnerProduct" bottom: "scaled" top: "class"
  inner_product_param {{ num_output: 3 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "moved" type: "InnerProduct" bottom: "scaled" top: "moved"
  inner_product_param {{ num_output: 4 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "any" type: "InnerProduct" bottom: "scaled" top: "any"
  inner_product_param {{ num_output: 1 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "class" bottom: "labels" top: "loss"
  propagate_down: true propagate_down: false loss_param {{ ignore_label: 2 normalize: true }} }}
layer {{ name: "offset" type: "EuclideanLoss" bottom: "moved" bottom: "targets" top: "offset"
  propagate_down: true propagate_down: false }}
{python("logistic", "LogisticLoss", ("any", "labels"), ("logistic",), SCALE)}
  loss_weight: 0.5 propagate_down: true propagate_down: false }}
"""
with open("net.prototxt", "w") as file:
    file.write(NET)
with open("solver.prototxt", "w") as file:
    file.write(
        'train_net: "net.prototxt" base_lr: 0.01 lr_policy: "fixed" momentum: 0.9 iter_size: 2 '
        'snapshot_prefix: "regions" random_seed: 3'
    )
solver = caffe.SGDSolver("solver.prototxt")
solver.net.layers[0].set_sizes([(14, 17), (20, 15), (13, 13)])
for _ in range(4):
    solver.step(1)
    blobs = solver.net.blobs
    print([(name, blobs[name].data.shape) for name in ("data", "boxes", "score", "rows", "class")])
    print([float(blobs[name].data) for name in ("squares", "loss", "offset", "logistic")])
    print(blobs["any"].diff.ravel().tolist()[:5])
for name, params in solver.net.params.items():
    print(name, [p.data.ravel().tolist()[:4] for p in params])
print(np.abs(solver.net.blobs["data"].diff).sum())
