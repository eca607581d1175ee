"""Which attributes of a solver, a net, a blob and a layer may be assigned or deleted."""

import caffe

caffe.set_mode_cpu()
NET = """
name: "small"
layer { name: "data" type: "DummyData" top: "data" top: "label" dummy_data_param {
  shape { dim: 2 dim: 3 } shape { dim: 2 }
  data_filler { type: "constant" } data_filler { type: "constant" } } }
layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc"
  inner_product_param { num_output: 4 } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" }
"""
with open("net.prototxt", "w") as file:
    file.write(NET)
with open("solver.prototxt", "w") as file:
    file.write(
        'net: "net.prototxt" base_lr: 0.1 lr_policy: "fixed" max_iter: 2 '
        "solver_mode: CPU test_iter: 1 test_interval: 100"
    )
solver = caffe.get_solver("solver.prototxt")
net = solver.net
NAMES = {
    "solver": (solver, ["iter", "lr", "net", "test_nets", "param"]),
    "net": (
        net,
        [
            "blobs",
            "blob_loss_weights",
            "bottom_names",
            "inputs",
            "layer_dict",
            "layers",
            "outputs",
            "params",
            "top_names",
            "_blob_names",
            "_layer_names",
            "_inputs",
            "_outputs",
        ],
    ),
    "blob": (
        net.blobs["fc"],
        ["data", "diff", "shape", "count", "num", "channels", "height", "width"],
    ),
    "layer": (net.layers[1], ["blobs"]),
    "param": (solver.param, ["max_iter", "display", "layer_wise_reduce", "base_lr"]),
}


def outcome(change, *arguments):
    try:
        change(*arguments)
    except Exception as error:
        return type(error).__name__
    return "done"


for what, (thing, names) in sorted(NAMES.items()):
    for name in names:
        value = getattr(thing, name)
        print(
            what,
            name,
            outcome(setattr, thing, name, value),
            outcome(delattr, thing, name),
        )
    print(what, outcome(setattr, thing, "a_note_of_mine", 1), thing.a_note_of_mine)


def add():
    solver.iter += 5


print(outcome(add), solver.iter)
print([name for name in dir(solver.param) if name[0] != "_"], hasattr(solver.param, "net"))
print(solver.param.max_iter, solver.param.display, solver.param.layer_wise_reduce)
print(outcome(setattr, solver.param, "base_lr", 0.25), solver.param.base_lr)
solver.step(2)
print(solver.lr)
print(solver.iter, sorted(net.blobs), len(net.layers))
