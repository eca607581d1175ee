"""Several solvers on real Caffe: what Caffe's own train.py calls, on a stand-in that records it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.engine.worker.test_start import STAND_IN, calls, stand_in, work

__all__ = ["stand_in"]  # the fixture

WITH_NCCL = (
    STAND_IN
    + """
class Parameters:
    layer_wise_reduce = True
Solver.param = Parameters()
Solver.add_callback = lambda self, what: _note("add_callback", type(what).__name__)
Net.after_backward = lambda self, what: _note("after_backward", type(what).__name__)
def has_nccl(): return True
def set_solver_count(n): _note("set_solver_count", n)
def set_solver_rank(n): _note("set_solver_rank", n)
def set_multiprocess(on): _note("set_multiprocess", on)
class NCCL:
    def __init__(self, solver, uid): _note("NCCL", uid.decode())
    def bcast(self): _note("bcast")
    @staticmethod
    def new_uid(): return b"where they meet"
"""
)
PART = [
    ["set_solver_count", 2],
    ["set_solver_rank", 1],
    ["set_multiprocess", True],
    ["set_device", 4],
    ["set_mode_gpu"],
    ["get_solver", "s.prototxt"],
    ["NCCL", "where they meet"],
    ["bcast"],
    ["add_callback", "NCCL"],
    ["after_backward", "NCCL"],
]


@pytest.mark.parametrize("rank", [0, 1])
def test_each_rank_makes_the_calls_of_caffes_train_py(stand_in: Path, rank: int) -> None:
    (stand_in.parent / "modules/caffe.py").write_text(WITH_NCCL)
    given = ["--solvers", "2", "--rank", str(rank), "--gpu", str(3 + rank), "--max-iter", "3"]
    uid = b"where they meet".hex()
    child = work(sys.executable, *given, control=f"uid {uid}\n".encode() if rank else b"")
    assert child.returncode == 0, child.log
    own = {1: rank, 3: 3 + rank}
    expected = [[c[0], own[n]] if n in own else c for n, c in enumerate(PART)]
    # rank 0 alone makes the last snapshot, displays and tests
    assert calls(stand_in) == expected + ([] if rank else [["solve", 3]])
    uids = [event["uid"] for event in child.events if event["event"] == "uid"]
    assert uids == ([] if rank else [uid])


def test_only_rank_0_follows_a_stop_request(stand_in: Path) -> None:
    """The parent ends the other ranks, which would otherwise wait for it inside NCCL."""
    (stand_in.parent / "modules/caffe.py").write_text(WITH_NCCL)
    for rank, status in ((0, 75), (1, 0)):
        given = ["--solvers", "2", "--rank", str(rank), "--max-iter", "3"]
        words = b"stop\nuid 00\n" if rank else b"stop\n"
        assert work(sys.executable, *given, control=words).returncode == status


def test_a_caffe_without_nccl_is_refused_in_one_line(stand_in: Path) -> None:
    for module in (STAND_IN, WITH_NCCL + "\ndef has_nccl(): return False\n"):
        (stand_in.parent / "modules/caffe.py").write_text(module)
        child = work(sys.executable, "--solvers", "2", "--rank", "0", "--max-iter", "3")
        assert child.returncode == 1
        assert "is built without NCCL" in child.events[-1]["message"]
        assert "--engine torch" in child.events[-1]["message"]
    assert not stand_in.exists()  # before any device was touched
