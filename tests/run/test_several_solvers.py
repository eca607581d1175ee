"""``tinynet train`` with several solvers: a run like any other, and exact like any other."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from tests.run import small_runs
from tests.run.small_runs import history, record, train
from tinynet.errors import StoppedEarly, TinynetError
from tinynet.files import read_sealed_json
from tinynet.run import driver
from tinynet.run.paths import RunPaths
from tinynet.run.request import TrainingRequest
from tinynet.run.snapshots import snapshots

TWO = ("--cpu", "--solvers", "2", "--quiet")
# everything that is drawn at random, by each rank from its own streams
RANDOM_NET = small_runs.NET.replace(
    "mean_value: 128 scale: 0.01 }\n  data_param { source: \"data/train",
    "mean_value: 128 scale: 0.01 mirror: true crop_size: 5 }\n  data_param { source: \"data/train",
).replace(
    "mean_value: 128 scale: 0.01 }\n  data_param { source: \"data/val",
    "mean_value: 128 scale: 0.01 crop_size: 5 }\n  data_param { source: \"data/val",
).replace(
    'layer { name: "accuracy"',
    'layer { name: "drop" type: "Dropout" bottom: "fc1" top: "fc1" }\nlayer { name: "accuracy"',
)  # fmt: skip
# the third forward pass of rank 1 fails
FAILING = """
import tinynet.torchcaffe as caffe
class Failing(caffe.Layer):
    passes = 0
    def reshape(self, bottom, top):
        top[0].reshape(1)
    def forward(self, bottom, top):
        Failing.passes += 1
        if caffe.solver_rank() == 1 and Failing.passes == 3:
            raise ValueError("of its own")
"""


@pytest.fixture(autouse=True)
def own_threads(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", f"{small_runs.environment()['PYTHONPATH']}:{folder}")
    monkeypatch.chdir(folder)


def processes() -> list[int]:
    """Process ids of all descendants of this process."""

    def below(process: int) -> list[int]:
        tasks = Path(f"/proc/{process}/task").glob("*/children")
        own = [int(child) for task in tasks for child in task.read_text().split()]
        return own + [other for child in own for other in below(child)]

    return below(os.getpid())


def worker_of(rank: int) -> int:
    def words(process: int) -> list[bytes]:
        return Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")

    (found,) = (
        process
        for process in processes()
        if (w := words(process)) and b"--rank" in w and w[w.index(b"--rank") + 1] == b"%d" % rank
    )
    return found


def request(
    name: str, at: int = -1, do: Callable[[], None] = lambda: None, **more: Any
) -> TrainingRequest:
    """Train two solvers to iteration 60; call ``do`` once iteration ``at`` is displayed."""
    overrides = {"max_iter": "60", "display": "1", "snapshot": "1000", "average_loss": "5"}

    def on_record(found: dict[str, Any]) -> None:
        if found["iteration"] == at and "train_loss" in found:
            do()

    return TrainingRequest(
        solver=Path("small/solver.prototxt"),
        paths=RunPaths(Path("runs/small") / name),
        cpu=True,
        solvers=2,
        quiet=True,
        overrides={**overrides, **more},
        on_record=on_record,
    )


def test_two_solvers_make_a_run_like_any_other(folder: Path) -> None:
    child = train(folder, *TWO)
    assert child.returncode == 0, child.stderr
    assert "on CPU (2 solvers)" in child.stderr
    assert "batch 10 × 2 solvers = 20 images per update" in child.stderr
    found = record(folder)
    assert (found["solvers"], found["effective_batch"]) == (2, 20)
    assert found["device"] == "cpu, 2 solvers"
    log = (folder / small_runs.RUN / "train.log").read_text()
    shown = [
        (int(n), float(rate))
        for n, rate in re.findall(r"Iteration (\d+) \((\S+) iter/s", log)
        if int(n) in (4, 8, 16)
    ]
    images = {r["iteration"]: r.get("images_per_second") for r in history(folder)}
    assert len(shown) == 3
    for iteration, rate in shown:  # without a test since the last display
        assert images[iteration] == pytest.approx(20 * rate, rel=0.2)
    more = train(folder, "--cpu", "--solvers", "3", "--resume", "--max-iter", "30")
    assert more.returncode == 1
    assert "begun with other settings (solvers 2 -> 3); undo the change, or" in more.stderr
    assert len(more.stderr.splitlines()) == 1


def test_two_solvers_stopped_and_resumed_match_an_uninterrupted_run_exactly(folder: Path) -> None:
    (folder / "small/train_val.prototxt").write_text(RANDOM_NET)
    driver.train(request("straight"), print)
    before = processes()

    with pytest.raises(StoppedEarly, match="stopped by SIGTERM at iteration"):
        driver.train(
            request("broken", at=4, do=lambda: os.kill(os.getpid(), signal.SIGTERM)), print
        )
    assert processes() == before
    (stopped,) = snapshots(folder / "runs/small/broken/snapshots")
    assert 4 < stopped.iteration < 60
    driver.train(request("broken"), print)  # keeps its number of solvers without being told

    straight, broken = (
        snapshots(folder / f"runs/small/{name}/snapshots")[-1] for name in ("straight", "broken")
    )
    assert straight.iteration == broken.iteration == 60
    assert straight.model.read_bytes() == broken.model.read_bytes()
    states = [read_sealed_json(each.complete, 1 << 24) for each in (straight, broken)]
    assert len(states[0]["others"]) == 1
    for key in ("nets", "random", "others", "losses"):
        assert states[0][key] == states[1][key]
    assert states[0]["others"][0]["random"] != states[0]["random"]
    shown = [
        [(r["iteration"], r.get("train_loss")) for r in history(folder, Path("runs/small") / name)]
        for name in ("straight", "broken")
    ]
    assert shown[0] == shown[1] and len(shown[0]) == 61


@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_that_is_killed_ends_all_and_the_last_snapshot_remains(
    folder: Path, rank: int
) -> None:
    before = processes()
    asked = request(
        "killed",
        at=12,
        do=lambda: os.kill(worker_of(rank), signal.SIGKILL),
        max_iter="1000000",
        snapshot="10",
    )
    with pytest.raises(TinynetError) as failed:
        driver.train(asked, print)
    assert str(failed.value).startswith(f"rank {rank} of 2 has failed, and with it all")
    assert "was ended by SIGKILL" in str(failed.value)
    assert processes() == before
    assert snapshots(folder / "runs/small/killed/snapshots")[-1].iteration >= 10


def test_the_error_of_one_rank_is_the_reason_given(folder: Path) -> None:
    (folder / "failing_layer.py").write_text(FAILING)
    layer = (
        'layer { name: "p" type: "Python" top: "p" include { phase: TRAIN } '
        'python_param { module: "failing_layer" layer: "Failing" } }\n'
        'layer { name: "s" type: "Silence" bottom: "p" include { phase: TRAIN } }\n'
    )
    (folder / "small/train_val.prototxt").write_text(small_runs.NET + layer)
    before = processes()
    with pytest.raises(TinynetError) as failed:
        driver.train(request("failing"), print)
    assert str(failed.value).startswith("rank 1 of 2 has failed, and with it all (log ")
    assert "ValueError: of its own" in str(failed.value)
    assert "ValueError: of its own" in (folder / "runs/small/failing/rank1.log").read_text()
    assert processes() == before


def test_processes_of_a_launcher_train_one_run_and_end_together(folder: Path) -> None:
    """As torchrun starts them; the second time rank 0 refuses, and no other waits for it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    for arguments in ((), ("--max-norm", "3")):
        both = [
            subprocess.Popen(
                small_runs.command("small/solver.prototxt", "--cpu", "--quiet", *arguments),
                env=small_runs.environment(
                    RANK=str(rank),
                    LOCAL_RANK=str(rank),
                    WORLD_SIZE="2",
                    LOCAL_WORLD_SIZE="2",
                    MASTER_ADDR="127.0.0.1",
                    MASTER_PORT=port,
                ),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for rank in range(2)
        ]
        outputs = [process.communicate(timeout=300) for process in both]
        status = [process.returncode for process in both]
        if not arguments:
            assert status == [0, 0], outputs
            assert outputs[1] == ("", "")
            assert (record(folder)["state"], record(folder)["solvers"]) == ("finished", 2)
        else:
            assert status == [1, 1], outputs
            assert "max-norm None -> 3.0" in outputs[0][1]
            assert (
                outputs[1][1]
                == "tinynet: rank 1 of 2: rank 0 could not start; its message says why\n"
            )
