"""What pycaffe offers besides nets and solvers, and the errors where this engine differs."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from google.protobuf import text_format
from PIL import Image

import tinynet.torchcaffe as caffe
from tests import caffe_page
from tests.torchcaffe import user_scripts
from tests.torchcaffe.pycaffe import debians_names
from tinynet.torchcaffe import display, glog
from tinynet.torchcaffe import layers as L
from tinynet.torchcaffe.context import CONTEXT
from tinynet.torchcaffe.proto import caffe_pb2

NAMES = """
import json
import caffe
caffe.set_mode_cpu()
with open("net.prototxt", "w") as file:
    file.write('input: "x" input_shape { dim: 1 dim: 2 } layer { name: "fc" bottom: "x" top: "y" '
               'type: "InnerProduct" inner_product_param { num_output: 1 } }')
with open("solver.prototxt", "w") as file:
    file.write('net: "net.prototxt" base_lr: 1 lr_policy: "fixed"')
solver = caffe.get_solver("solver.prototxt")
solver.net.save("x.caffemodel")
things = {
    "caffe": caffe, "io": caffe.io, "net_spec": caffe.net_spec, "solver": solver,
    "net": solver.net, "layer": solver.net.layers[1], "blob": solver.net.blobs["y"],
    "transformer": caffe.io.Transformer({}), "spec": caffe.NetSpec(), "timer": caffe.Timer(),
    "param": solver.param,
}
print(json.dumps({key: [n for n in dir(thing) if n[0] != "_"] for key, thing in things.items()}))
"""
# pycaffe's own modules, and names that they import
NOT_OFFERED = {
    "caffe": {"pycaffe", "classifier", "detector"},
    "io": {"caffe_pb2", "resize", "skimage", "zoom", "sys"},
    "net_spec": {"caffe_pb2", "protobuf", "six"},
}


def test_every_name_that_pycaffe_offers_is_offered_here(caffe_python: str, tmp_path: Path) -> None:
    real = json.loads(user_scripts.in_real_caffe(caffe_python, NAMES, tmp_path / "real").out)
    ours = json.loads(user_scripts.in_torchcaffe(NAMES, tmp_path / "ours").out)
    for thing, names in real.items():
        assert not set(names) - set(ours[thing]) - NOT_OFFERED.get(thing, set()), thing
    assert "forward" in real["net"] and "apply_update" in real["solver"]


def test_every_name_that_debians_pycaffe_offers_is_offered_here() -> None:
    held = caffe_page.pycaffe_objects()
    with user_scripts.as_caffe():
        for kind in debians_names.NAMES:
            thing = held[kind] if kind in held else importlib.import_module(kind)
            lacking = [name for name in caffe_page.names_in_debian(kind) if name not in dir(thing)]
            assert not lacking, f"{kind} lacks {lacking}"


def test_the_gpu_address_of_a_blob_is_that_of_its_memory_and_stays_the_same(
    device: str, tmp_path: Path
) -> None:
    """A script may pass the address to another library and run the net afterwards."""
    (tmp_path / "net").write_text(
        'input: "x" input_shape { dim: 2 dim: 3 } '
        'layer { name: "r" type: "Power" bottom: "x" top: "y" power_param { shift: 1 } }'
    )
    net = caffe.Net(str(tmp_path / "net"), caffe.TEST)
    blob = net.blobs["y"]
    if device == "cpu":
        for name in ("_gpu_data_ptr", "_gpu_diff_ptr"):
            with pytest.raises(caffe.CaffeError, match=f"{name} is an address .*set_mode_gpu"):
                getattr(blob, name)
        return
    address = blob._gpu_data_ptr
    net.forward()
    assert blob._gpu_data_ptr == address == blob.tensor.data_ptr() != blob._gpu_diff_ptr
    assert blob.data.tolist() == [[1.0] * 3] * 2


IMAGES = {
    "rgb.png": lambda p: Image.fromarray(p, "RGB"),
    "rgba.png": lambda p: Image.fromarray(np.dstack([p, p[:, :, :1]]), "RGBA"),
    "gray.png": lambda p: Image.fromarray(p[:, :, 0], "L"),
    "sixteen.png": lambda p: Image.fromarray(p[:, :, 0].astype(np.uint16) * 257),
    "palette.png": lambda p: Image.fromarray(p, "RGB").quantize(16),
    "gray.jpg": lambda p: Image.fromarray(p[:, :, 0], "L"),
    "rgb.jpg": lambda p: Image.fromarray(p, "RGB"),
}
# the lines of pycaffe's load_image, with the argument's name of newer releases of scikit-image
READ = """
import sys
import numpy as np
import skimage.io
for name in sys.argv[1:]:
    for color in (True, False):
        img = skimage.img_as_float(skimage.io.imread(name, as_gray=not color)).astype(np.float32)
        np.save(name + str(color), img)
"""


def test_images_load_to_the_numbers_that_scikit_image_gives(
    caffe_python: str, tmp_path: Path
) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    for name, make in IMAGES.items():
        make(pixels).save(tmp_path / name)
    (tmp_path / "read.py").write_text(READ)
    child = subprocess.run(
        [caffe_python, "read.py", *IMAGES], cwd=tmp_path, capture_output=True, text=True
    )
    if "No module named 'skimage'" in child.stderr:
        pytest.skip("scikit-image is not beside this Caffe")
    assert child.returncode == 0, child.stderr
    for name in IMAGES:
        for color in (True, False):
            expected = np.load(tmp_path / f"{name}{color}.npy")
            expected = expected[:, :, np.newaxis] if expected.ndim == 2 else expected[:, :, :3]
            found = caffe.io.load_image(tmp_path / name, color)
            assert found.dtype == np.float32
            assert found.shape == (6, 5, 3 if color else 1)
            tolerance = 2 / 255 if name.endswith("jpg") else 1e-6  # two JPEG decoders
            np.testing.assert_allclose(found, expected + 0 * found, atol=tolerance, err_msg=name)


def test_loading_a_file_that_is_not_an_image_is_an_error_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(caffe.CaffeError, match=r"text\.png is not an image"):
        caffe.io.load_image(tmp_path / "text.png")


def test_preprocess_leaves_the_image_unchanged() -> None:
    """pycaffe scales a float32 image of the right size in place, so its second call differs."""
    transformer = caffe.io.Transformer({"data": (1, 3, 4, 4)})
    transformer.set_transpose("data", (2, 0, 1))
    transformer.set_raw_scale("data", 255)
    image = np.ones((4, 4, 3), np.float32)
    first = transformer.preprocess("data", image)
    np.testing.assert_array_equal(transformer.preprocess("data", image), first)
    assert image.max() == 1


HABITS = """
import json
import caffe
from caffe.proto.caffe_pb2 import *
from caffe.proto import caffe_pb2
from caffe import layers as L
from caffe.net_spec import NetSpec, _param_names

caffe.set_mode_cpu()
said = {"classes": [NetParameter().WhichOneof is not None, TRAIN, TEST, Phase.Name(1)]}
said["patched"] = sum(name.endswith("LossParameter") for name in vars(caffe_pb2)) > 3
said["descriptor"] = caffe_pb2._LAYERPARAMETER.name
said["enum"] = caffe_pb2._POOLINGPARAMETER_POOLMETHOD.values_by_name["AVE"].number
_param_names["Deconvolution"] = "convolution"
spec = NetSpec()
spec.x = L.Input(shape=dict(dim=[1, 3, 4, 4]))
spec.y = L.Deconvolution(spec.x, num_output=2, kernel_size=2)
said["spec"] = list(spec.to_proto().layer[1].convolution_param.kernel_size)
with open("net.prototxt", "w") as file:
    file.write('''
        layer { name: "d" type: "DummyData" top: "x" top: "t" dummy_data_param {
            shape { dim: 2 dim: 3 } data_filler { value: 2 } data_filler { value: 0.5 } } }
        layer { name: "loss" type: "EuclideanLoss" bottom: "x" bottom: "t" top: "l"
            loss_weight: 0.5 }''')
with open("solver.prototxt", "w") as file:
    file.write('net: "net.prototxt" base_lr: 0 lr_policy: "fixed"')
solver = caffe.SGDSolver("solver.prototxt")
net = solver.net
said["layers"] = [isinstance(layer, caffe.Layer) for layer in net.layers]
last = len(net.layers) - 1
said["losses"] = [net._forward(0, last)]
net.blobs["l"].diff[...] = 3  # a script that anneals a loss weight
said["losses"].append(net._forward(0, last))
print(json.dumps(said))
"""


def test_habits_of_pycaffe_scripts_have_the_same_results_as_in_caffe(
    caffe_python: str, tmp_path: Path
) -> None:
    real = json.loads(user_scripts.in_real_caffe(caffe_python, HABITS, tmp_path / "real").out)
    ours = json.loads(user_scripts.in_torchcaffe(HABITS, tmp_path / "ours").out)
    assert ours == real
    # by hand: 6 differences of 1.5 squared, over 2 · 2 images, times the weight
    assert real["losses"] == [6 * 2.25 / 4 * weight for weight in (0.5, 3)]


def test_a_solver_is_accelerated_however_it_is_made(tmp_path: Path) -> None:
    net, solver = tmp_path / "net.prototxt", tmp_path / "solver.prototxt"
    net.write_text('input: "x" input_shape { dim: 1 }')
    solver.write_text(f'net: "{net}" base_lr: 0 lr_policy: "fixed"')
    made = caffe.SGDSolver(str(solver))
    assert type(made) is type(caffe.get_solver(str(solver))) is not caffe.SGDSolver
    own = type("Own", (caffe.SGDSolver,), {})
    assert type(own(str(solver))) is own


def test_backward_without_a_forward_names_the_layer(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(
        'force_backward: true layer { name: "x" type: "Input" top: "x" top: "t" input_param '
        '{ shape { dim: 2 } } } layer { name: "far" type: "EuclideanLoss" bottom: "x" bottom: "t" '
        'top: "l" }'
    )
    net = caffe.Net(str(path), caffe.TRAIN)
    with pytest.raises(caffe.CaffeError, match="EuclideanLoss layer far: backward needs a forward"):
        net.backward()
    net.forward()
    net.backward()


def test_a_net_made_before_gpu_mode_stays_on_the_cpu_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(
        'name: "late" layer { name: "m" type: "MemoryData" top: "x" top: "t" memory_data_param '
        "{ batch_size: 1 channels: 1 height: 2 width: 2 } }"
    )
    net = caffe.Net(str(path), caffe.TEST)
    images = np.ones((1, 1, 2, 2), np.float32)
    net.set_input_arrays(images, np.zeros(1, np.float32))
    net.forward()
    monkeypatch.setattr(CONTEXT, "gpu", True)  # as set_mode_gpu leaves it; no GPU is needed
    for _ in range(2):
        np.testing.assert_array_equal(net.forward()["x"], images)
    assert capfd.readouterr().err.count("net 'late' was made in CPU mode and stays on the CPU") == 1


def test_protobufs_own_text_format_reads_and_writes_the_messages() -> None:
    net = caffe_pb2.NetParameter()
    text_format.Merge('name: "x" layer { name: "p" pooling_param { pool: AVE } }', net)
    assert net.layer[0].pooling_param.pool == caffe_pb2.PoolingParameter.AVE
    assert "pool: AVE" in text_format.MessageToString(net)
    assert caffe_pb2.Phase.Value("TEST") == caffe_pb2.TEST == caffe.TEST
    assert "ConvolutionParameter" in dir(caffe_pb2)
    with pytest.raises(AttributeError, match="NoSuchParameter"):
        _ = caffe_pb2.NoSuchParameter


def test_net_spec_names_a_parameter_that_a_layer_does_not_have() -> None:
    data = L.Input(shape={"dim": [1, 2]})
    with pytest.raises(AttributeError, match="InnerProduct layers have no parameter 'num_outputs'"):
        L.InnerProduct(data, num_outputs=3).to_proto()
    with pytest.raises(TypeError, match="input 0 is not a Top"):
        L.ReLU("data")


def python_net(tmp_path: Path, module: str, layer: str) -> Path:
    path = tmp_path / "net.prototxt"
    path.write_text(
        'input: "x" input_shape { dim: 2 } layer { name: "mine" type: "Python" bottom: "x" '
        f'top: "y" python_param {{ module: "{module}" layer: "{layer}" }} }}'
    )
    return path


USERS = """
import tinynet.torchcaffe as caffe
class Bare(caffe.Layer):
    pass
class Other:
    pass
class Failing(caffe.Layer):
    def reshape(self, bottom, top):
        raise KeyError("the user's own error")
"""


@pytest.mark.parametrize(
    ("module", "layer", "error", "message"),
    [
        ("no_such_module", "L", caffe.CaffeError, "layer mine: no module 'no_such_module'"),
        ("users_layers", "Missing", caffe.CaffeError, "no layer 'Missing' of module"),
        ("users_layers", "Other", caffe.CaffeError, "must be a subclass of"),
        ("users_layers", "Bare", NotImplementedError, "Bare must define reshape"),
        ("users_layers", "Failing", KeyError, "the user's own error"),
    ],
)
def test_a_python_layer_that_cannot_run_says_why(
    module: str,
    layer: str,
    error: type[Exception],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "users_layers.py").write_text(USERS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "users_layers", raising=False)
    with pytest.raises(error, match=message):
        caffe.Net(python_net(tmp_path, module, layer), caffe.TRAIN)


OF_2015 = """
import caffe
class Rows(caffe.Layer):
    def setup(self, bottom, top):
        self.rows = int(self.param_str_)
    def reshape(self, bottom, top):
        top[0].reshape(self.rows, 2)
"""


def test_param_str_is_also_available_under_its_name_of_2015(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "layers_of_2015.py").write_text(OF_2015)
    monkeypatch.syspath_prepend(tmp_path)
    path = python_net(tmp_path, "layers_of_2015", "Rows")
    path.write_text(path.read_text().replace("layer:", 'param_str: "3" layer:'))
    with user_scripts.as_caffe():
        assert caffe.Net(str(path), caffe.TEST).blobs["y"].shape == (3, 2)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_is_not_an_unsigned_int_is_refused(seed: int) -> None:
    """As in pycaffe; a solver's random_seed has 64 bits, and there -1 means none."""
    with pytest.raises(OverflowError, match=f"a seed is 0 to 4294967295; got {seed}"):
        caffe.set_random_seed(seed)


def test_init_log_silences_and_log_writes(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        caffe.init_log(1, True)
        caffe.log("unheard")
        caffe.init_log()
        caffe.log("heard")
    finally:
        glog.set_level(None)
    assert [line.split("] ")[1] for line in capsys.readouterr().err.splitlines()] == ["heard"]


def test_with_steps_of_one_iteration_the_speed_is_measured_between_displays(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """As in real Caffe, a new call of step() does not restart the timer."""
    clock = [0.0]
    monkeypatch.setattr(display, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    (tmp_path / "net.prototxt").write_text(
        'layer { name: "x" type: "DummyData" top: "x" dummy_data_param { shape { dim: 2 } } }'
        'layer { name: "y" type: "InnerProduct" bottom: "x" top: "y"'
        "  inner_product_param { num_output: 1 axis: 0 } }"
        'layer { name: "loss" type: "EuclideanLoss" bottom: "y" bottom: "y" top: "loss" }'
    )
    (tmp_path / "solver.prototxt").write_text(
        f'net: "{tmp_path}/net.prototxt" snapshot_prefix: "{tmp_path}/s" lr_policy: "fixed" '
        "base_lr: 0.1 max_iter: 9 display: 4"
    )
    solver = caffe.get_solver(str(tmp_path / "solver.prototxt"))
    for _ in range(9):
        solver.step(1)
        clock[0] += 0.5
    shown = re.findall(r"Iteration (\d+) \((\S+) iter/s, (\S+)s/4 iters\)", capfd.readouterr().err)
    assert shown == [("0", "0", "0"), ("4", "2", "2"), ("8", "2", "2")]


def test_a_timer_measures_from_start_to_stop() -> None:
    timer, whole = caffe.Timer(), caffe.Timer()
    whole.start()
    timer.start()
    timer.stop()
    first = timer.ms
    assert timer.ms == first >= 0
    timer.start()
    assert whole.ms >= timer.ms


def test_a_net_takes_the_arguments_of_either_signature_and_no_more(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "net.prototxt"
    model.write_text('input: "x" input_shape { dim: 1 }')
    stored = str(tmp_path / "net.caffemodel")
    caffe.Net(model, caffe.TEST, 0, None, None).save(stored)
    capsys.readouterr()
    for phase in ((caffe.TEST,), ()):
        caffe.Net(model, stored, *phase, **({} if phase else {"phase": caffe.TEST}))
        assert f"Net('{model}', 1, weights='{stored}')" in capsys.readouterr().err
    with pytest.raises(TypeError, match="a model, phase, level, stages, weights, and no more"):
        caffe.Net(model, caffe.TEST, 0, None, None, "other")
    with pytest.raises(TypeError, match="a model, weights, phase, and no more"):
        caffe.Net(model, stored, caffe.TEST, 0)


def test_a_net_without_layers_can_be_made_but_does_not_run(tmp_path: Path) -> None:
    """Real Caffe ends the process: net.cpp, Check failed: end < layers_.size() (-1 vs. 0)."""
    (tmp_path / "empty.prototxt").touch()
    net = caffe.Net(str(tmp_path / "empty.prototxt"), caffe.TEST)
    with pytest.raises(caffe.CaffeError, match="has no layers; is its prototxt empty"):
        net.forward()
