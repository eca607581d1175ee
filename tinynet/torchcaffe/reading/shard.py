"""The records that one solver reads, where several train together and share a data set."""

from __future__ import annotations

from typing import NamedTuple

from tinynet.caffeformat import schema
from tinynet.torchcaffe.context import CONTEXT


class Shard(NamedTuple):
    """The records ``first``, ``first + step``, ``first + 2 · step`` …, round and round.

    ``DataLayer::Skip`` (src/caffe/layers/data_layer.cpp): rank r of N solvers reads records
    r, r + N, r + 2N …; the count does not restart where the records start over.
    """

    first: int
    step: int

    @classmethod
    def of_phase(cls, phase: int) -> Shard:
        """The shard of this thread's solver in TRAIN; all records in TEST: only rank 0 tests."""
        if phase == schema.TEST:
            return cls(0, 1)
        return cls(CONTEXT.solver_rank, CONTEXT.solver_count)
