"""Exit statuses of ``caffe``, on which batch scripts rely, are those of ``tinynet caffe``.

The statuses are those of Debian 11's program, stored by golden/make_caffe_uses_golden.py.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.cli import caffe_uses
from tests.cli.command import Done, run
from tinynet.engine import foreground
from tinynet.torchcaffe import context, glog
from tinynet.torchcaffe.pycaffe import tool

GOLDEN = caffe_uses.golden()
# where we deviate from Caffe on purpose: the status here, and why
DEPARTURES = {
    "no action": (2, "it shows its usage, does nothing, and says that all went well"),
    "two actions": (2, "the same"),
    "two dashes and no more": (2, "the same"),
    "test, no iterations": (2, "it says that the mean of no batch is nan, and that all went well"),
    "test, iterations below 0": (2, "the same"),
    "time, no iterations": (2, "the same"),
    "time, iterations below 0": (2, "the same"),
    "help": (0, "gflags ends with 1 when asked for help, and nobody else does"),
    "help, one dash": (0, "the same"),
    "help of an action": (0, "the same"),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Snapshots that ``train -solver=solver.prototxt`` leaves."""
    folder = tmp_path_factory.mktemp("trained")
    caffe_uses.prepare(folder)
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(io.StringIO()):
        patch.chdir(folder)
        assert tool.run("train", {"solver": "solver.prototxt"}) == 0
    return {path.name: path.read_bytes() for path in folder.glob("small_iter_3.*")}


@pytest.fixture
def folder(
    trained: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    caffe_uses.prepare(tmp_path)
    for name, content in trained.items():
        (tmp_path / name).write_bytes(content)
    monkeypatch.chdir(tmp_path)

    def run_here(engine: Any, arguments: Sequence[str]) -> int:
        return tool.run(arguments[1], json.loads(arguments[3]))

    monkeypatch.setattr(foreground, "run", run_here)
    yield tmp_path
    glog.set_level(None)
    context.set_mode_cpu()


def ask(name: str) -> Done:
    return run("caffe", *caffe_uses.USES[name].arguments.split())


def test_every_use_has_a_stored_answer_of_debians_program() -> None:
    assert list(GOLDEN) == list(caffe_uses.USES)
    assert set(DEPARTURES) <= set(GOLDEN)


@pytest.mark.parametrize("name", caffe_uses.USES)
def test_the_exit_status_agrees_with_debians_program(name: str, folder: Path) -> None:
    debians, ours = GOLDEN[name], ask(name)
    if name in DEPARTURES:
        assert ours.status == DEPARTURES[name][0] != debians.status
    elif debians.status == 0:
        assert ours.status == 0, ours.stderr
    else:
        assert debians.status in (1, 134)
        assert ours.status in (1, 2)
        assert ours.stderr.splitlines()[-1].startswith("tinynet: ")
    assert bool(ours.stdout) == (debians.writes_to_stdout and ours.status == 0)


@pytest.mark.parametrize("name", [name for name, use in caffe_uses.USES.items() if use.culprit])
def test_the_message_names_the_same_culprit_as_debians_program(name: str, folder: Path) -> None:
    assert GOLDEN[name].names_culprit
    assert caffe_uses.USES[name].culprit in ask(name).stderr.splitlines()[-1]
