"""Upgrades Caffe's files of 2013 to 2018 to the form of its last release: nets, weights, solvers.

A net can have five old forms.  When Caffe reads a file, it upgrades them in this order:

1. V0 layers (``layers { layer { type: "conv" } }``) become V1 layers (see ``upgrade_v0``);
2. ``scale``, ``mean_file``, ``crop_size`` and ``mirror`` of a V1 data layer's own parameters move
   to its ``transform_param``;
3. V1 layers (``layers { type: CONVOLUTION }``) become ``layer { type: "Convolution" }``;
4. ``input`` with ``input_shape`` or ``input_dim`` becomes an Input layer; ``input`` alone, as in
   old weights, is dropped;
5. the three ``param`` that a BatchNorm layer once needed get multipliers of 0.

A solver's ``solver_type`` (an enum) becomes its ``type`` (a string).

Defined by ``UpgradeNetAsNeeded`` and ``UpgradeSolverAsNeeded`` (src/caffe/util/upgrade_proto.cpp).
The log messages are Caffe's too, except for its warnings about future releases.
"""

from __future__ import annotations

from pathlib import Path

from tinynet.caffeformat import binary, schema, text, upgrade_v0
from tinynet.caffeformat.upgrade_v0 import Say, UpgradeError

__all__ = [
    "Say",
    "UpgradeError",
    "needs_upgrade",
    "quiet",
    "read_model",
    "read_net",
    "solver_needs_upgrade",
    "upgrade",
    "upgrade_solver",
]

_TYPES = {
    "NONE": "",
    "ABSVAL": "AbsVal",
    "ACCURACY": "Accuracy",
    "ARGMAX": "ArgMax",
    "BNLL": "BNLL",
    "CONCAT": "Concat",
    "CONTRASTIVE_LOSS": "ContrastiveLoss",
    "CONVOLUTION": "Convolution",
    "DATA": "Data",
    "DECONVOLUTION": "Deconvolution",
    "DROPOUT": "Dropout",
    "DUMMY_DATA": "DummyData",
    "ELTWISE": "Eltwise",
    "EUCLIDEAN_LOSS": "EuclideanLoss",
    "EXP": "Exp",
    "FLATTEN": "Flatten",
    "HDF5_DATA": "HDF5Data",
    "HDF5_OUTPUT": "HDF5Output",
    "HINGE_LOSS": "HingeLoss",
    "IM2COL": "Im2col",
    "IMAGE_DATA": "ImageData",
    "INFOGAIN_LOSS": "InfogainLoss",
    "INNER_PRODUCT": "InnerProduct",
    "LRN": "LRN",
    "MEMORY_DATA": "MemoryData",
    "MULTINOMIAL_LOGISTIC_LOSS": "MultinomialLogisticLoss",
    "MVN": "MVN",
    "POOLING": "Pooling",
    "POWER": "Power",
    "RELU": "ReLU",
    "SIGMOID": "Sigmoid",
    "SIGMOID_CROSS_ENTROPY_LOSS": "SigmoidCrossEntropyLoss",
    "SILENCE": "Silence",
    "SLICE": "Slice",
    "SOFTMAX": "Softmax",
    "SOFTMAX_LOSS": "SoftmaxWithLoss",
    "SPLIT": "Split",
    "TANH": "TanH",
    "THRESHOLD": "Threshold",
    "WINDOW_DATA": "WindowData",
}
# type of a V1 data layer → its parameters, which once included those of the transformation
_DATA = {
    "DATA": "data_param",
    "IMAGE_DATA": "image_data_param",
    "WINDOW_DATA": "window_data_param",
}
_TRANSFORM = ("scale", "mean_file", "crop_size", "mirror")
# lists of a V1 layer that became fields of ParamSpec: V1's name → ParamSpec's
_PARAM_LISTS = {
    "param": "name",
    "blob_share_mode": "share_mode",
    "blobs_lr": "lr_mult",
    "weight_decay": "decay_mult",
}
_LISTS = ("bottom", "top", "include", "exclude", "blobs", "loss_weight")
SOLVER_TYPES = ("SGD", "Nesterov", "AdaGrad", "RMSProp", "AdaDelta", "Adam")
"""The solver's ``type`` for each number of the older ``solver_type``."""


def quiet(severity: str, message: str) -> None:
    """Ignore a log message."""


def needs_upgrade(net: schema.NetParameter) -> bool:
    """Whether a NetParameter has any of the five old forms."""
    return bool(net.layers) or bool(net.input) or bool(_old_batch_norms(net))


def upgrade(net: schema.NetParameter, source: str, say: Say = quiet) -> bool:
    """Bring a NetParameter up to date, in place; an up-to-date one does not change.

    ``source`` names its file in messages.  Returns False if parameters were dropped that their new
    layer does not have; ``say`` names them.  Raises UpgradeError where Caffe aborts.
    """
    complete = True
    if upgrade_v0.is_v0(net):
        say("info", _attempt("V0LayerParameter", source))
        complete = upgrade_v0.to_v1(net, say)
        if complete:
            say("info", _success("V0LayerParameter"))
        else:
            say(
                "error",
                "Warning: had one or more problems upgrading V0NetParameter to NetParameter (see "
                "above); continuing anyway.",
            )
    if any(_has_old_transform(layer) for layer in net.layers):
        say("info", _attempt("transformation parameters", source))
        _move_transforms(net)
        say("info", _success("data transformation parameters."))
    if net.layers:
        say("info", _attempt("V1LayerParameter", source))
        _upgrade_v1(net)
        say("info", _success("V1LayerParameter"))
    if net.input:
        say("info", _attempt("input fields", source))
        _upgrade_input(net, say)
        say("info", _success("input fields."))
    old = _old_batch_norms(net)
    if old:
        say("info", f"Attempting to upgrade batch norm layers using deprecated params: {source}")
        for layer in old:
            for spec in layer.param:
                spec.lr_mult = spec.decay_mult = 0
        say("info", "Successfully upgraded batch norm layers using deprecated params.")
    return complete


def _attempt(what: str, source: str) -> str:
    return f"Attempting to upgrade input file specified using deprecated {what}: {source}"


def _success(what: str) -> str:
    return f"Successfully upgraded file specified using deprecated {what}"


def _v1_type(layer: schema.V1LayerParameter) -> str:
    """The name of a V1 layer's type; NONE if it has none."""
    return schema.V1LayerParameter.LayerType.Name(layer.type)


def _has_old_transform(layer: schema.V1LayerParameter) -> bool:
    parameter = _DATA.get(_v1_type(layer))
    return parameter is not None and any(
        getattr(layer, parameter).HasField(name) for name in _TRANSFORM
    )


def _move_transforms(net: schema.NetParameter) -> None:
    for layer in net.layers:
        parameter = _DATA.get(_v1_type(layer))
        if parameter is None:
            continue
        old, new = getattr(layer, parameter), layer.transform_param
        old.SetInParent()
        new.SetInParent()
        for name in _TRANSFORM:
            if old.HasField(name):
                setattr(new, name, getattr(old, name))
                old.ClearField(name)


def _upgrade_v1(net: schema.NetParameter) -> None:
    if net.layer:
        raise UpgradeError(
            f"net '{net.name}' has layers of both formats, 'layer' (type: \"ReLU\") and the older "
            "'layers' (type: RELU); write all of them as 'layer'"
        )
    for old in net.layers:
        try:
            _upgrade_v1_layer(old, net.layer.add())
        except UnicodeDecodeError:  # protobuf hands out no other text
            raise UpgradeError(
                f"net '{net.name}': the name of a layer or blob is not UTF-8; upgrade the file "
                "with Caffe's own upgrade_net_proto_binary, or rename it there"
            ) from None
    net.ClearField("layers")


def _upgrade_v1_layer(old: schema.V1LayerParameter, new: schema.LayerParameter) -> None:
    if old.HasField("name"):
        new.name = old.name
    if old.HasField("type"):
        known = _TYPES.get(_v1_type(old))
        if known is None:
            raise UpgradeError(
                f"layer '{new.name}': no layer type is known for the older type {_v1_type(old)}; "
                "write the layer in the form 'layer { type: \"...\" }'"
            )
        new.type = known
    for name in _LISTS:
        getattr(new, name).extend(getattr(old, name))
    for name, of_spec in _PARAM_LISTS.items():
        for i, value in enumerate(getattr(old, name)):
            if len(new.param) <= i:
                new.param.add()
            setattr(new.param[i], of_spec, value)
    for field in schema.fields_of(old).values():
        if field.name.endswith("_param") and schema.is_set(old, field):
            getattr(new, field.name).CopyFrom(getattr(old, field.name))


def _upgrade_input(net: schema.NetParameter, say: Say) -> None:
    """Turn ``input`` into an Input layer.

    Given too few shapes, Caffe reads beyond them; here they are refused.  It ignores extra ones.
    """
    inputs = list(net.input)
    dims = list(net.input_dim)
    field, each = ("input_shape", 1) if net.input_shape else ("input_dim", 4)
    given, needed = len(getattr(net, field)), each * len(inputs)
    shapes = [list(shape.dim) for shape in net.input_shape]
    shapes = shapes or [dims[at : at + 4] for at in range(0, len(dims), 4)]
    if shapes and given < needed:
        times = "once" if each == 1 else f"{each} times"
        raise UpgradeError(
            f"net '{net.name}': {field} must be given {times} per input; got {given} for "
            f"{len(inputs)} input(s)"
        )
    if given > needed:
        say("warning", f"{field} is given {given} times; only the first {needed} are used")
    for name in ("input", "input_shape", "input_dim"):
        net.ClearField(name)
    if not shapes:  # as in old weights, whose net has the shapes
        return
    others = schema.NetParameter(layer=net.layer)
    net.ClearField("layer")
    first = net.layer.add(name="input", type="Input", top=inputs)
    for shape in shapes[: len(inputs)]:
        first.input_param.shape.add(dim=shape)
    net.layer.extend(others.layer)


def _old_batch_norms(net: schema.NetParameter) -> list[schema.LayerParameter]:
    return [layer for layer in net.layer if layer.type == "BatchNorm" and len(layer.param) == 3]


def read_net(path: str | Path, say: Say = quiet) -> schema.NetParameter:
    """Read a prototxt in any of Caffe's formats as an up-to-date NetParameter.

    Raises PrototxtError, UpgradeError, and OSError if the file cannot be opened.
    """
    net = text.read(path, schema.NetParameter)
    upgrade(net, str(path), say)
    return net


def read_model(path: str | Path, say: Say = quiet) -> schema.NetParameter:
    """Read a .caffemodel in any of Caffe's formats as an up-to-date NetParameter.

    Raises TinynetError if it is not one, UpgradeError, and OSError if it cannot be opened.
    """
    net = binary.read(path, schema.NetParameter)
    upgrade(net, str(path), say)
    return net


def solver_needs_upgrade(solver: schema.SolverParameter) -> bool:
    """Whether a SolverParameter has the older ``solver_type``."""
    return bool(solver.HasField("solver_type"))


def upgrade_solver(solver: schema.SolverParameter, source: str, say: Say = quiet) -> None:
    """Turn a SolverParameter's ``solver_type`` into its ``type``, in place.

    Raises UpgradeError if both are given.
    """
    if not solver_needs_upgrade(solver):
        return
    say("info", _attempt("'solver_type' field (enum)'", source))
    if solver.HasField("type"):
        raise UpgradeError(
            f"{source}: give the solver's type by type (a string) or by the older solver_type; "
            "not both"
        )
    solver.type = SOLVER_TYPES[solver.solver_type]
    solver.ClearField("solver_type")
    say("info", _success("'solver_type' field (enum) to 'type' field (string)."))
