"""``tinynet parity`` as a shell sees it."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean

import pytest

from tests.cli.command import run
from tests.study.small_solver import write_small_solver
from tinynet.engine import discovery


@pytest.fixture
def solver(tmp_path: Path) -> Path:
    return write_small_solver(tmp_path)


def test_parity_without_real_caffe_says_how_to_get_one(
    monkeypatch: pytest.MonkeyPatch, solver: Path
) -> None:
    monkeypatch.delenv(discovery.ENVIRONMENT_VARIABLE, raising=False)
    monkeypatch.setattr(discovery, "VENV", ".venv-of-this-test")
    monkeypatch.setenv("PATH", "/nowhere")
    done = run("parity", solver)
    assert (done.status, done.stdout) == (1, "")
    assert "parity compares with real Caffe" in done.stderr and "setup_caffe.sh" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--nudge", "0"], 2, "--nudge 0.0: give what is added to a weight"),
        (["--nudge", "1e-6", "--threads", "2"], 2, "--nudge and --threads: give one of them"),
        (["--threads", "4097"], 2, "--threads 4097: this process may use"),
        (["--from", "none.caffemodel"], 2, "none.caffemodel: no such snapshot"),
        (["--set", "no_field=1"], 2, "no solver field 'no_field'"),
        (["--max-iter", "0"], 2, "--max-iter"),
        (["--figure", "curves.txt"], 2, "curves.txt: a figure is written as"),
        (["--nudge", "nan"], 2, "'nan' is not a finite number"),
    ],
)
def test_a_mistake_gives_one_line(
    arguments: list[str],
    status: int,
    message: str,
    solver: Path,
    caffe_python: str,
) -> None:
    done = run("parity", solver, *arguments)
    assert (done.status, done.stdout) == (status, "")
    assert message in done.stderr and done.stderr.count("\n") == 1


def test_tables_json_and_figure_agree(
    solver: Path,
    caffe_python: str,
    tmp_path: Path,
) -> None:
    figure = tmp_path / "figures/parity.png"
    done = run("parity", solver, "--iterations", 4, "--figure", figure, "--strict", "--json")
    assert done.status == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["iterations"] == len(found["torch"]["losses"]) == 4 and found["seed"] == 4
    assert found["torch"]["agrees"] and found["yardstick"] is None
    assert figure.read_bytes().startswith(b"\x89PNG")
    shown = run("parity", solver, "--iterations", 4, "--every", 2, "--nudge", 1e-3)
    first = f"0  {found['caffe']['losses'][0]:.6f}  {found['torch']['losses'][0]:.6f}"
    assert first in shown.stdout and "conv[0]" in shown.stdout
    rows = [line.split()[0] for line in shown.stdout.splitlines() if line[:1] == " "]
    assert [row for row in rows if row.isdigit()] == ["0", "2", "3"]
    means = next(line.split() for line in shown.stdout.splitlines() if line.split()[:1] == ["mean"])
    assert means[1] == f"{fmean(found['caffe']['losses']):.6f}"
    assert "real Caffe, nudged by 0.001, in conv[0]: inputs equal" in shown.stdout


def test_strict_exits_1_when_the_engines_diverge(
    solver: Path,
    caffe_python: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tinynet.study.engine_parity.DISPLACEMENT_LIMIT", 0.0)
    done = run("parity", solver, "--iterations", 3, "--strict")
    assert done.status == 1 and "torch apart" in done.stdout
    assert done.stderr.startswith(f"tinynet: {solver}: initial weights equal to the bit")
