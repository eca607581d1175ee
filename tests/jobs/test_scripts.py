"""The shell scripts in scripts/: shellcheck's findings, and the commands that they run."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.cli.command import run as command
from tests.run import small_runs
from tinynet.jobs.job_list import read

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "scripts").glob("*.sh")) + [ROOT / ".ci/run"]


def run(script: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a script with this package as ``tinynet``."""
    bin_folder = Path("bin")
    bin_folder.mkdir(exist_ok=True)
    (bin_folder / "tinynet").write_text(f'#!/bin/sh\nexec {sys.executable} -m tinynet "$@"\n')
    (bin_folder / "tinynet").chmod(0o755)
    environment = small_runs.environment(**variables)
    environment["PATH"] = f"{bin_folder.resolve()}:{environment['PATH']}"
    return subprocess.run(
        [ROOT / "scripts" / script, *arguments], env=environment, capture_output=True, text=True
    )


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_pass_shellcheck(script: Path) -> None:
    shellcheck = shutil.which("shellcheck") or str(Path(sys.executable).with_name("shellcheck"))
    found = subprocess.run([shellcheck, script], capture_output=True, text=True)
    assert found.returncode == 0, found.stdout
    assert os.access(script, os.X_OK)


@pytest.fixture
def stages(folder: Path) -> None:
    """Prototxt of the stages without their data: trainings fail at once with a message."""
    (Path("prototxt")).symlink_to(ROOT / "prototxt")


def test_the_dissection_scripts_train_every_stage_and_each_model_of_the_ensemble_once(
    folder: Path,
) -> None:
    sizes = ("--classes", 2, "--train-per-class", 4, "--val-per-class", 2, "--test-per-class", 1)
    assert command("data", "synthesize", "--out", "shapes", *sizes).status == 0
    assert command("data", "convert", "shapes", "--out", "data/lmdb").status == 0
    done = run("dissection.sh", "--processes", "none", SEEDS="1,2", OUT="out")
    # it takes the options of 'jobs local'
    assert done.returncode == 2 and "--processes" in done.stderr
    names = [job.name for job in read(Path("out/jobs")).jobs]
    # stage 7's two runs are the ensemble's first members
    assert len(names) == 7 * 2 + 9 and "stage8_ensemble-member02" not in names
    batch_system("sbatch")
    done = run("slurm.sh", "dissection", "--time", "8:00:00", SEEDS="1,2", OUT="batch")
    assert done.returncode == 0, done.stderr
    assert [job.name for job in read(Path("batch/jobs")).jobs] == names
    assert "stage8_ensemble-member11" in Path("batch/jobs/slurm-1.sh").read_text()


def batch_system(program: str) -> None:
    """Put a program that accepts every script into the folder of commands."""
    Path("bin").mkdir(exist_ok=True)
    (Path("bin") / program).write_text("#!/bin/sh\necho 42\n")
    (Path("bin") / program).chmod(0o755)


def test_the_ensemble_script_trains_the_requested_members(stages: None) -> None:
    done = run("ensemble.sh", "--processes", "1", MEMBERS="2,5")
    assert done.returncode == 1 and "no such database" in done.stderr
    names = [job.name for job in read(Path("lists/ensemble")).jobs]
    assert names == ["stage8_ensemble-member02", "stage8_ensemble-member05", "ensemble"]


@pytest.mark.parametrize(("batch", "program"), [("slurm", "sbatch"), ("sge", "qsub")])
def test_a_stage_can_be_submitted_to_the_batch_system(
    stages: None, batch: str, program: str
) -> None:
    batch_system(program)
    done = run("slurm.sh", "7", "--time", "8:00:00", "--gpu", SEEDS="1-3", BATCH=batch)
    assert done.returncode == 0 and done.stdout.split()[-1] == "42", done.stderr
    script = (Path("lists/7") / f"{batch}-1.sh").read_text()
    assert "stage7_dropout2-seed3" in script and "--gpu 0" in script


def test_the_stage_script_reports_missing_data_and_wrong_use(stages: None) -> None:
    done = run("train_stage.sh", "1", "--cpu")
    assert done.returncode == 1 and "no such database" in done.stderr
    for script in ("train_stage.sh", "slurm.sh"):
        assert "usage: " in run(script).stderr


def test_packing_a_data_set_is_reproducible_and_lossless(folder: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "train/n1/images").mkdir(parents=True)
    for number in range(40):
        (data / f"train/n1/images/n1_{number}.JPEG").write_bytes(os.urandom(40_000))
    script = "gpu_ladder.sh"
    for parts in ("one", "two"):
        done = run(script, "pack", str(data), parts, PART_MIB="1")
        assert done.returncode == 0, done.stderr
    names = sorted(path.name for path in Path("one").iterdir())
    assert names == ["partaa", "partab", "parts.sha256"]
    assert all((Path("one") / n).read_bytes() == (Path("two") / n).read_bytes() for n in names)
    assert (Path("one") / "partaa").stat().st_size == 1 << 20
    # one part per call; missing parts are reported before anything is unpacked
    work = {"WORK": str(tmp_path / "work"), "PYTHON": sys.executable}
    for call in (["partaa", "parts.sha256"], ["partab"]):
        carried = tmp_path / call[0]
        carried.mkdir()
        for name in call:
            shutil.copy(Path("one") / name, carried)
        assert run(script, "keep", str(carried), **work).returncode == 0
        if call[0] == "partaa":
            early = run(script, "run", "60", str(tmp_path / "out"), "--cpu", **work)
            assert early.returncode == 1 and "not all parts are here" in early.stderr
            assert not (tmp_path / "work" / "data").exists()
    stream = b"".join((tmp_path / "work/parts" / n).read_bytes() for n in ("partaa", "partab"))
    again = tmp_path / "again"
    with tarfile.open(fileobj=io.BytesIO(stream)) as tar:
        tar.extractall(again)
    found = {p.relative_to(data): p.read_bytes() for p in data.rglob("*.JPEG")}
    assert found == {p.relative_to(again): p.read_bytes() for p in again.rglob("*.JPEG")}


def test_the_borrowed_gpu_script_prints_its_usage(folder: Path) -> None:
    for words in ((), ("train",)):
        done = run("gpu_ladder.sh", *words)
        assert done.returncode == 2 and "usage: gpu_ladder.sh pack DATASET PARTS" in done.stderr
