"""The environment of workers: passive waits, the allocator's settings, number of threads."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.engine.test_process import stand_in
from tinynet.engine import environment
from tinynet.engine.process import start_worker

WAITS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
KEPT = ("MALLOC_MMAP_MAX_", "MALLOC_TRIM_THRESHOLD_")
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@pytest.fixture(autouse=True)
def no_user_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*WAITS, *KEPT, *THREADS, "SLURM_CPUS_PER_TASK"):
        monkeypatch.delenv(name, raising=False)


def test_a_worker_gets_all_settings_and_those_that_the_caller_adds(tmp_path: Path) -> None:
    engine = stand_in(
        tmp_path, f"json.dump(dict(os.environ), open({str(tmp_path / 'seen')!r}, 'w'))"
    )
    with start_worker(engine, ["train"], threads=3, variables={"OMP_NUM_THREADS": "5"}) as worker:
        worker.finish()
    seen = json.loads((tmp_path / "seen").read_text())
    assert seen["OMP_WAIT_POLICY"] == "passive" and seen["GLOG_logtostderr"] == "1"
    assert [seen[name] for name in THREADS] == ["5", "3", "3"]
    assert (
        seen["OMP_DYNAMIC"] == "false"
    )  # the load of the machine must not change the number of threads
    assert seen["PATH"] == os.environ["PATH"]


@pytest.mark.parametrize("name", WAITS)
def test_a_users_own_thread_wait_policy_is_kept(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "7")
    assert not set(WAITS) & set(environment.of_worker("torch"))


def test_only_the_torch_engine_keeps_freed_memory_unless_the_user_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert set(KEPT) <= set(environment.of_worker("torch"))
    assert not set(KEPT) & set(environment.of_worker("caffe"))
    monkeypatch.setenv("MALLOC_MMAP_MAX_", "100")
    assert not set(KEPT) & set(environment.of_worker("torch"))


def test_without_a_given_number_a_worker_uses_the_available_cores_up_to_the_users_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(environment, "usable_threads", lambda: 4)
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    monkeypatch.setenv("MKL_NUM_THREADS", "9")
    found = environment.of_worker("caffe")
    assert [found[name] for name in THREADS] == ["4", "4", "2"]
