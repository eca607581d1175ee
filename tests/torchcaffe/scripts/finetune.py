"""The training loop of a notebook: fine-tuning, scores kept by hand, a snapshot to resume from."""

import caffe
import numpy as np

caffe.set_mode_cpu()
caffe.set_random_seed(3)
NET = """
name: "small"
layer { name: "data" type: "MemoryData" top: "data" top: "label"
  memory_data_param { batch_size: 4 channels: 1 height: 6 width: 6 } }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  param { lr_mult: 1 } param { lr_mult: 2 }
  convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }
layer { name: "score" type: "InnerProduct" bottom: "conv1" top: "score"
  inner_product_param { num_output: 3 weight_filler { type: "gaussian" std: 0.1 } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "score" bottom: "label" top: "loss" }
layer { name: "acc" type: "Accuracy" bottom: "score" bottom: "label" top: "acc"
  include { phase: TEST } }
"""
SOLVER = """
net: "net.prototxt" base_lr: 0.05 lr_policy: "step" gamma: 0.5 stepsize: 7 momentum: 0.9
weight_decay: 0.001 max_iter: 100 test_iter: 2 test_interval: 1000 test_initialization: false
snapshot_prefix: "small" random_seed: 5
"""
for name, text in (
    ("net", NET),
    ("new_head", NET.replace('"score" type', '"new_score" type')),
    ("solver", SOLVER),
):
    with open(name + ".prototxt", "w") as file:
        file.write(text)

draw = np.random.RandomState(0)
images = draw.randn(12, 1, 6, 6).astype(np.float32)
labels = draw.randint(0, 3, 12).astype(np.float32)


def feed(solver):
    solver.net.set_input_arrays(images, labels)
    solver.test_nets[0].set_input_arrays(images[:8], labels[:8])


solver = caffe.SGDSolver("solver.prototxt")
feed(solver)
train_loss = np.zeros(10)
test_acc = np.zeros(4)
output = np.zeros((10, 4, 3))
for it in range(10):
    solver.step(1)
    train_loss[it] = solver.net.blobs["loss"].data
    solver.test_nets[0].forward(start="conv1")
    output[it] = solver.test_nets[0].blobs["score"].data[:8]
    if it % 3 == 0:
        correct = 0
        for _ in range(2):
            solver.test_nets[0].forward()
            found = solver.test_nets[0].blobs["score"].data.argmax(1)
            correct += (found == solver.test_nets[0].blobs["label"].data.ravel()).sum()
        test_acc[it // 3] = correct / 8.0
print(train_loss.tolist(), test_acc.tolist(), output[-1].tolist(), solver.iter)
print(solver.net.params["conv1"][0].diff[:, 0].reshape(2, 2, 3, 3).transpose(0, 2, 1, 3).tolist())
solver.snapshot()
solver.net.save("tuned.caffemodel")

new = caffe.Net("new_head.prototxt", "tuned.caffemodel", caffe.TEST)
print(new.params["conv1"][0].data.sum(), [b.data.shape for b in new.params["new_score"]])
other = caffe.get_solver("solver.prototxt")
other.net.copy_from("tuned.caffemodel")
other.test_nets[0].share_with(other.net)
feed(other)
print(sorted((k, v.tolist()) for k, v in other.test_nets[0].forward().items()))
other.restore("small_iter_10.solverstate")
other.step(2)
print(other.iter, other.net.params["score"][1].data.tolist())


def raised(call):
    """Which of Python's own kinds an error is: a script may catch those."""
    try:
        call()
    except Exception as error:
        kinds = (TypeError, ValueError, KeyError, IndexError, AttributeError)
        return [kind.__name__ for kind in kinds if isinstance(error, kind)]
    return "nothing"


net, blob = solver.net, solver.net.blobs["score"]
for call in (
    lambda: net.set_input_arrays(images[:5], labels[:5]),
    lambda: net.set_input_arrays(images, labels[:5]),
    lambda: net.set_input_arrays(images.astype(np.float64), labels),
    lambda: net.set_input_arrays(images, labels.astype(np.int64)),
    lambda: net.set_input_arrays(images[:, :, :, ::-1], labels),
    lambda: net.set_input_arrays(images),
    lambda: caffe.Net("net.prototxt"),
    lambda: caffe.Net("net.prototxt", "tuned.caffemodel"),
    lambda: net.params["conv1"][2],
    lambda: net.params["none"],
    lambda: net.forward(data=images),
    lambda: net.backward(bar=images),
    lambda: solver.step(),
    lambda: solver.step("1"),
    lambda: solver.step(1.5),
    lambda: blob.reshape((1, 2)),
    lambda: blob.reshape(1.5, 2),
    lambda: net.save(),
    lambda: net.layers[99],
    lambda: solver.test_nets[3],
    lambda: blob.data.__setitem__(slice(None), np.zeros((9, 9))),
    lambda: setattr(blob, "data", 0),
):
    print(raised(call))
