"""Advice on names that Caffe 1.0 does not have: those of an older Caffe or of a fork.

Scripts of 2014 are written for the pycaffe of that year, and many published ones for a fork.  Real
Caffe 1.0 raises the same errors.
"""

from __future__ import annotations

import re
import types

_OF_THE_NET = "is caffe.{} today, for all nets that are made after it"
_OF_A_TRANSFORMER = "is a method of a caffe.io.Transformer today, as a Classifier's transformer is"
_BY_PHASE = "is gone: give the phase to the net, as in caffe.Net(MODEL, WEIGHTS, caffe.{})"
# names of pycaffe before 1.0
_OLDER = {
    "set_phase_test": _BY_PHASE.format("TEST"),
    "set_phase_train": _BY_PHASE.format("TRAIN"),
    "set_mode_cpu": _OF_THE_NET.format("set_mode_cpu()"),
    "set_mode_gpu": _OF_THE_NET.format("set_mode_gpu()"),
    "set_device": _OF_THE_NET.format("set_device(ID)"),
    "gpu": "is gone: call caffe.set_mode_gpu() before the net is made",
    "mean_file": "is gone: give mean=numpy.load(FILE)",
    **dict.fromkeys(
        (
            "set_mean",
            "set_input_scale",
            "set_raw_scale",
            "set_channel_swap",
            "preprocess",
            "deprocess",
        ),
        _OF_A_TRANSFORMER,
    ),
}
# names of forks, and the forks they belong to
_FORKS = {
    "model_libs": "SSD's",
    "Segmenter": "CRF-RNN's",
    "flip_image": "lisa-caffe's",
    "set_is_flow": "lisa-caffe's",
    "backward_from_layer": "the Deep Visualization Toolbox's (write net.backward(start=LAYER))",
    "deconv_from_layer": "the Deep Visualization Toolbox's",
    "forward_simple": "Intel's (write net.forward())",
    "backward_simple": "Intel's (write net.backward())",
    "increment_iter": "Intel's",
    "_blob_names_index": "a fork's (write list(net._blob_names).index(NAME))",
    "get_solver_from_string": "a fork's (write the text to a file for caffe.get_solver)",
    "get_net_from_string": "a fork's (write the text to a file for caffe.Net)",
    "compile_net": "Intel's",
    "engine": "Intel's",
}
_CLASSES = r"(?:Net|Classifier|Detector|Blob|Transformer|\w*Solver)"
_NAME = (
    r"module 'tinynet\.torchcaffe[\w.]*' has no attribute '(\w+)'",
    rf"'{_CLASSES}' object has no attribute '(\w+)'",
    r"No module named '(?:caffe|tinynet\.torchcaffe)\.([\w.]+)'",
    r"cannot import name '(\w+)' from '(?:caffe|tinynet\.torchcaffe)[\w.]*'",
    rf"{_CLASSES}\.__init__\(\) got an unexpected keyword argument '(\w+)'",
    # Python before 3.10 does not name the class of __init__
    r"__init__\(\) got an unexpected keyword argument '(gpu|mean_file)'",
)
_FIELD = (
    r'Message type "tinynet\.caffe\.\w+" has no field named "(\w+)"',
    r"\w+ layers have no parameter '(\w+)'",
    r"has no message or phase '(\w+)'",
    r'Protocol message \w+ has no "(\w+)" field',
)


def on_exception(error: Exception) -> str | None:
    """Which Caffe has the missing name, and what to write instead; None for other errors."""
    said = str(error)
    field = _field_of_a_message(error) or _first(_FIELD, said)
    if field is not None:
        return (
            f"Caffe has no {field}; what a fork has can be declared: see "
            "'tinynet manual layers-of-your-own'"
        )
    if not isinstance(error, (AttributeError, ImportError, TypeError)) or _is_of_the_script(error):
        return None
    name = _first(_NAME, said)
    if name is None:
        return None
    if name in _OLDER:
        return f"{name} is of a pycaffe before 1.0, and {_OLDER[name]}"
    if name in _FORKS:
        return f"{name} is not Caffe's: it is {_FORKS[name]}"
    return (
        f"pycaffe 1.0 has no {name}; a script that asks for it is for a fork, or for an older one"
    )


def _first(patterns: tuple[str, ...], said: str) -> str | None:
    """The name in the first pattern that matches."""
    return next((told[1] for pattern in patterns if (told := re.search(pattern, said))), None)


def _field_of_a_message(error: Exception) -> str | None:
    """The missing field that a script read from one of Caffe's messages; None for other errors.

    protobuf's own message says only the name.
    """
    descriptor = getattr(getattr(error, "obj", None), "DESCRIPTOR", None)  # since Python 3.10
    if not getattr(descriptor, "full_name", "").startswith("tinynet.caffe."):
        return None
    return str(getattr(error, "name", error))


def _is_of_the_script(error: Exception) -> bool:
    """Whether the object that lacks the attribute is of the script's own class."""
    obj = getattr(error, "obj", None)  # known since Python 3.10
    if obj is None or isinstance(obj, types.ModuleType):
        return False
    return not any(cls.__module__.startswith("tinynet.") for cls in type(obj).__mro__)
