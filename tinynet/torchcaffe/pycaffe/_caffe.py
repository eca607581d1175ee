"""``caffe._caffe``: the names of pycaffe's compiled module, from which old scripts import.

``__all__`` has those that pycaffe's package exports too.
"""

from tinynet.caffeformat.schema import LayerParameter as LayerParameter
from tinynet.torchcaffe.blob import Blob
from tinynet.torchcaffe.context import (
    set_device,
    set_mode_cpu,
    set_mode_gpu,
    set_random_seed,
)
from tinynet.torchcaffe.glog import init_log, log
from tinynet.torchcaffe.layer import layer_type_list
from tinynet.torchcaffe.net import Net
from tinynet.torchcaffe.parallel import NCCL
from tinynet.torchcaffe.pycaffe.multi_gpu import (
    has_nccl,
    set_multiprocess,
    set_solver_count,
    set_solver_rank,
    solver_count,
    solver_rank,
)
from tinynet.torchcaffe.pycaffe.timer import Timer
from tinynet.torchcaffe.python_layer import Layer
from tinynet.torchcaffe.shown_parameters import ShownParameters as SolverParameter  # noqa: F401
from tinynet.torchcaffe.solver import Solver, get_solver
from tinynet.torchcaffe.solver_nets import NetVec as NetVec
from tinynet.torchcaffe.solver_types import (
    AdaDeltaSolver,
    AdaGradSolver,
    AdamSolver,
    NesterovSolver,
    RMSPropSolver,
    SGDSolver,
)
from tinynet.torchcaffe.vectors import BlobVec as BlobVec
from tinynet.torchcaffe.vectors import BoolVec as BoolVec
from tinynet.torchcaffe.vectors import DtypeVec as DtypeVec
from tinynet.torchcaffe.vectors import IntVec as IntVec
from tinynet.torchcaffe.vectors import LayerVec as LayerVec
from tinynet.torchcaffe.vectors import RawBlobVec as RawBlobVec
from tinynet.torchcaffe.vectors import StringVec as StringVec

# the release of Caffe whose behaviour this engine has
__version__ = "1.0.0"

__all__ = [
    "NCCL",
    "AdaDeltaSolver",
    "AdaGradSolver",
    "AdamSolver",
    "Blob",
    "Layer",
    "NesterovSolver",
    "Net",
    "RMSPropSolver",
    "SGDSolver",
    "Solver",
    "Timer",
    "get_solver",
    "has_nccl",
    "init_log",
    "layer_type_list",
    "log",
    "set_device",
    "set_mode_cpu",
    "set_mode_gpu",
    "set_multiprocess",
    "set_random_seed",
    "set_solver_count",
    "set_solver_rank",
    "solver_count",
    "solver_rank",
]
