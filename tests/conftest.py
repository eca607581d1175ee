"""Fixtures shared by the tests of several parts of the package."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tinynet.engine import discovery
from tinynet.errors import TinynetError

# the suite computes small nets, for which more threads are slower
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell starts background jobs with SIGINT ignored, and nohup all of them with SIGHUP ignored.
# Children inherit that: those that tests interrupt would run for ever.
for ignored, default in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(ignored) is signal.SIG_IGN:
        signal.signal(ignored, default)


# a slow machine must not make a test fail
settings.register_profile("tinynet", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tinynet")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--long",
        action="store_true",
        help="run the tests marked 'long' too, which take minutes to hours",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--long"):
        return
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.skip(reason="takes long; run with --long"))


@pytest.fixture(scope="session")
def caffe_python() -> str:
    """Interpreter of a real Caffe; the test is skipped, with the reason, where there is none."""
    try:
        return discovery.find_caffe().python
    except TinynetError as error:
        pytest.skip(f"no real Caffe to compare with: {error}")


@pytest.fixture(scope="session")
def images() -> Path:
    """Folder with zips of real Tiny ImageNet images, from TINYNET_TEST_DATA."""
    folder = os.environ.get("TINYNET_TEST_DATA")
    if not folder:
        pytest.skip("TINYNET_TEST_DATA names no folder with zips of real images")
    return Path(folder)


@pytest.fixture(scope="session")
def caffe_source() -> Path:
    """The folder of Caffe's source, from TINYNET_CAFFE_SOURCE."""
    folder = os.environ.get("TINYNET_CAFFE_SOURCE")
    if not folder:
        pytest.skip("TINYNET_CAFFE_SOURCE names no folder with Caffe's source")
    return Path(folder)


def run_python(python: str, script: Path, *arguments: str | Path, cwd: Path | None = None) -> None:
    """Run ``script`` under the interpreter ``python``; its stderr is shown if it fails."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    environment.update(GLOG_minloglevel="2", OMP_NUM_THREADS="1")
    child = subprocess.run(
        [python, str(script), *map(str, arguments)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert child.returncode == 0, child.stderr[-4000:]
