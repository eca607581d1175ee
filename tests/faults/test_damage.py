"""Damaged files, full disks, missing data, signals: an exact result or a clear message, never a
wrong result in silence."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.conftest import ITERATIONS
from tests.faults.trials import Job, Tally
from tests.run import small_runs, small_stages

Unfinished = Callable[[], Job]
LONG = pytest.mark.long


def flip(path: Path, at: float) -> None:
    """Flip one bit, at the fraction ``at`` of the file."""
    data = bytearray(path.read_bytes())
    data[int(at * (len(data) - 1))] ^= 4
    path.write_bytes(data)


def cut(path: Path, at: float) -> None:
    path.write_bytes(path.read_bytes()[: int(at * path.stat().st_size)])


DAMAGES = {"cut": cut, "bit flipped": flip}


@pytest.mark.parametrize(
    ("suffix", "damage"),
    [
        ("caffemodel", "bit flipped"),
        pytest.param("caffemodel", "cut", marks=LONG),
        pytest.param("solverstate", "cut", marks=LONG),
        pytest.param("solverstate", "bit flipped", marks=LONG),
        pytest.param("complete.json", "cut", marks=LONG),
        pytest.param("complete.json", "bit flipped", marks=LONG),
        pytest.param("sha256", "cut", marks=LONG),
        pytest.param("sha256", "bit flipped", marks=LONG),
    ],
)
@pytest.mark.parametrize(
    "at", [0.6, pytest.param(0.05, marks=LONG), pytest.param(0.95, marks=LONG)]
)
def test_a_damaged_snapshot_is_passed_over_and_the_final_weights_are_identical(
    unfinished: Unfinished, uninterrupted: Job, suffix: str, damage: str, at: float, tally: Tally
) -> None:
    job = unfinished()
    DAMAGES[damage](job.run / f"snapshots/snapshot_iter_20.{suffix}", at)
    status, errors = job.finish()
    assert status == 0, errors
    assert "passed over" in errors and f"snapshot_iter_20.{suffix}" in errors
    assert job.record()["sessions"][-1]["from"] == 16
    assert job.weights(ITERATIONS) == uninterrupted.weights(ITERATIONS)
    assert job.history() == uninterrupted.history()
    tally.add(f"snapshot's {suffix}, {damage}")


@LONG
def test_a_moved_run_resumes_to_identical_weights(
    unfinished: Unfinished, uninterrupted: Job, tally: Tally
) -> None:
    job = unfinished()
    status, errors = job.finish()
    assert status == 0 and "passed over" not in errors, errors
    assert job.record()["sessions"][-1]["from"] == 20
    assert job.weights(ITERATIONS) == uninterrupted.weights(ITERATIONS)
    assert job.history() == uninterrupted.history()
    tally.add("run directory copied elsewhere")


@LONG
@pytest.mark.parametrize("number", range(3))
def test_a_damaged_history_is_rebuilt_from_the_log(
    unfinished: Unfinished, uninterrupted: Job, number: int, tally: Tally
) -> None:
    job = unfinished()
    path = job.run / "history.jsonl"
    text = path.read_text()
    damaged = (
        text[: len(text) // 3],
        text.replace('"train_loss": 1.', '"train_loss": 3.', 1),
        text.replace("iteration", "iterat\x00on", 1),
    )
    assert damaged[number] != text
    path.write_text(damaged[number])
    status, errors = job.finish()
    assert status == 0, errors
    assert "has been made from it again" in errors
    assert job.history() == uninterrupted.history()
    tally.add("history cut, or a bit flipped")


@LONG
@pytest.mark.parametrize("name", ["train_val.prototxt", "solver.prototxt", "run.json"])
def test_damaged_prototxt_and_run_json_are_refused(
    unfinished: Unfinished, name: str, tally: Tally
) -> None:
    job = unfinished()
    path = job.run / name
    text = path.read_text()
    path.write_text(text.replace("0.9", "0.8", 1) if name == "solver.prototxt" else text[:-40])
    child = subprocess.run(
        small_runs.command(str(job.run)),
        cwd=job.folder,
        env=small_runs.environment(),
        capture_output=True,
        text=True,
    )
    assert child.returncode == 1
    assert name in small_runs.last_line(child) and "Traceback" not in child.stderr
    tally.add(f"{name} damaged: refused")


# ------------------------------------------------------------------ data


@pytest.fixture
def own_data(tmp_path: Path) -> Job:
    """A run whose own converted data, with a manifest, may be damaged."""
    from tinynet.dataset.lmdb_contents import sample_of
    from tinynet.dataset.manifest import Manifest, write_manifest

    small_stages.write_data(tmp_path)
    data = tmp_path / "data"
    counts = {"train": small_stages.TRAIN_IMAGES, "val": small_stages.VAL_IMAGES, "test": 0}
    write_manifest(
        Manifest(
            counts=counts,
            wnids=[f"n{n}" for n in range(small_stages.CLASSES)],
            class_names=["a"] * small_stages.CLASSES,
            shape=(3, 64, 64),
            mean_values=(1.0, 2.0, 3.0),
            seed=1,
            source="drawn",
            source_sha256="0",
            names={split: small_stages.names(count) for split, count in counts.items()},
            labelled={"train": True, "val": True, "test": False},
            digests={
                **{split: sample_of(data / f"{split}_lmdb").digest for split in ("train", "val")},
                "test": "",
            },
        ),
        data,
    )
    solver = small_stages.write_stage(tmp_path, 7, max_iter=4000, snapshot=20, display=5)
    job = Job(tmp_path, solver)
    job.run = tmp_path / "runs/stage7/seed1"
    return job


@pytest.mark.parametrize("at", [0.5, *(pytest.param(n / 12, marks=LONG) for n in range(1, 12))])
@pytest.mark.parametrize("damage", ["bit flipped", pytest.param("cut", marks=LONG)])
def test_a_damaged_lmdb_is_refused_unless_no_record_was_touched(
    own_data: Job, damage: str, at: float, tally: Tally
) -> None:
    path = own_data.folder / "data/train_lmdb/data.mdb"
    DAMAGES[damage](path, at)
    status, errors = own_data.finish("--max-iter", "3")
    assert "Traceback" not in errors
    if status == 0:
        # the damage hit an unused page, or lies behind the last record
        from tinynet.dataset.lmdb_contents import sample_of

        assert sample_of(path.parent)
    else:
        assert status == 1 and "train_lmdb" in errors.strip().splitlines()[-1], errors
        assert not own_data.run.exists()
    tally.add(f"LMDB, {damage}: refused, or no record touched")


@LONG
@pytest.mark.parametrize("damage", ["bit flipped", "cut"])
@pytest.mark.parametrize("at", [0.1, 0.5, 0.8])
def test_a_damaged_manifest_is_refused(own_data: Job, damage: str, at: float, tally: Tally) -> None:
    DAMAGES[damage](own_data.folder / "data/manifest.json", at)
    status, errors = own_data.finish("--max-iter", "3")
    assert status == 1 and "manifest.json" in errors.strip().splitlines()[-1], errors
    tally.add(f"manifest, {damage}: refused")


@LONG
def test_a_running_job_survives_the_deletion_of_its_lmdb(own_data: Job, tally: Tally) -> None:
    own_data.start("--max-iter", "200")
    assert own_data.wait_until(lambda: own_data.sealed() >= 20)
    shutil.rmtree(own_data.folder / "data")
    errors = own_data.end()
    assert own_data.child is not None and own_data.child.returncode == 0, errors
    status, errors = own_data.finish("--max-iter", "300", "--resume")
    assert status == 1 and "no such database" in errors.strip().splitlines()[-1]
    tally.add("LMDB deleted under a running job")


@LONG
def test_an_lmdb_truncated_under_a_running_job_ends_it_with_a_message(
    own_data: Job, tally: Tally
) -> None:
    whole = (own_data.folder / "data/train_lmdb/data.mdb").read_bytes()
    own_data.start("--max-iter", "4000")
    assert own_data.wait_until(lambda: own_data.sealed() >= 20)
    os.truncate(own_data.folder / "data/train_lmdb/data.mdb", len(whole) // 4)
    errors = own_data.end()
    assert own_data.child is not None and own_data.child.returncode in (0, 1), errors
    if own_data.child.returncode == 1:  # a reader that holds all in memory does not notice
        assert "cut short" in errors.strip().splitlines()[-1], errors
    tally.add("LMDB cut under a running job")


# ------------------------------------------------------------------ disks


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """A file system of ``size`` at ``folder``; skips where it cannot be mounted."""
    folder.mkdir(parents=True, exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("no file system can be mounted here: not root")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize(
    "free_kib", [pytest.param(kb, marks=LONG if kb != 100 else ()) for kb in (4, 60, 100, 240, 700)]
)
def test_a_full_disk_ends_the_run_with_a_message_and_it_resumes_to_identical_weights(
    uninterrupted: Job, job: Job, free_kib: int, tally: Tally
) -> None:
    """``free_kib`` are left on the disk after the first snapshot."""
    with small_disk(job.folder / "runs", "8m"):
        job.start("--keep", "0")
        job.wait_until(lambda: job.sealed() >= 4)
        ballast = job.folder / "runs/ballast"
        free = shutil.disk_usage(job.folder / "runs").free
        with contextlib.suppress(OSError):
            ballast.write_bytes(bytes(max(0, free - free_kib * 1024)))
        errors = job.end()
        assert job.child is not None
        if job.child.returncode != 0:
            assert job.child.returncode == 1 and "Traceback" not in errors
            assert "space" in errors.strip().splitlines()[-1].lower(), errors
        assert job.sealed() >= 4
        ballast.unlink()
        status, errors = job.finish("--keep", "0")
        assert status == 0, errors
        assert job.weights(ITERATIONS) == uninterrupted.weights(ITERATIONS)
        assert job.history() == uninterrupted.history()
    tally.add("disk full")


@LONG
def test_a_file_size_limit_ends_the_run_with_a_message(
    uninterrupted: Job, job: Job, tally: Tally
) -> None:
    """Stands for a disk quota, which a test cannot set."""

    limit = uninterrupted.run / "snapshots/snapshot_iter_4.caffemodel"
    size = limit.stat().st_size // 2

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    child = subprocess.run(
        small_runs.command(*job._arguments),
        cwd=job.folder,
        env=small_runs.environment(),
        capture_output=True,
        text=True,
        preexec_fn=limited,
    )
    assert child.returncode == 1
    assert "large" in small_runs.last_line(child), child.stderr
    assert not list((job.run / "snapshots").iterdir()), "a torn file was left"
    assert job.finish()[0] == 0
    assert job.weights(ITERATIONS) == uninterrupted.weights(ITERATIONS)
    tally.add("file size limit")


@LONG
def test_a_read_only_run_directory_is_refused_with_a_message(
    unfinished: Unfinished, tally: Tally
) -> None:
    job = unfinished()
    whole = {path: path.read_bytes() for path in job.run.rglob("*") if path.is_file()}
    aside = job.folder / "aside"
    shutil.copytree(job.run, aside)
    with small_disk(job.run, "8m"):
        shutil.copytree(aside, job.run, dirs_exist_ok=True)
        subprocess.run(["mount", "-o", "remount,ro", str(job.run)], check=True)
        status, errors = job.finish()
        assert status == 1 and "Traceback" not in errors
        assert "read-only" in errors.strip().splitlines()[-1].lower(), errors
    assert {path: path.read_bytes() for path in whole} == whole
    tally.add("read-only run directory: refused")


# ------------------------------------------------------------------ signals, locks


@pytest.mark.parametrize(
    "name",
    ["SIGUSR1", "SIGTERM", "SIGINT", "SIGHUP"],
)
@pytest.mark.parametrize("to", ["group", "parent"])
@LONG
def test_a_signal_leaves_a_snapshot_and_the_run_resumes_to_identical_weights(
    uninterrupted: Job, job: Job, name: str, to: str, tally: Tally
) -> None:
    child = job.start()
    assert job.wait_until(lambda: job.sealed() >= 8)
    number = getattr(signal, name)
    os.killpg(child.pid, number) if to == "group" else child.send_signal(number)
    errors = job.end()
    assert child.returncode in (75, 0), errors
    if child.returncode == 75:
        assert name in errors.strip().splitlines()[-1]
        assert job.sealed() == job.record()["iteration"] >= 8
    status, errors = job.finish()
    assert status == 0, errors
    assert job.weights(ITERATIONS) == uninterrupted.weights(ITERATIONS)
    assert job.history() == uninterrupted.history()
    tally.add(f"{name} to the {to}")


@LONG
def test_a_second_run_in_the_directory_is_refused_and_a_stale_lock_is_not_in_the_way(
    uninterrupted: Job, job: Job, tally: Tally
) -> None:
    child = job.start()
    assert job.wait_until(lambda: (job.run / "run.holder").exists())
    second = Job(job.folder, Path(job._arguments[0]))
    status, errors = second.finish()
    assert status == 1 and f"process {child.pid} on {os.uname().nodename}" in errors
    tally.add("two runs on one directory: the second refused")
    job.kill("parent")
    assert (job.run / "run.lock").exists() and (job.run / "run.holder").exists()
    status, errors = job.finish()
    assert status == 0, errors
    assert job.weights(ITERATIONS) == uninterrupted.weights(ITERATIONS)
    tally.add("a lock left by a killed process")
