"""Which records are this solver's, where several deal them out among themselves in turn."""

from __future__ import annotations

from typing import NamedTuple

from tinynet.caffeformat import schema
from tinynet.torchcaffe.context import CONTEXT


class Turn(NamedTuple):
    """The records ``first``, ``first + step``, ``first + 2 · step`` …, round and round.

    ``DataLayer::Skip`` (src/caffe/layers/data_layer.cpp): rank r of N solvers keeps what comes as
    number r, r + N, r + 2N …; the count runs on where the records start over.
    """

    first: int
    step: int

    @classmethod
    def of_phase(cls, phase: int) -> Turn:
        """This thread's solver's turn in TRAIN; every record in TEST, since rank 0 alone tests."""
        if phase == schema.TEST:
            return cls(0, 1)
        return cls(CONTEXT.solver_rank, CONTEXT.solver_count)
