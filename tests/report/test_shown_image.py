"""The image of the feature maps: one of --data, one of the run's own, a file, or a drawn one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.predict import small_run
from tinynet.errors import UsageError
from tinynet.predict import inputs
from tinynet.report.figure import Absent, FigureOptions
from tinynet.report.figures import make
from tinynet.report.net_figures import _image
from tinynet.report.report_data import ReportData, collect
from tinynet.run.paths import RunPaths


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_run.write_data(tmp_path_factory.mktemp("data") / "lmdb")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, data: Path) -> RunPaths:
    return small_run.train(tmp_path_factory.mktemp("trained"), data)


def shown(report_data: ReportData, asked: str | None) -> tuple[str, np.ndarray]:
    return _image(report_data, report_data.runs[0], asked)


def stored(run: RunPaths, split: str, number: int) -> tuple[str, np.ndarray]:
    """The name and the pixels (R, G, B) of a record."""
    images = inputs.find_images(run, split)
    pixels, _ = list(images.records())[number]
    bgr = np.frombuffer(pixels, np.uint8).reshape(images.shape)
    return images.names[number], bgr[::-1].transpose(1, 2, 0)


def test_an_image_of_the_runs_own_validation_split_needs_no_data_option(trained: RunPaths) -> None:
    name, pixels = stored(trained, "val", 3)
    found = shown(collect([trained.root]), name)
    assert found[0] == name
    np.testing.assert_array_equal(found[1], pixels)


def test_every_split_of_the_data_that_is_named_has_images_to_ask_for(
    trained: RunPaths, data: Path
) -> None:
    report_data = collect([trained.root], data)
    for split in ("train", "val", "test"):
        name, pixels = stored(trained, split, 2)
        np.testing.assert_array_equal(shown(report_data, name)[1], pixels)
        (figure,) = make("feature-maps", report_data, FigureOptions(image=name))
        assert f"for {name}" in figure.caption
    first, pixels = stored(trained, "val", 0)
    assert shown(report_data, None)[0] == first
    np.testing.assert_array_equal(shown(report_data, None)[1], pixels)


def test_a_file_of_any_size_is_fitted_and_without_data_one_is_drawn(
    trained: RunPaths, tmp_path: Path
) -> None:
    Image.new("RGB", (3 * small_run.SIZE, 2 * small_run.SIZE), (200, 10, 30)).save(
        tmp_path / "red.png"
    )
    report_data = collect([trained.root])
    name, pixels = shown(report_data, str(tmp_path / "red.png"))
    assert name == "red.png" and pixels.shape == (small_run.SIZE, small_run.SIZE, 3)
    assert (pixels == (200, 10, 30)).all()
    name, pixels = shown(report_data, None)
    assert name == "a drawn image" and pixels.shape == (small_run.SIZE, small_run.SIZE, 3)


def test_a_missing_image_or_a_file_that_is_no_image_is_refused(
    trained: RunPaths, tmp_path: Path
) -> None:
    report_data = collect([trained.root])
    with pytest.raises(UsageError, match=r"--image absent\.JPEG: neither an image of --data or"):
        make("feature-maps", report_data, FigureOptions(image="absent.JPEG"))
    (tmp_path / "x.png").write_bytes(b"no image")
    with pytest.raises(Absent, match=r"x\.png: cannot be read as an image"):
        make("feature-maps", report_data, FigureOptions(image=str(tmp_path / "x.png")))
