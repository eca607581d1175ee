"""Caffe's semantics on PyTorch, behind pycaffe's face: ``import tinynet.torchcaffe as caffe``."""

from tinynet.torchcaffe.blob import Blob
from tinynet.torchcaffe.context import (
    set_device,
    set_mode_cpu,
    set_mode_gpu,
    set_random_seed,
)
from tinynet.torchcaffe.errors import CaffeError
from tinynet.torchcaffe.layer import Layer, layer_type_list
from tinynet.torchcaffe.net import TEST, TRAIN, Net
from tinynet.torchcaffe.solver import Solver, get_solver
from tinynet.torchcaffe.solver_types import (
    AdaDeltaSolver,
    AdaGradSolver,
    AdamSolver,
    NesterovSolver,
    RMSPropSolver,
    SGDSolver,
)

# the release of Caffe whose behaviour this is
__version__ = "1.0.0"

__all__ = [
    "TEST",
    "TRAIN",
    "AdaDeltaSolver",
    "AdaGradSolver",
    "AdamSolver",
    "Blob",
    "CaffeError",
    "Layer",
    "NesterovSolver",
    "Net",
    "RMSPropSolver",
    "SGDSolver",
    "Solver",
    "get_solver",
    "layer_type_list",
    "set_device",
    "set_mode_cpu",
    "set_mode_gpu",
    "set_random_seed",
]
