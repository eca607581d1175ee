"""The Python API does what the commands do, and leaves the same files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tinynet
from tests.cli.command import run as command
from tinynet.cli import train
from tinynet.dataset.manifest import read_manifest
from tinynet.errors import UsageError
from tinynet.run import driver
from tinynet.run.request import TrainingRequest


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small drawn set, converted, with stage 1's prototxt for it and a run of 4 iterations."""
    folder = tmp_path_factory.mktemp("api")
    tinynet.synthesize(folder / "shapes", 3, train_per_class=12, val_per_class=4, test_per_class=2)
    manifest = tinynet.convert(folder / "shapes", folder / "lmdb")
    assert manifest.classes == 3 and manifest.counts["train"] == 36
    written = tinynet.generate(
        1, data=folder / "lmdb", out=folder / "prototxt", batch_size=6, display=2, test_interval=2
    )
    assert {path.name for path in written} == {
        "train_val.prototxt", "deploy.prototxt", "solver.prototxt"
    }  # fmt: skip
    return folder


def test_convert_writes_the_same_records_as_the_command(folder: Path, tmp_path: Path) -> None:
    assert command("data", "convert", folder / "shapes", "--out", tmp_path / "lmdb").status == 0
    assert read_manifest(tmp_path / "lmdb").digests == read_manifest(folder / "lmdb").digests


def test_nets_of_another_data_set_are_not_replaced_by_default(tmp_path: Path) -> None:
    net = tinynet.generate(1, classes=7, out=tmp_path)[0].parent / "train_val.prototxt"
    before = net.read_bytes()
    with pytest.raises(UsageError, match="is a net of 7 classes, and .* would be of 200"):
        tinynet.generate(1, out=tmp_path)
    assert net.read_bytes() == before


@pytest.fixture(scope="module")
def trained(folder: Path) -> tuple[tinynet.Run, list[dict[str, float]]]:
    seen: list[dict[str, float]] = []
    run = tinynet.train(
        1,
        prototxt=folder / "prototxt",
        runs=folder / "runs",
        max_iter=4,
        cpu=True,
        on_record=seen.append,
        say=lambda line: None,
    )
    return run, seen


def test_a_training_returns_the_history_that_it_writes(
    trained: tuple[tinynet.Run, list[dict[str, float]]],
) -> None:
    run, seen = trained
    assert run.record.state == "finished" and run.record.iteration == 4
    assert seen == run.history and [entry["iteration"] for entry in seen][0] == 0


def test_a_finished_run_is_returned_as_it_is_and_can_be_loaded(
    folder: Path, trained: tuple[tinynet.Run, list[dict[str, float]]]
) -> None:
    run, _ = trained
    again = tinynet.train(
        1, prototxt=folder / "prototxt", runs=folder / "runs", max_iter=4, cpu=True
    )
    assert again.folder == run.folder == tinynet.load_run(run.folder).folder
    with pytest.raises(UsageError, match="not a run directory"):
        tinynet.load_run(folder)


def test_a_variant_is_trained_with_its_max_norm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[TrainingRequest] = []
    monkeypatch.setattr(driver, "train", lambda request, say: asked.append(request))
    tinynet.train("dropout_everywhere", runs=tmp_path)
    tinynet.train(7, runs=tmp_path)
    assert [request.max_norm for request in asked] == [4.0, None]  # as 'tinynet dissect' does


def test_a_member_is_asked_for_where_the_stage_has_some_and_only_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[TrainingRequest] = []
    monkeypatch.setattr(driver, "train", lambda request, say: asked.append(request))
    with pytest.raises(UsageError, match="stage 8 has members 1 to 11: name one with .*member=1"):
        tinynet.train(8)
    with pytest.raises(UsageError, match="stage 8 has members 1 to 11, not 12"):
        tinynet.train(8, member=12)
    with pytest.raises(UsageError, match="stage 7 has no members: leave member 2 out"):
        tinynet.train(7, member=2)
    with pytest.raises(UsageError, match="member=2: .*solver.prototxt is a solver; stage 8 alone"):
        tinynet.train("some/solver.prototxt", member=2)
    assert not asked
    tinynet.train(8, member=2, prototxt=tmp_path, runs=tmp_path)
    assert asked[0].solver == tmp_path / "stage8_ensemble/member02/solver.prototxt"
    assert asked[0].paths.root == tmp_path / "stage8_ensemble/member02"
    assert "random_seed" not in asked[0].overrides


def test_the_runs_of_a_linked_solver_lie_where_the_command_puts_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[TrainingRequest] = []
    monkeypatch.setattr(driver, "train", lambda request, say: asked.append(request))
    (tmp_path / "net").mkdir()
    (tmp_path / "linked").symlink_to("net")
    solver = tmp_path / "linked/solver.prototxt"
    solver.write_text("")
    tinynet.train(solver, runs=tmp_path)
    by_command = train.train.make_context("train", [str(solver), "--runs", str(tmp_path)])
    del by_command.params["as_json"]
    assert asked[0].paths == train.request_of(**by_command.params).paths


def test_an_evaluation_equals_that_of_the_command(
    trained: tuple[tinynet.Run, list[dict[str, float]]],
) -> None:
    run, _ = trained
    found = tinynet.evaluate(run, cpu=True)
    shown = command("evaluate", run.folder, "--cpu").stdout
    assert f"loss {found.metrics.loss:.4f}" in shown
    assert "top-1" in found._repr_html_()


def test_an_ensemble_averages_and_checks_all_runs_first(
    folder: Path, trained: tuple[tinynet.Run, list[dict[str, float]]]
) -> None:
    run, _ = trained
    other = tinynet.train(
        1,
        prototxt=folder / "prototxt",
        runs=folder / "runs",
        seed=2,
        max_iter=4,
        cpu=True,
        say=lambda line: None,
    )
    both = tinynet.ensemble([run, other], oversample=False, cpu=True)
    mean = np.mean([one.probabilities for one in both.members], axis=0)
    np.testing.assert_allclose(both.probabilities.probabilities, mean, rtol=1e-6)
    assert both.subsets.members == 2
    with pytest.raises(UsageError, match="named twice"):
        tinynet.ensemble([run, run])
    with pytest.raises(UsageError, match="not a run directory"):
        tinynet.ensemble([run, folder / "nothing"])


def test_figures_are_matplotlib_figures_and_a_wrong_name_lists_them(
    trained: tuple[tinynet.Run, list[dict[str, float]]],
) -> None:
    from matplotlib.figure import Figure

    run, _ = trained
    assert isinstance(run.curves(), Figure)
    with pytest.raises(UsageError, match="the figures are architecture, "):
        tinynet.figure("nothing", run)


def test_stages_and_runs_have_a_notebook_display(
    trained: tuple[tinynet.Run, list[dict[str, float]]],
) -> None:
    assert "Dropout" in tinynet.stages[1]._repr_html_()
    assert "finished at iteration 4 of 4" in trained[0]._repr_html_()


def test_importing_the_package_loads_no_submodule() -> None:
    code = "import sys, tinynet; print(sorted(n for n in sys.modules if n.startswith('tinynet.')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
