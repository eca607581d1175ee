"""A net with another number of classes than its data is refused with the command that fixes it."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from tests.cli.command import run
from tests.cli.test_generate import a_manifest
from tinynet.errors import TinynetError
from tinynet.run import checks
from tinynet.run.training_prototxt import TrainingPrototxt, load

UNITS = 4  # of the small net


@pytest.mark.parametrize("classes", [3, 5])
def test_the_message_for_a_users_own_net_names_the_layer_to_change(
    folder: Path, classes: int
) -> None:
    prototxt = _load(folder, classes)
    with pytest.raises(TinynetError, match="set num_output of its layer 'fc1' to") as refused:
        checks.require_classes(prototxt)
    assert f"train_lmdb has {classes} classes and the net {UNITS};" in str(refused.value)


def test_a_net_with_the_right_number_of_classes_is_accepted(folder: Path) -> None:
    checks.require_classes(_load(folder, UNITS))


def _load(folder: Path, classes: int) -> TrainingPrototxt:
    """The small solver, with a manifest of ``classes`` classes beside its data."""
    a_manifest(folder / "described", classes)
    (folder / "described/manifest.json").rename(folder / "data/manifest.json")
    net = folder / "small/train_val.prototxt"
    net.write_text(net.read_text().replace('"data/', f'"{folder}/data/'))
    solver = folder / "small/solver.prototxt"
    solver.write_text(solver.read_text().replace('"small/train', f'"{folder}/small/train'))
    return load(solver)


@pytest.mark.parametrize("out", ["prototxt", "my nets"])
@pytest.mark.parametrize("stage", [1, 8])
def test_train_stops_with_the_command_that_makes_the_stages_agree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: int, out: str
) -> None:
    monkeypatch.chdir(tmp_path)
    run("generate", "--stage", stage, "--out", out)
    a_manifest(Path("data/lmdb"), classes=7)
    for split in ("train", "val"):
        Path(f"data/lmdb/{split}_lmdb").mkdir()
    train = ["train", "--stage", stage, "--prototxt", out, *(["--member", 2] if stage == 8 else [])]
    done = run(*train)
    assert (done.status, done.stderr.count("\n")) == (1, 1)
    assert "train_lmdb has 7 classes and the net 200; run '" in done.stderr
    command = done.stderr.rstrip().partition("run '")[2].removesuffix("'")
    assert run(*shlex.split(command.replace("'\\''", "'"))[1:], "--stage", stage).status == 0
    assert "classes" not in run(*train).stderr  # but that the data is not there
