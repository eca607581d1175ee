"""Caffe's semantics on PyTorch, behind pycaffe's face: ``import tinynet.torchcaffe as caffe``.

Where others' modules say ``import caffe``, one line before them makes that this engine::

    import tinynet.torchcaffe; tinynet.torchcaffe.install_as_caffe()
"""

from tinynet.torchcaffe.passive_waits import wait_passively

wait_passively()  # before torch is loaded below: its OpenMP runtime looks but once

from tinynet.torchcaffe import extensions, proto
from tinynet.torchcaffe.blob import Blob
from tinynet.torchcaffe.context import (
    set_device,
    set_mode_cpu,
    set_mode_gpu,
    set_random_seed,
)
from tinynet.torchcaffe.errors import CaffeError
from tinynet.torchcaffe.glog import init_log, log
from tinynet.torchcaffe.layer import layer_type_list
from tinynet.torchcaffe.net import TEST, TRAIN, Net
from tinynet.torchcaffe.parallel import NCCL
from tinynet.torchcaffe.pycaffe import _caffe, classifier, coord_map, detector, draw, io, net_spec
from tinynet.torchcaffe.pycaffe.as_caffe import install_as_caffe
from tinynet.torchcaffe.pycaffe.classifier import Classifier
from tinynet.torchcaffe.pycaffe.detector import Detector
from tinynet.torchcaffe.pycaffe.multi_gpu import (
    has_nccl,
    set_multiprocess,
    set_solver_count,
    set_solver_rank,
    solver_count,
    solver_rank,
)
from tinynet.torchcaffe.pycaffe.net_spec import NetSpec, layers, params, to_proto
from tinynet.torchcaffe.pycaffe.timer import Timer
from tinynet.torchcaffe.python_layer import Layer
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
    "NCCL",
    "TEST",
    "TRAIN",
    "AdaDeltaSolver",
    "AdaGradSolver",
    "AdamSolver",
    "Blob",
    "CaffeError",
    "Classifier",
    "Detector",
    "Layer",
    "NesterovSolver",
    "Net",
    "NetSpec",
    "RMSPropSolver",
    "SGDSolver",
    "Solver",
    "Timer",
    "_caffe",
    "classifier",
    "coord_map",
    "detector",
    "draw",
    "extensions",
    "get_solver",
    "has_nccl",
    "init_log",
    "install_as_caffe",
    "io",
    "layer_type_list",
    "layers",
    "log",
    "net_spec",
    "params",
    "proto",
    "set_device",
    "set_mode_cpu",
    "set_mode_gpu",
    "set_multiprocess",
    "set_random_seed",
    "set_solver_count",
    "set_solver_rank",
    "solver_count",
    "solver_rank",
    "to_proto",
]
