"""``solver.param`` as pycaffe shows it: four fields, one of which a script may set."""

from __future__ import annotations

from tinynet.caffeformat import schema


class ShownParameters:
    """A view of a solver's SolverParameter with only the fields that pycaffe shows.

    Setting ``base_lr`` sets the solver's; the other fields are read-only.
    """

    def __init__(self, parameters: schema.SolverParameter) -> None:
        self._parameters = parameters

    @property
    def max_iter(self) -> int:
        """The number of updates after which ``solve`` ends."""
        return self._parameters.max_iter

    @property
    def display(self) -> int:
        """Iterations between two displays of the loss; 0 for none."""
        return self._parameters.display

    @property
    def layer_wise_reduce(self) -> bool:
        """Whether several solvers average each layer's diffs as soon as they are computed."""
        return self._parameters.layer_wise_reduce

    @property
    def base_lr(self) -> float:
        """The learning rate from which ``lr_policy`` starts."""
        return self._parameters.base_lr

    @base_lr.setter
    def base_lr(self, rate: float) -> None:
        self._parameters.base_lr = rate
