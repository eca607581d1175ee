from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import run
from tests.report import run_directories
from tests.report.run_directories import HOSTILE, write_run


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stages 1 (two seeds), 2 (unfinished) and 7 (three seeds), one with a hostile name."""
    root = tmp_path_factory.mktemp("runs")
    names = [HOSTILE[:20].replace("/", "-"), *run_directories.wnids(5)[1:]]
    for seed in (1, 2):
        write_run(root / "stage1_simple" / f"seed{seed}", seed, skill=0.3, names=names)
    write_run(root / "stage2_dropout1" / "seed1", state="stopped", evaluated=False)
    for seed in (1, 2):
        write_run(root / "stage7_dropout2" / f"seed{seed}", seed, skill=0.6, names=names)
    write_run(root / "stage7_dropout2" / HOSTILE.replace("/", "-"), 3, skill=0.6, names=names)
    return root


@pytest.fixture(scope="session")
def page(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("page") / "report.html"
    others = tmp_path_factory.mktemp("others")
    run_directories.write_search(others / "search")
    run_directories.write_folds(others / "folds")
    done = run("report", runs, others, "--out", out)
    assert (done.status, done.stderr) == (0, "")
    return out
