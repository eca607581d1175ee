"""Figures 3 and 4 from a results folder alone, which keeps the first layer of every run."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.study.results_by_hand import add_run, begin
from tinynet.caffeformat import binary, schema
from tinynet.errors import UsageError
from tinynet.experiment.paths import PROTOTXT_ROOT, StagePaths
from tinynet.predict.first_layer import read_first_layer
from tinynet.report import canvas
from tinynet.report.figure import Absent, FigureOptions
from tinynet.report.figures import make
from tinynet.report.report_data import ReportData, collect
from tinynet.run.paths import RunPaths
from tinynet.study import collect as study_collect
from tinynet.study.dissection_table import build
from tinynet.study.results import ResultsPaths, write_dissection
from tinynet.study.settings import read_settings

NAME = "stage1_simple/seed1"


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ResultsPaths:
    """A collected run of stage 1 whose run directory has been removed."""
    monkeypatch.setattr(study_collect, "_require_recipe", lambda *arguments: None)
    results = begin(tmp_path / "results", stages=[1], seeds=[1])
    made = ResultsPaths(tmp_path / "runs")
    add_run(made, NAME, 1, [0, 1, 2])
    run = made.run(NAME)
    for file in ("deploy.prototxt", "train_val.prototxt"):
        shutil.copyfile(StagePaths(PROTOTXT_ROOT, "stage1_simple").deploy.with_name(file),
                        run.root / file)  # fmt: skip
    net = schema.NetParameter(name="one")
    layer = net.layer.add(name="conv1", type="Convolution")
    values = np.random.default_rng(3).normal(0, 0.1, (32, 3, 5, 5))
    for array in (values, np.full(32, 0.5)):
        blob = layer.blobs.add()
        blob.shape.dim.extend(array.shape)
        blob.data.extend(array.ravel())
    run.snapshots.mkdir()
    binary.write(run.snapshots / "snapshot_iter_40.caffemodel", net)
    _collect(results)
    made.root.rename(tmp_path / "away")
    write_dissection(results.root, build(results))
    return results


def _collect(results: ResultsPaths) -> None:
    settings = read_settings(results)
    assert settings is not None
    run = RunPaths(results.root.parent / "runs" / NAME)
    assert study_collect.collect(run, NAME, results, settings)


def _data(results: ResultsPaths) -> ReportData:
    return collect([results.root])


def test_filters_and_feature_maps_are_available_without_the_run(
    results: ResultsPaths, tmp_path: Path
) -> None:
    path = results.run(NAME).first_layer
    assert path.stat().st_size < 20_000
    kept = read_first_layer(path, "")
    (filters,) = make("filters", _data(results), FigureOptions())
    assert f"{kept.layer} of {NAME} at iteration 40" in filters.caption
    (maps,) = make("feature-maps", _data(results), FigureOptions())
    assert "for a drawn image" in maps.caption and "32 grey images" in maps.alt
    for figure in (filters, maps):
        canvas.save(figure.draw(), tmp_path / f"{figure.stem}.png")
    assert (tmp_path / "feature_maps.png").stat().st_size > 5_000
    with pytest.raises(UsageError, match="--image absent.JPEG: neither an image of --data"):
        make("feature-maps", _data(results), FigureOptions(image="absent.JPEG"))


def test_results_without_the_first_layer_say_so_and_collect_it_from_the_run(
    results: ResultsPaths,
) -> None:
    path = results.run(NAME).first_layer
    content = path.read_bytes()
    path.unlink()
    with pytest.raises(Absent, match="these results keep no first layer: .* --collect adds it"):
        make("filters", _data(results), FigureOptions())
    _collect(results)  # the run is away
    assert not path.exists()
    (results.root.parent / "away").rename(results.root.parent / "runs")
    _collect(results)
    assert path.read_bytes() == content
