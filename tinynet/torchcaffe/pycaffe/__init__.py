"""pycaffe's own face over the engine: what Caffe writes in Python or in its command line.

The engine (net, solver, layers) imports nothing from here.  The package is pycaffe's module
``caffe.pycaffe`` too, whose names it has.
"""

from tinynet.torchcaffe.net import Net
from tinynet.torchcaffe.parallel import NCCL
from tinynet.torchcaffe.pycaffe.timer import Timer
from tinynet.torchcaffe.solver_types import (
    AdaDeltaSolver,
    AdaGradSolver,
    AdamSolver,
    NesterovSolver,
    RMSPropSolver,
    SGDSolver,
)

__all__ = [
    "NCCL",
    "AdaDeltaSolver",
    "AdaGradSolver",
    "AdamSolver",
    "NesterovSolver",
    "Net",
    "RMSPropSolver",
    "SGDSolver",
    "Timer",
]
