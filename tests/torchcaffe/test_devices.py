"""Layers compute on the device of their blobs; on the meta device, so that no GPU is needed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils._python_dispatch import TorchDispatchMode

import tinynet.torchcaffe as torchcaffe
from tests.run import small_stages
from tests.torchcaffe.layer_cases import LAYERS
from tests.torchcaffe.layer_cases.stages import STOCHASTIC
from tests.torchcaffe.small_nets import layer
from tests.torchcaffe.small_nets import net as net_text
from tinynet.caffeformat import schema, text
from tinynet.caffeformat.datum import encode_datum
from tinynet.caffeformat.lmdb import write_store
from tinynet.caffeformat.transform import crop_origins
from tinynet.torchcaffe import extensions
from tinynet.torchcaffe.context import CONTEXT, Context
from tinynet.torchcaffe.fast import recorded_passes
from tinynet.torchcaffe.solver import create_solver, get_solver


@pytest.fixture(autouse=True)
def _values_afterwards() -> Iterator[None]:
    yield
    torchcaffe.set_mode_cpu()


# these read their indices on the host, to choose what to compute or to refuse them
_READ_INDICES = ("BatchReindex", "Embed", "Filter")
_CASES = {name: c for name, c in {**LAYERS, **STOCHASTIC}.items() if c.type not in _READ_INDICES}


@pytest.mark.parametrize("name", _CASES)
def test_a_layer_makes_no_tensor_on_another_device(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the meta device, where operations with the CPU's tensors fail as on a GPU."""
    meta = torch.device("meta")
    monkeypatch.setattr(Context, "device", property(lambda self: meta))
    case = _CASES[name]
    path = tmp_path / "net.prototxt"
    path.write_text(case.text)
    net = torchcaffe.Net(path, case.phase)
    with Crossings() as crossings:
        net.run_forward()
        for top in case.driven_tops:
            net.blobs[top].set_diff(torch.empty(net.blobs[top].shape, device=meta))
        net.run_backward()
    assert crossings.seen == []
    parameters = [blob for blobs in net.params.values() for blob in blobs]
    for blob in [*net.blobs.values(), *parameters]:
        assert blob.tensor.device == meta
        assert blob.grad.device == meta


class Crossings(TorchDispatchMode):
    """Collects what goes from one device to another, and refuses what makes the host wait."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        assert name not in ("_local_scalar_dense", "nonzero", "equal", "is_nonzero"), name
        result = func(*args, **kwargs)
        given = _tensors((*args, *kwargs.values()))
        copied = [*given, result] if isinstance(result, torch.Tensor) else given
        if name in ("copy_", "_to_copy", "set_", "cat", "_foreach_copy_"):
            if len({t.device for t in copied}) > 1:
                self.seen.append(f"{name} {given[-1].dtype} {tuple(given[-1].shape)}")
        else:
            # a single host value may be combined with a GPU's, and a recording would keep it
            assert len({t.device for t in given}) <= 1, name
        return result


def _tensors(values: Any) -> list[torch.Tensor]:
    if isinstance(values, torch.Tensor):
        return [values]
    return [t for v in values for t in _tensors(v)] if isinstance(values, (tuple, list)) else []


_FC = layer("InnerProduct", "x", "fc", "inner_product_param { num_output: 5 }", "fc")
_DUMMY = (
    "dummy_data_param { shape { dim: 3 } shape { dim: 2 } "
    'data_filler { type: "gaussian" } data_filler { type: "constant" value: 2 } }'
)
# by type: layers on inputs x (4×5), z (4×5), l (4) and h (1×1×5×5), and what they bring
_OTHERS: dict[str, tuple[str, list[str]]] = {
    "Accuracy": (layer("Accuracy", "x l", "y w", "accuracy_param { ignore_label: 1 }"), []),
    "ArgMax": (layer("ArgMax", "x", "y", "argmax_param { top_k: 2 out_max_val: true }"), []),
    "ContrastiveLoss": (layer("ContrastiveLoss", "x z l", "y"), []),
    "InfogainLoss": (_FC + layer("InfogainLoss", "fc l h", "y"), []),
    "MultinomialLogisticLoss": (_FC + layer("MultinomialLogisticLoss", "fc l", "y"), []),
    "Parameter": (layer("Parameter", "", "y", "parameter_param { shape { dim: 3 } }"), []),
    "DummyData": (layer("DummyData", "", "y w", _DUMMY), ["_to_copy torch.float32 (3,)"]),
    "HDF5Data": (
        layer("HDF5Data", "", "data label", 'hdf5_data_param { source: "list" batch_size: 3 }'),
        ["_to_copy torch.float32 (3, 2)", "_to_copy torch.float32 (3,)"],
    ),
    "ImageData": (
        layer("ImageData", "", "y w", 'image_data_param { source: "images" batch_size: 2 }'),
        ["_to_copy torch.float32 (2, 3, 8, 8)", "_to_copy torch.float32 (2,)"],
    ),
    "WindowData": (
        layer(
            "WindowData",
            "",
            "y w",
            'window_data_param { source: "windows" batch_size: 2 } '
            "transform_param { crop_size: 4 }",
        ),
        ["_to_copy torch.float32 (2, 3, 4, 4)", "_to_copy torch.float32 (2,)"],
    ),
}


@pytest.mark.parametrize("name", _OTHERS)
def test_labels_files_and_fillers_are_copied_to_the_device_and_nothing_is_copied_back(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Covers the layer types without a layer case; Data is in every stage below."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save("image.png")
    Path("images").write_text("image.png 1\n")
    Path("windows").write_text("# 0\nimage.png\n3\n8\n8\n2\n1 0.9 0 0 4 4\n0 0.1 1 1 5 5\n")
    Path("list").write_text("data.h5\n")
    if name == "HDF5Data":
        with pytest.importorskip("h5py").File("data.h5", "w") as file:
            file["data"], file["label"] = np.zeros((3, 2), np.float32), np.zeros(3, np.float32)
    layers, brought = _OTHERS[name]
    inputs = ("x", (4, 5)), ("z", (4, 5)), ("l", (4,)), ("h", (1, 1, 5, 5))
    Path("net.prototxt").write_text(net_text(layers, *inputs, force_backward=False))
    extensions.without_kernels()
    net = torchcaffe.Net("net.prototxt", torchcaffe.TRAIN)
    for _ in range(2):
        with Crossings() as crossings:
            net.run_forward()
            net.run_backward()
        assert crossings.seen == brought


@pytest.mark.skipif(not CONTEXT.fast, reason="without fast/ whole batches go to the device")
def test_a_training_iteration_copies_a_plan_to_the_device_and_waits_for_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the meta device: a copy to it from the host's own memory would make a GPU's host wait."""
    meta = torch.device("meta")
    monkeypatch.setattr(Context, "device", property(lambda self: meta))
    pixels = np.arange(3 * 8 * 8, dtype=np.uint8).reshape(3, 8, 8)
    write_store(tmp_path / "lmdb", [(b"%d" % i, encode_datum(pixels, i)) for i in range(5)])
    crop = "mirror: true crop_size: 7 mean_value: 100 scale: 0.1"
    source = f'source: "{tmp_path / "lmdb"}" batch_size: 4 backend: LMDB prefetch: 1'
    conv = "num_output: 8 kernel_size: 3"
    layers = (
        layer(
            "Data", "", "data label", f"transform_param {{ {crop} }} data_param {{ {source} }}", "d"
        )
        + layer("Convolution", "data", "conv", f"convolution_param {{ {conv} }}", "conv")
        + layer("ReLU", "conv", "conv", "", "relu")
        + layer("Pooling", "conv", "pool", "pooling_param { kernel_size: 2 stride: 2 }", "pool")
        + layer("Dropout", "pool", "pool", "", "drop")
        + layer("InnerProduct", "pool", "fc", "inner_product_param { num_output: 5 }", "fc")
        + layer("SoftmaxWithLoss", "fc label", "loss", "", "loss")
    )
    param = schema.SolverParameter(base_lr=0.1, lr_policy="fixed", momentum=0.9, weight_decay=0.1)
    param.iter_size = 2
    param.train_net_param.CopyFrom(text.parse(layers, schema.NetParameter, "net"))
    solver = create_solver(param)
    extensions.limit_norms(solver, 3.0)
    with Crossings() as crossings:
        solver.step(1)
    plan, images = "_to_copy torch.int64 (5, 4)", "_to_copy torch.uint8 (4, 3, 8, 8)"
    assert crossings.seen == [plan, images] * 2  # each epoch of 5 is read in two batches of 4
    solver.step(2)  # uses up what was read ahead
    with Crossings() as crossings:
        solver.step(3)
    # the first iteration takes the plain path; then each plan is copied to fixed memory
    assert crossings.seen == [plan] * 2 + ["copy_ torch.int64 (5, 4)"] * 4
    assert solver.iter == 6


_STEPS = {"lr_policy": '"step"', "stepsize": 2}  # the rate changes between the updates
_POLY = {"lr_policy": '"poly"', "power": 1, "iter_size": 2, "clip_gradients": -1}


@pytest.mark.skipif(not CONTEXT.fast, reason="without fast/ whole batches go to the device")
@pytest.mark.parametrize(
    ("number", "fields"),
    [*((number, _STEPS) for number in range(1, 9)), pytest.param(7, _POLY, id="modern")],
)
def test_an_iteration_of_every_stage_uses_no_host_tensor_and_reads_no_value_back(
    stages: Path, number: int, fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recording a CUDA graph requires this of forward, backward, update and test."""
    # recording would do the same work again and compare the results
    monkeypatch.setenv(recorded_passes.VARIABLE, "0")
    extensions.without_kernels()
    path = small_stages.write_stage(
        stages, number, display=0, test_interval=1000, test_initialization="false", **fields
    )
    solver = get_solver(path)
    with Crossings() as crossings:
        solver.step(3)
        for _ in range(2):
            solver.test_pass(solver.test_nets[0])
    batches = 3 * solver.parameters.iter_size
    sizes = [small_stages.BATCH] * batches + [small_stages.TEST_BATCH] * 2
    assert crossings.seen == [
        said
        for size in sizes
        for said in (
            f"_to_copy torch.int64 (5, {size})",
            f"_to_copy torch.uint8 ({size}, 3, 64, 64)",
        )
    ]
    for blob in (*solver.net.blobs.values(), *solver.test_nets[0].blobs.values()):
        assert blob.tensor.device == blob.grad.device == torch.device("meta")


@pytest.mark.skipif(not CONTEXT.fast, reason="without fast/ views go through the net one by one")
@pytest.mark.parametrize("crops", [1, 10])
def test_a_prediction_uses_no_host_tensor_and_reads_no_value_back(crops: int) -> None:
    """From the images' bytes on the device to the probabilities there."""
    model = str(small_stages.ROOT / "prototxt/stage7_dropout2/deploy.prototxt")
    extensions.without_kernels()
    net = torchcaffe.Net(model, torchcaffe.TEST)
    origins = crop_origins(64, 64, 60) if crops == 10 else [(2, 2)]
    mean = np.zeros((3, 64, 64), np.float32)
    predictor = extensions.view_predictor(net, origins, crops == 10, mean, 0.02)
    size = 64 if crops == 10 else 60  # a single crop is cut on the host
    images = torch.empty((4, 3, size, size), dtype=torch.uint8, device="meta")
    with torch.no_grad(), Crossings() as crossings:
        found = predictor._outputs(images)
    assert crossings.seen == [] and found.shape == (4, crops, 200)


def test_the_check_detects_operations_that_make_the_host_wait() -> None:
    """Otherwise the tests above could not fail."""
    with Crossings() as crossings:
        torch.zeros(3).to("meta")
        torch.zeros(3, device="meta").copy_(torch.zeros(3))
    assert len(crossings.seen) == 2
    with Crossings(), pytest.raises(AssertionError, match="_local_scalar_dense"):
        float(torch.zeros(()))
    with Crossings(), pytest.raises(AssertionError, match="mul"):
        torch.zeros(3, device="meta") * torch.tensor(2.0)
