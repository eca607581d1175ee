"""Several solvers, one per process, train a net like one solver with all their records."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import tinynet.torchcaffe as caffe
from tinynet.caffeformat.datum import encode_datum
from tinynet.caffeformat.lmdb import write_store
from tinynet.torchcaffe import parallel
from tinynet.torchcaffe.reading.shard import Shard
from tinynet.torchcaffe.snapshots import hdf5

RECORDS, BATCH, ITERATIONS = 23, 4, 9  # several epochs; none ends with a batch

NET = """
name: "small"
layer {{ name: "data" type: "Data" top: "data" top: "label"
  data_param {{ source: "lmdb" batch_size: {batch} backend: LMDB }}
  transform_param {{ scale: 0.0078125 }} }}
layer {{ name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param {{ num_output: 4 kernel_size: 3 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "relu" type: "ReLU" bottom: "conv" top: "conv" }}
layer {{ name: "ip" type: "InnerProduct" bottom: "conv" top: "ip"
  inner_product_param {{ num_output: 5 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }}
"""
SOLVER = """
net: "{net}" base_lr: 0.05 momentum: 0.9 weight_decay: 0.001 lr_policy: "fixed" max_iter: 100
display: 3 test_iter: 2 test_interval: 4 snapshot: 5 snapshot_prefix: "{net}" random_seed: 3
iter_size: {iter_size} layer_wise_reduce: {layer_wise}
"""
# A process as in Caffe's train.py, on the CPU; its arguments come as JSON.
PROCESS = """
import json, os, sys
import numpy as np
import tinynet.torchcaffe as caffe
solver_file, uid, rank, count, iterations, die_at, out = json.loads(sys.argv[1])
caffe.set_solver_count(count)
caffe.set_solver_rank(rank)
caffe.set_multiprocess(True)
solver = caffe.SGDSolver(solver_file)
own = np.concatenate([blob.data.ravel() for blobs in solver.net.params.values() for blob in blobs])
labels = []
nccl = caffe.NCCL(solver, uid.encode())
nccl.bcast()
solver.add_callback(nccl)
solver.add_callback(lambda: None, lambda: labels.append(solver.net.blobs["label"].data.tolist()))
if solver.param.layer_wise_reduce:
    solver.net.after_backward(nccl)
for _ in range(iterations):
    if solver.iter == die_at and rank == count - 1:
        os._exit(7)
    solver.step(1)
weights = [blob.data for blobs in solver.net.params.values() for blob in blobs]
np.savez(out, own, *weights)
print(json.dumps(labels))
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    numbers = np.random.RandomState(3)
    images = numbers.randint(0, 256, (RECORDS, 3, 9, 8)).astype(np.uint8)
    records = ((b"%04d" % i, encode_datum(p, i % 5)) for i, p in enumerate(images))
    write_store(tmp_path / "lmdb", records)
    for batch in (BATCH, 2 * BATCH):
        (tmp_path / f"net{batch}").write_text(NET.format(batch=batch))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def solver_file(folder: Path, batch: int, layer_wise: bool = False, iter_size: int = 1) -> Path:
    text = SOLVER.format(net=f"net{batch}", layer_wise=str(layer_wise).lower(), iter_size=iter_size)
    (folder / f"solver{batch}").write_text(text)
    return folder / f"solver{batch}"


def start_rank(
    solver: Path, uid: bytes, rank: int, count: int, iterations: int = ITERATIONS, die_at: int = -1
) -> subprocess.Popen[str]:
    out = str(solver.parent / f"rank{rank}.npz")
    given = json.dumps([str(solver), uid.decode(), rank, count, iterations, die_at, out])
    return subprocess.Popen(
        [sys.executable, "-c", PROCESS, given],
        cwd=solver.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "GLOG_minloglevel": "0", "OMP_NUM_THREADS": "1"},
    )


def run_two_ranks(solver: Path, **options: int) -> list[tuple[int, str, str]]:
    """Run two ranks; return exit status, output and log of each."""
    uid = caffe.NCCL.new_uid()
    both = [start_rank(solver, uid, rank, 2, **options) for rank in range(2)]
    try:
        ended = [process.communicate(timeout=300) for process in both]
    finally:
        for process in both:
            process.kill()
    return [(process.returncode, *said) for process, said in zip(both, ended)]


def train_alone(solver: Path, iterations: int = ITERATIONS) -> list[np.ndarray]:
    """Train one solver in this process and return its weights."""
    one = caffe.SGDSolver(str(solver))
    one.step(iterations)
    return [np.array(blob.data) for blobs in one.net.params.values() for blob in blobs]


def displacement(solver: Path, begun: np.ndarray) -> np.ndarray:
    """Return how far one solver's steps move all weights from ``begun``."""
    return np.concatenate([each.ravel() for each in train_alone(solver)]) - begun


def weights_of(folder: Path, rank: int) -> list[np.ndarray]:
    with np.load(folder / f"rank{rank}.npz") as found:
        return [found[name] for name in found.files]


@pytest.mark.parametrize(("layer_wise", "iter_size"), [(False, 1), (True, 2)])
def test_two_solvers_take_the_steps_of_one_solver_with_both_batches(
    folder: Path, layer_wise: bool, iter_size: int
) -> None:
    """Records are dealt in turn: both solvers' batches i are batch i of one of twice the size.

    Only rank 0 logs and saves.
    """
    ended = run_two_ranks(solver_file(folder, BATCH, layer_wise, iter_size))
    assert [status for status, _, _ in ended] == [0, 0], ended
    ranks = [weights_of(folder, rank) for rank in range(2)]
    for first, second in zip(ranks[0][1:], ranks[1][1:]):
        np.testing.assert_array_equal(first, second)
    begun, *trained = ranks[0]
    two = np.concatenate([each.ravel() for each in trained]) - begun
    one = displacement(solver_file(folder, 2 * BATCH, iter_size=iter_size), begun)
    # one process with two passes per batch: the same records, summed in another order
    halves = displacement(solver_file(folder, BATCH, iter_size=2 * iter_size), begun)
    apart = np.linalg.norm(halves - one)
    assert 0 < apart < 1e-5 * np.linalg.norm(one)
    assert np.linalg.norm(two - one) <= 3 * apart
    assert np.abs(one).max() > 0.01
    assert not np.array_equal(ranks[0][0], ranks[1][0]), "the seed is random_seed + rank"
    for rank, (_, output, _) in enumerate(ended):
        passes = [(rank + 2 * i) % RECORDS % 5 for i in range(BATCH * ITERATIONS * iter_size)]
        dealt = np.reshape(passes, (ITERATIONS, iter_size, BATCH))[:, -1].ravel().tolist()
        assert sum(json.loads(output), []) == dealt
    logs = [log for _, _, log in ended]
    assert "Iteration 6 (" in logs[0] and "Testing net" in logs[0] and "Restarting" in logs[0]
    assert logs[1] == ""
    assert sorted(path.name for path in folder.glob("net4_*")) == [
        "net4_iter_5.caffemodel",
        "net4_iter_5.solverstate",
    ]


def test_a_rank_that_dies_ends_the_others_and_leaves_the_last_snapshot(folder: Path) -> None:
    ended = run_two_ranks(solver_file(folder, BATCH), die_at=7)
    assert ended[1][0] == 7
    assert ended[0][0] == 1
    assert "rank 0 of 2 lost another rank, which has ended" in ended[0][2]
    assert "resume all of them from the last snapshot" in ended[0][2]
    again = caffe.SGDSolver(str(folder / "solver4"))
    again.restore(folder / "net4_iter_5.solverstate")
    assert again.iter == 5


# ------------------------------------------------------------------------ in one process


@pytest.fixture
def two_solvers() -> Iterator[None]:
    """Two solvers; a test sets the rank of its own.  Afterwards there is one again."""
    caffe.set_solver_count(2)
    yield
    caffe.set_solver_count(1)
    caffe.set_solver_rank(0)
    caffe.set_multiprocess(False)


def test_solver_count_and_rank_are_what_was_set(two_solvers: None) -> None:
    assert caffe.has_nccl()
    assert (caffe.solver_count(), caffe.solver_rank()) == (2, 0)
    caffe.set_solver_rank(1)
    assert caffe.solver_rank() == 1
    assert Shard.of_phase(caffe.TRAIN) == (1, 2)
    assert Shard.of_phase(caffe.TEST) == (0, 1)
    with pytest.raises(caffe.CaffeError, match="at least 1; got 0"):
        caffe.set_solver_count(0)
    with pytest.raises(caffe.CaffeError, match="0 or more; got -1"):
        caffe.set_solver_rank(-1)
    assert caffe.NCCL.new_uid() != caffe.NCCL.new_uid()


def test_a_single_solver_may_form_a_group_of_one(folder: Path) -> None:
    solver = caffe.SGDSolver(str(solver_file(folder, BATCH)))
    nccl = caffe.NCCL(solver, caffe.NCCL.new_uid())
    nccl.bcast()
    solver.add_callback(nccl)
    solver.step(ITERATIONS)
    joined = [np.array(blob.data) for blobs in solver.net.params.values() for blob in blobs]
    for mine, expected in zip(joined, train_alone(folder / "solver4")):
        np.testing.assert_array_equal(mine, expected)


def test_the_folder_where_ranks_meet_is_there_until_the_first_transfer(folder: Path) -> None:
    """NCCL connects the GPUs only then, and asks the store in that folder how."""
    uid = caffe.NCCL.new_uid()
    where = Path(uid.decode().removeprefix("file://")).parent
    nccl = caffe.NCCL(caffe.SGDSolver(str(solver_file(folder, BATCH))), uid)
    assert where.is_dir()
    nccl.bcast()
    assert not where.exists()


def test_a_solver_can_join_once_an_earlier_nccl_object_is_collected(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a reader's thread is collecting it already, another collection does nothing."""
    solver = caffe.SGDSolver(str(solver_file(folder, BATCH)))
    earlier = caffe.NCCL(solver, caffe.NCCL.new_uid())
    monkeypatch.setattr(parallel, "_RELEASE", 0.0)
    with pytest.raises(caffe.CaffeError, match="one NCCL per process at a time"):
        caffe.NCCL(solver, caffe.NCCL.new_uid())
    monkeypatch.setattr(parallel, "_RELEASE", 60.0)
    collections = iter([lambda: None, earlier._end])
    monkeypatch.setattr(parallel, "gc", SimpleNamespace(collect=lambda: next(collections)()))
    caffe.NCCL(solver, caffe.NCCL.new_uid())
    assert not list(collections)


def test_gpus_that_nccl_cannot_connect_are_named_in_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NCCL checks them only when the first numbers are to be moved."""
    import torch.distributed as dist

    def fail(*given: Any, **how: Any) -> None:
        raise RuntimeError(
            "NCCL error in: /pytorch/NCCLUtils.cpp:93, invalid usage, NCCL version 2.28.9\n"
            "ncclInvalidUsage: This usually reflects invalid usage of NCCL library.\n"
            "Last error:\nDuplicate GPU detected : rank 0 and rank 1 both on CUDA device ac000\n"
        )

    nccl = caffe.NCCL(caffe.SGDSolver(str(solver_file(folder, BATCH))), caffe.NCCL.new_uid())
    monkeypatch.setattr(dist, "broadcast", fail)
    with pytest.raises(caffe.CaffeError) as error:
        nccl.bcast()
    assert str(error.value).startswith(
        "rank 0 of 1 cannot give or take weights: Duplicate GPU detected : rank 0 and rank 1 both "
        "on CUDA device ac000; each rank needs its own GPU"
    )


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("Connection closed by peer [127.0.0.1]:43210", parallel.Ended),
        ("CUDA error: unspecified launch failure\nCUDA kernel errors might be", RuntimeError),
    ],
)
def test_a_failure_of_a_ranks_own_gpu_is_not_reported_as_another_rank_that_has_ended(
    folder: Path, said: str, kind: type[Exception]
) -> None:
    class Work:
        def wait(self) -> None:
            raise RuntimeError(said)

    nccl = caffe.NCCL(caffe.SGDSolver(str(solver_file(folder, BATCH))), caffe.NCCL.new_uid())
    with pytest.raises(RuntimeError) as error:
        nccl._wait(Work())  # type: ignore[arg-type]
    assert type(error.value) is kind


def test_a_solver_that_cannot_join_is_refused_with_the_reason(
    folder: Path, two_solvers: None
) -> None:
    caffe.set_solver_rank(2)
    solver = caffe.SGDSolver(str(solver_file(folder, BATCH)))
    with pytest.raises(caffe.CaffeError, match="from 0 to solver_count - 1; got 2 of 2"):
        caffe.NCCL(solver, caffe.NCCL.new_uid())
    with pytest.raises(caffe.CaffeError, match=r"solve\(\) is for the solver of rank 0, not 2"):
        solver.solve()
    with pytest.raises(caffe.CaffeError, match=r"snapshot\(\) is for the solver of rank 0, not 2"):
        solver.snapshot()
    caffe.set_solver_rank(1)
    with pytest.raises(caffe.CaffeError, match="^uid 'here' is not one of"):
        caffe.NCCL(solver, b"here")
    with pytest.raises(caffe.CaffeError, match="^uid file://.* no such folder on this machine$"):
        caffe.NCCL(solver, "file:///nowhere/store")

    def has_ended() -> None:
        raise caffe.CaffeError("rank 0 has ended")

    with pytest.raises(caffe.CaffeError, match="^rank 0 has ended$"):
        caffe.NCCL(solver, caffe.NCCL.new_uid(), has_ended)
    with pytest.raises(TypeError, match="or an NCCL; got one function"):
        solver.add_callback(lambda: None)  # type: ignore[call-overload]


def test_a_python_layer_trains_in_parallel_only_in_a_process_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, two_solvers: None
) -> None:
    (tmp_path / "nothing_at_all.py").write_text(
        "import tinynet.torchcaffe as caffe\n"
        "class Nothing(caffe.Layer):\n"
        "    def reshape(self, bottom, top):\n        top[0].reshape(1)\n"
        "    def forward(self, bottom, top):\n        top[0].data[...] = 1\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    net = tmp_path / "net"
    net.write_text(
        'layer { name: "p" type: "Python" top: "p" '
        'python_param { module: "nothing_at_all" layer: "Nothing" } }'
    )
    with pytest.raises(caffe.CaffeError, match=r"call set_multiprocess\(True\)"):
        caffe.Net(str(net), caffe.TRAIN)
    caffe.Net(str(net), caffe.TEST)
    caffe.set_multiprocess(True)
    caffe.Net(str(net), caffe.TRAIN)


@pytest.mark.parametrize("rank", [0, 1, 2])
def test_rows_of_hdf5_files_are_dealt_out_in_turn(
    rank: int, tmp_path: Path, two_solvers: None
) -> None:
    h5py = pytest.importorskip("h5py")
    hdf5.require()
    for number, rows in enumerate((5, 1, 3)):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file["x"] = 10 * number + np.arange(rows, dtype=np.float32)[:, None]
    (tmp_path / "list").write_text(" ".join(str(tmp_path / f"{i}.h5") for i in range(3)))
    net = tmp_path / "net"
    net.write_text(
        'layer { name: "x" type: "HDF5Data" top: "x" '
        f'hdf5_data_param {{ source: "{tmp_path}/list" batch_size: 4 }} }}'
    )
    caffe.set_solver_count(3)
    caffe.set_solver_rank(rank)
    everything = [0, 1, 2, 3, 4, 10, 20, 21, 22]
    made = caffe.Net(str(net), caffe.TRAIN)
    taken = [float(row) for _ in range(3) for row in made.forward()["x"].ravel()]
    assert taken == [everything[(rank + 3 * i) % 9] for i in range(12)]
