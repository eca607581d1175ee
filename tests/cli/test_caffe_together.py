"""``tinynet caffe train`` with several processes: started by itself, or by a launcher."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests import children
from tests.cli.test_caffe import NET, ROOT, wait_for
from tinynet.caffeformat import binary, schema
from tinynet.errors import UsageError
from tinynet.launcher import first_host, processes_sharing_cores, this_process
from tinynet.torchcaffe.errors import CaffeError
from tinynet.torchcaffe.pycaffe.ranks import Ranks

SOLVER = """
net: "net.prototxt" base_lr: 0.1 lr_policy: "fixed" max_iter: {iterations} display: 10
snapshot_prefix: "endless" snapshot: {snapshot} random_seed: 1 iter_size: 3
"""


def start(
    folder: Path,
    *arguments: str,
    iterations: int = 100000000,
    snapshot: int = 0,
    given: dict[str, str] | None = None,
) -> subprocess.Popen[str]:
    (folder / "net.prototxt").write_text(NET)
    solver = SOLVER.format(iterations=iterations, snapshot=snapshot)
    (folder / "solver.prototxt").write_text(solver)
    environment = {k: v for k, v in os.environ.items() if k != "GLOG_minloglevel"}
    environment.update(PYTHONPATH=str(ROOT), **(given or {}))
    words = [sys.executable, "-m", "tinynet", "caffe", "train", "-solver=solver.prototxt"]
    return children.start([*words, *arguments], folder, environment=environment)


def descendants(process: int) -> list[int]:
    tasks = Path(f"/proc/{process}/task").glob("*/children")
    own = [int(child) for task in tasks for child in task.read_text().split()]
    return own + [below for child in own for below in descendants(child)]


def test_two_processes_train_to_the_end_and_only_rank_0_logs(tmp_path: Path) -> None:
    process = start(tmp_path, "-solvers", "2", iterations=25)
    _, log = process.communicate(timeout=300)
    assert process.returncode == 0, log
    assert "Effective batch: 12 (2 solvers of 6 each)" in log
    shown = re.findall(r"Iteration (\d+) \(", log)
    assert shown == ["0", "10", "20"]
    assert log.count("Optimization Done.") == 2  # the solver's and the program's, as in Caffe
    assert binary.read(tmp_path / "endless_iter_25.solverstate", schema.SolverState).iter == 25


def test_a_rank_that_is_killed_ends_all_with_one_line_and_the_last_snapshot(tmp_path: Path) -> None:
    process = start(tmp_path, "-solvers", "2", snapshot=20)
    wait_for(process, r"Iteration 30 ")
    worker, *others = descendants(process.pid)
    assert len(others) == 1
    os.kill(others[0], signal.SIGKILL)
    _, log = process.communicate(timeout=300)
    assert process.returncode == 1
    *_, last = log.splitlines()
    assert last == (
        "tinynet: rank 1 of 2 has ended (signal 9), which ended the training; "
        "resume from the last snapshot"
    )
    assert not Path(f"/proc/{worker}").exists()
    assert (tmp_path / "endless_iter_20.solverstate").exists()


def test_ranks_that_fail_before_they_meet_leave_no_folder_behind(tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    process = start(
        tmp_path, "-solvers", "2", "-weights=none.caffemodel", given={"TMPDIR": str(temporary)}
    )
    _, log = process.communicate(timeout=300)
    assert process.returncode == 1 and "none.caffemodel" in log.splitlines()[-1]
    assert not list(temporary.glob("tinynet-solvers-*"))


def test_processes_of_a_launcher_meet_and_stop_together(tmp_path: Path) -> None:
    """As torchrun starts them: the size and each process's rank come from variables."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    meet = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    both = [
        start(tmp_path, given={"RANK": str(rank), "LOCAL_RANK": str(rank), **meet})
        for rank in range(2)
    ]
    wait_for(both[0], r"Iteration 10 ")
    both[0].send_signal(signal.SIGINT)
    ended = [process.communicate(timeout=300)[1] for process in both]
    assert [process.returncode for process in both] == [75, 75], ended
    assert len(list(tmp_path.glob("*.solverstate"))) == 1


# ------------------------------------------------------------------------ in one process


def set_launcher_variables(monkeypatch: pytest.MonkeyPatch, **given: str) -> None:
    for name in list(os.environ):
        if name.startswith("SLURM_") or name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
            monkeypatch.delenv(name)
    for name in ("MASTER_ADDR", "MASTER_PORT"):  # so that what is set here is undone
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    for name, value in given.items():
        monkeypatch.setenv(name, value)


def test_rank_and_size_are_those_that_the_launcher_gave(monkeypatch: pytest.MonkeyPatch) -> None:
    set_launcher_variables(monkeypatch)
    assert this_process() is None
    set_launcher_variables(
        monkeypatch, SLURM_PROCID="0", SLURM_NTASKS="4"
    )  # sbatch's own, without srun
    assert this_process() is None
    set_launcher_variables(monkeypatch, RANK="0", WORLD_SIZE="1")
    assert this_process() is None
    set_launcher_variables(monkeypatch, RANK="3", WORLD_SIZE="4", LOCAL_RANK="1")
    assert this_process() == (3, 4, 1)
    set_launcher_variables(monkeypatch, RANK="x", WORLD_SIZE="4")
    with pytest.raises(UsageError, match="must be numbers; got x, 4, x"):
        this_process()
    slurm = {"SLURM_PROCID": "5", "SLURM_STEP_NUM_TASKS": "8", "SLURM_LOCALID": "1"}
    slurm |= {"SLURM_STEP_NODELIST": "gpu[07-09,12]", "SLURM_JOB_ID": "41", "SLURM_STEP_ID": "2"}
    set_launcher_variables(monkeypatch, **slurm)
    assert this_process() == (5, 8, 1)
    assert (os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"]) == ("gpu07", "21273")


def test_each_process_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    set_launcher_variables(monkeypatch, RANK="3", WORLD_SIZE="4", LOCAL_RANK="1")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert Ranks(4).device([4, 6]) == 6
    assert Ranks(1).device([]) is None
    with pytest.raises(CaffeError, match="process 1 of this machine has no GPU"):
        Ranks(1).device([0])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5")  # Slurm's, for this task
    assert Ranks(1).device([0]) == 0
    with pytest.raises(CaffeError, match="2 solvers were asked for, but the launcher started 4"):
        Ranks(2)


@pytest.mark.parametrize(
    ("hosts", "first"),
    [("node1", "node1"), ("gpu[07-09,12],login1", "gpu07"), ("a,b", "a"), ("a-1[3,5]", "a-13")],
)
def test_the_first_host_of_a_slurm_host_list_is_found(hosts: str, first: str) -> None:
    assert first_host(hosts) == first


@pytest.mark.parametrize(
    ("given", "processes"),
    [
        ({}, 1),
        ({"LOCAL_WORLD_SIZE": "4"}, 4),
        ({"SLURM_STEP_TASKS_PER_NODE": "2(x3),1"}, 2),
        ({"SLURM_STEP_TASKS_PER_NODE": "2", "SLURM_CPUS_PER_TASK": "3"}, 1),
        ({"SLURM_STEP_TASKS_PER_NODE": "2", "SLURM_CPU_BIND": "quiet,mask_cpu:0x1,0x2"}, 1),
    ],
)
def test_cores_are_divided_unless_the_launcher_has_done_so(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], processes: int
) -> None:
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    set_launcher_variables(monkeypatch, **given)
    assert processes_sharing_cores() == processes
