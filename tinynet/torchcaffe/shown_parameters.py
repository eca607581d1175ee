"""``solver.param`` as pycaffe shows it: four fields, of which a script may set one."""

from __future__ import annotations

from tinynet.caffeformat import schema


class ShownParameters:
    """A view of the SolverParameter that a solver runs by, with pycaffe's fields and no others.

    To set ``base_lr`` is to set the solver's; the others are read.
    """

    def __init__(self, parameters: schema.SolverParameter) -> None:
        self._parameters = parameters

    @property
    def max_iter(self) -> int:
        """After how many updates ``solve`` ends."""
        return self._parameters.max_iter

    @property
    def display(self) -> int:
        """Iterations between two lines of loss; 0 is never."""
        return self._parameters.display

    @property
    def layer_wise_reduce(self) -> bool:
        """Whether several GPUs exchange each layer's diffs as soon as they are known."""
        return self._parameters.layer_wise_reduce

    @property
    def base_lr(self) -> float:
        """The rate that ``lr_policy`` starts from."""
        return self._parameters.base_lr

    @base_lr.setter
    def base_lr(self, rate: float) -> None:
        self._parameters.base_lr = rate
