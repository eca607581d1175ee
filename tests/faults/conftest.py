"""The tally of all faults, printed at the end, and the undisturbed run to compare with."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.trials import Job, Tally
from tests.run import small_stages

ITERATIONS = 40


@pytest.fixture(scope="session")
def tally(request: pytest.FixtureRequest) -> Iterator[Tally]:
    counts = Tally()
    yield counts
    reporter = request.config.pluginmanager.get_plugin("terminalreporter")
    capture = request.config.pluginmanager.get_plugin("capturemanager")
    with capture.global_and_fixture_disabled():
        for line in ("", *counts.lines()):
            reporter.write_line(line)


@pytest.fixture(scope="session")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small stage 7 and its data."""
    pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("origin")
    small_stages.write_data(folder)
    small_stages.write_stage(folder, 7, max_iter=ITERATIONS, snapshot=4, display=3)
    (folder / "stage7").rename(folder / "fault")
    solver = folder / "fault/solver.prototxt"
    solver.write_text(solver.read_text().replace("stage7/", "fault/"))
    return folder


@pytest.fixture(scope="session")
def uninterrupted(origin: Path) -> Job:
    """The finished run that was never interrupted."""
    job = Job(origin, origin / "fault/solver.prototxt")
    status, errors = job.finish("--keep", "0")
    assert status == 0, errors
    return job


@pytest.fixture
def job(origin: Path, tmp_path: Path) -> Job:
    """A new run of the same solver and data."""
    return Job(tmp_path, origin / "fault/solver.prototxt")


@pytest.fixture
def unfinished(uninterrupted: Job, tmp_path: Path) -> Callable[[], Job]:
    """Make copies, elsewhere, of a run killed after its snapshots of iterations 4 to 20."""
    numbers = iter(range(1000))

    def make() -> Job:
        folder = tmp_path / f"copy{next(numbers)}"
        copy = Job(folder, uninterrupted.folder / "fault/solver.prototxt")
        shutil.copytree(uninterrupted.run, copy.run)
        for path in (copy.run / "snapshots").iterdir():
            if int(path.name.split("_")[2].split(".")[0]) > 20:
                path.unlink()
        record = copy.run / "run.json"
        record.write_text(record.read_text().replace('"finished"', '"running"'))
        return copy

    return make
