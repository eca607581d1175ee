"""One file per solver type; each registers itself under its prototxt name."""

from tinynet.torchcaffe.solver_types.sgd import SGDSolver

__all__ = ["SGDSolver"]
