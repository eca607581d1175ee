"""The choice of images on a page, and their pixels."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tests.predict import small_run
from tests.report import run_directories
from tinynet.dataset.manifest import read_manifest
from tinynet.errors import TinynetError
from tinynet.predict import inputs
from tinynet.predict.guesses import Guesses, guesses
from tinynet.report import galleries, picks
from tinynet.report.images import Images, stand_in
from tinynet.report.parts import Part
from tinynet.report.report_data import collect

LABELS = [0, 0, 1, 1, 2, 2]


def made_guesses(best: list[int], sure: list[float]) -> Guesses:
    """Six images of three classes: each best answer and its probability; others share the rest."""
    p = np.array([[(1 - s) / 2] * 3 for s in sure])
    p[np.arange(6), best] = sure
    whole = run_directories.probabilities(3, 6, 0.5, 1, "center")
    return guesses(replace(whole, probabilities=p.astype(np.float32), labels=np.array(LABELS)))


FIRST = made_guesses([0, 1, 1, 0, 2, 0], [0.9, 0.8, 0.5, 0.9, 0.6, 0.7])  # right: 0, 2, 4
SECOND = made_guesses([0, 0, 1, 0, 1, 0], [0.9, 0.6, 0.5, 0.6, 0.6, 0.9])  # right: 0, 1, 2


def test_the_surest_of_the_wrong_answers_come_first():
    assert picks.surely_wrong(FIRST, 2) == [3, 1]
    assert picks.surely_wrong(SECOND, 9) == [5, 3, 4]


def test_images_that_all_models_get_wrong_come_first():
    # 3 and 5 are wrong twice; their own classes get 0.05 + 0.2 and 0.15 + 0.05
    assert picks.often_wrong([FIRST, SECOND], 4)[:2] == [5, 3]
    assert set(picks.often_wrong([FIRST, SECOND], 9)) == {1, 3, 4, 5}


def test_gains_and_losses_of_a_step_are_those_on_which_all_seeds_agree():
    change = picks.change([FIRST], [SECOND])
    assert (change.won, change.lost) == ([1], [4])
    both = picks.change([FIRST, SECOND], [SECOND, SECOND])
    assert (both.won, both.lost) == ([], [])  # image 1 was right by one seed before


def test_a_class_has_the_share_of_its_images_that_are_right():
    np.testing.assert_allclose(picks.by_class(SECOND, 3), [1.0, 0.5, 0.0])
    assert np.isnan(picks.by_class(SECOND, 4)[3])


def test_samples_are_of_different_classes_and_the_same_every_time():
    chosen = picks.at_random(FIRST, 3)
    assert sorted(LABELS[at] for at in chosen) == [0, 1, 2]
    assert chosen == picks.at_random(FIRST, 3)
    assert sorted(picks.at_random(FIRST, 99)) == list(range(6))


def test_an_image_is_found_by_its_name_and_a_drawn_one_by_its_class(tmp_path):
    folder = small_run.write_data(tmp_path / "lmdb")
    manifest = read_manifest(folder)
    images = Images(manifest.wnids, folder, manifest)
    source = inputs.Images(folder / "val_lmdb", 40, manifest.shape, manifest.names["val"],
                           manifest.wnids, True)  # fmt: skip
    for name, (pixels, _) in zip(source.names, source.records()):
        expected = np.frombuffer(pixels, np.uint8).reshape(manifest.shape)[::-1]
        np.testing.assert_array_equal(images.pixels(name, "").transpose(2, 0, 1), expected)
    with pytest.raises(TinynetError, match="has no image absent.JPEG: it is of other data"):
        images.pixels("absent.JPEG", "")
    shown = Images(manifest.wnids).pixels("val_0.JPEG", manifest.wnids[2])
    np.testing.assert_array_equal(shown, stand_in(2, "val_0.JPEG"))


def test_the_section_shows_the_answers_of_each_model(runs):
    report_data = collect([runs])
    part = galleries.section(report_data)
    assert isinstance(part, Part) and part.texts == [galleries.DRAWN] and not part.absent
    by_title = {gallery.title: gallery for gallery in part.galleries}
    sample = by_title["Five best guesses of every stage"].cards[0]
    assert [answer.by for answer in sample.answers] == [
        "1 Simple model",
        "7 + dropout 2",
        "3 models averaged",
    ]
    for answer in sample.answers:
        assert len(answer.guesses) == 5 and sum(g.is_right for g in answer.guesses) == 1
        assert [g.name for g in answer.guesses if g.is_right] == [sample.title]
    for card in by_title["Most confidently wrong"].cards:
        assert not card.answers[0].guesses[0].is_right
    step = by_title["Newly right in 7 + dropout 2"]
    won = int(re.match(r"(\d+) images are wrong by all 2 seeds of 1 Simple model", step.text)[1])
    assert len(step.cards) == min(won, 6) > 0
    assert "become right" in by_title["Answers that the ensemble changed"].text
    content = base64.b64decode(sample.image.partition("base64,")[2])
    assert Image.open(io.BytesIO(content)).size == (64, 64)
    (classes,) = part.tables
    assert len(classes.rows) == 5 and classes.columns[-2].name == "3 models averaged (%)"


def test_data_of_other_images_is_reported_and_not_shown(runs, tmp_path):
    report_data = collect([runs])
    folder = small_run.write_data(tmp_path / "lmdb")
    manifest = read_manifest(folder)
    other = {**manifest.names, "val": [f"other_{n}.JPEG" for n in range(40)]}
    report_data = replace(report_data, data=replace(manifest, names=other), data_folder=folder)
    part = galleries.section(report_data)
    assert part is not None and "it is of other data" in part.absent and not part.galleries
