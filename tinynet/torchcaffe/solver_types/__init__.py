"""One file per solver type; each registers itself under its prototxt name."""

from tinynet.torchcaffe.solver_types.adadelta import AdaDeltaSolver
from tinynet.torchcaffe.solver_types.adagrad import AdaGradSolver
from tinynet.torchcaffe.solver_types.adam import AdamSolver
from tinynet.torchcaffe.solver_types.nesterov import NesterovSolver
from tinynet.torchcaffe.solver_types.rmsprop import RMSPropSolver
from tinynet.torchcaffe.solver_types.sgd import SGDSolver

__all__ = [
    "AdaDeltaSolver",
    "AdaGradSolver",
    "AdamSolver",
    "NesterovSolver",
    "RMSPropSolver",
    "SGDSolver",
]
