"""pycaffe's vectors: what may be assigned to them; anything else is an error at once."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import tinynet.torchcaffe as caffe
from tests.torchcaffe import user_scripts

HEAD = """
import json
import caffe
import numpy as np
caffe.set_mode_cpu()
with open("net.prototxt", "w") as file:
    file.write('''name: "n"
layer { name: "in" type: "Input" top: "x" top: "t" input_param { shape { dim: 2 dim: 3 } } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y"
  inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "l" type: "EuclideanLoss" bottom: "y" bottom: "t" top: "loss" }''')
with open("solver.prototxt", "w") as file:
    file.write('net: "net.prototxt" base_lr: 1 lr_policy: "fixed" test_iter: 1 test_interval: 9')
solver = caffe.get_solver("solver.prototxt")
net, other = solver.net, solver.test_nets[0]
blobs, array = net.params["ip"], np.ones((3, 3), np.float32)
"""
SCRIPT = (
    HEAD
    + """
TRIED = [
    "blobs[0] = array", "blobs[0] = 1", "blobs[-1] = 2.5", "blobs[9] = blobs[0]", "blobs[9]",
    "blobs[0:1] = [array]", "blobs['w']", "blobs[0.0]", "blobs.append(array)", "blobs.append(3)",
    "blobs.extend([array])", "blobs.pop()", "blobs.insert(0, blobs[0])", "blobs.remove(blobs[0])",
    "blobs.sort()", "blobs.clear()", "blobs + blobs", "blobs * 2",
    "blobs[0] = blobs[0]", "blobs[0:1] = [blobs[0]]", "blobs[0] = other.params['ip'][0]",
    "net.layers[1] = 3", "net.layers[1] = array", "net.layers.append(3)", "net.layers.pop()",
    "net.layers = []", "net.layers[0].blobs = []", "net.layers[1].blobs[0] = array",
    "solver.test_nets[0] = 3", "solver.test_nets.append(net.blobs)", "solver.test_nets.pop()",
    "solver.test_nets[0] = net", "solver.net = net",
    "net._blobs[0] = array", "net._blobs.append(array)", "net._blobs = []",
    "net._blob_loss_weights[0] = 'a'", "net._blob_loss_weights[0] = 2.0",
    "net._layer_names[0] = 3", "net._layer_names.append(3)", "net._blob_names.pop()",
    "net._inputs[0] = 'a'", "net._outputs.append('a')", "net._top_ids(1).append(3)",
    "net.blobs['x'].data = array", "net.blobs['x'].shape = (1,)", "net.blobs['x'].count = 3",
    "next(net._batch({'x': [1, 2, 3]}))", "net._set_input_arrays(array, array)",
]
KINDS = (AttributeError, TypeError, IndexError, RuntimeError)
ends = {}
for text in TRIED:
    ends[text] = "done"
    try:
        exec(text)
    except Exception as error:
        ends[text] = next(kind.__name__ for kind in KINDS if isinstance(error, kind))
print(json.dumps(ends))
"""
)


def test_every_assignment_ends_as_in_pycaffe(caffe_python: str, tmp_path: Path) -> None:
    real = json.loads(user_scripts.in_real_caffe(caffe_python, SCRIPT, tmp_path / "real").out)
    ours = json.loads(user_scripts.in_torchcaffe(SCRIPT, tmp_path / "ours").out)
    assert ours == real
    assert {"done", "TypeError", "AttributeError", "IndexError"} <= set(real.values())


READ = (
    HEAD
    + """
print(json.dumps({
    "blobs": [list(blob.shape) for blob in net._blobs],
    "shared": net._blobs[0].data.ctypes.data == net.blobs["x"].data.ctypes.data,
    "weights": [float(weight) for weight in net._blob_loss_weights],
    "names": [list(net._layer_names), list(net._blob_names)],
    "ids": [list(net._inputs), list(net._outputs), list(net._top_ids(0)), list(net._bottom_ids(2))],
    "types": [layer.type for layer in net.layers],
    "last": list(blobs[-1].shape),
    "slice": [list(blob.shape) for blob in blobs[0:1]],
    "lengths": [len(blobs), len(net.layers), len(solver.test_nets), len(net.layers[0].blobs)],
    "in": [blobs[0] in blobs, 3 in blobs],
    "batches": [
        [[name, rows.tolist()] for name, rows in sorted(batch.items())]
        for batch in net._batch({"x": np.arange(15.0).reshape(5, 3), "t": np.ones((5, 2))})
    ],
}))
"""
)


def test_reading_the_vectors_gives_what_pycaffes_give(caffe_python: str, tmp_path: Path) -> None:
    real = json.loads(user_scripts.in_real_caffe(caffe_python, READ, tmp_path / "real").out)
    ours = json.loads(user_scripts.in_torchcaffe(READ, tmp_path / "ours").out)
    assert ours == real
    assert len(real["batches"]) == 3 and real["weights"][-1] == 1


UNDERSCORED = (
    HEAD
    + """
things = {"net": net, "blob": blobs[0], "layer": net.layers[1], "solver": solver,
    "param": solver.param, "blobs": blobs, "layers": net.layers, "nets": solver.test_nets,
    "names": net._layer_names, "weights": net._blob_loss_weights, "timer": caffe.Timer()}
before = set(dir(object())) | {"__module__", "__dict__", "__weakref__", "__instance_size__"}
print(json.dumps({key: sorted(set(dir(thing)) - before) for key, thing in things.items()}))
"""
)
# attributes in which pycaffe's Python code caches results
CACHES = {"_blobs_dict", "_params_dict", "_input_list", "_output_list", "_blob_loss_weights_dict"}


def test_the_vectors_have_every_underscore_attribute_of_pycaffes(
    caffe_python: str, tmp_path: Path
) -> None:
    real = json.loads(user_scripts.in_real_caffe(caffe_python, UNDERSCORED, tmp_path / "real").out)
    ours = json.loads(user_scripts.in_torchcaffe(UNDERSCORED, tmp_path / "ours").out)
    for thing, names in real.items():
        assert not set(names) - set(ours[thing]) - CACHES, thing
    assert "_set_input_arrays" in real["net"] and "add_blob" in real["blobs"]


@pytest.fixture
def net(tmp_path: Path) -> caffe.Net:
    (tmp_path / "net.prototxt").write_text(
        'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }'
        'layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y" '
        'inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }'
        'layer { name: "ip2" type: "InnerProduct" bottom: "y" top: "z" '
        'inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }'
    )
    return caffe.Net(tmp_path / "net.prototxt", caffe.TEST)


def test_an_array_for_a_blob_is_refused_with_what_to_write(net: caffe.Net) -> None:
    before = net.params["ip"][0].data.copy()
    with pytest.raises(TypeError, match=r"got ndarray; to set a blob's values, write …\[i\]\.data"):
        net.params["ip"][0] = np.ones((3, 3), np.float32)
    np.testing.assert_array_equal(net.params["ip"][0].data, before)


def test_a_blob_for_a_blob_takes_effect_where_the_shapes_agree(net: caffe.Net) -> None:
    net.params["ip"][0] = net.params["ip2"][0]
    x = np.ones((2, 3), np.float32)
    found = net.forward(["y"], x=x)["y"]
    np.testing.assert_allclose(found, x @ net.params["ip2"][0].data.T, rtol=1e-6)
    with pytest.raises(TypeError, match=r"shape \(3,\) cannot take the place of one of \(3, 3\)"):
        net.params["ip"][0] = net.params["ip2"][1]


@pytest.mark.parametrize(
    "change",
    [
        lambda blobs: blobs.append(caffe.Blob((1,))),
        lambda blobs: blobs.add_blob(1, 2),
        lambda blobs: blobs.extend([caffe.Blob((1,))]),
        lambda blobs: blobs.__delitem__(0),
        lambda blobs: blobs.__setitem__(slice(0, 2), [blobs[0]]),
    ],
)
def test_the_number_of_parameters_of_a_net_is_fixed(net: caffe.Net, change: object) -> None:
    """pycaffe accepts these changes, and fails when it saves, loads or computes."""
    assert callable(change)
    with pytest.raises(TypeError, match="length of this BlobVec is fixed once the net is made"):
        change(net.params["ip"])
    assert len(net.params["ip"]) == 2


@pytest.mark.parametrize("how", ["binary", "hdf5"])
def test_weights_of_another_shape_are_refused_with_the_hint_to_rename(
    net: caffe.Net, how: str, tmp_path: Path
) -> None:
    if how == "hdf5":
        pytest.importorskip("h5py")
    path = tmp_path / "net.caffemodel"
    (net.save_hdf5 if how == "hdf5" else net.save)(path)
    text = (tmp_path / "net.prototxt").read_text()
    for change in (
        ("num_output: 3", "num_output: 4"),
        ("num_output: 3", "num_output: 3 bias_term: false"),
    ):
        (tmp_path / "changed.prototxt").write_text(text.replace(*change, 1))
        changed = caffe.Net(tmp_path / "changed.prototxt", caffe.TEST)
        with pytest.raises(
            caffe.CaffeError, match=r"layer '?ip'?.*give it another name in the net"
        ):
            changed.copy_from(path)
