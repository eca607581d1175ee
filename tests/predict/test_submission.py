"""The submission file, against the format that the Tiny ImageNet server takes."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.cli.command import run as command
from tests.predict import small_run
from tests.predict.test_probabilities import some_probabilities
from tests.report.run_directories import write_run
from tinynet.errors import TinynetError, UsageError
from tinynet.predict import inputs
from tinynet.predict.best import best, groups
from tinynet.predict.probabilities import read_probabilities, write_probabilities
from tinynet.predict.submission import require_form, submission
from tinynet.run.paths import RunPaths


def test_lines_name_the_most_probable_wnid_in_the_order_of_the_numbers():
    p = np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]], np.float32)
    value = some_probabilities(
        count=3,
        classes=2,
        probabilities=p,
        names=np.array(["test_10.JPEG", "test_2.JPEG", "test_0.JPEG"]),
        wnids=np.array(["n02124075", "n01443537"]),
        labels=np.full(3, -1),
    )
    value.check()
    assert submission(value) == (
        "test_0.JPEG n01443537\ntest_2.JPEG n02124075\ntest_10.JPEG n01443537\n"
    )


NAMES, WNIDS = ["test_0.JPEG", "test_1.JPEG", "test_2.JPEG"], ["n1", "n2"]
WHOLE = "test_0.JPEG n1\ntest_1.JPEG n1\ntest_2.JPEG n2\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (WHOLE[:-1], "its last line has no line end"),
        (WHOLE[:-5], "its last line has no line end"),
        (WHOLE.replace("test_1", "test_9"), "f:2: 'test_9.JPEG' is not an image of the test split"),
        (WHOLE.replace("test_1", "test_0"), "f:2: 'test_0.JPEG' appears twice"),
        (WHOLE.replace("n2", "n3"), "f:3: 'n3' is not a wnid"),
        (WHOLE.replace(" n2", "\tn2"), r"f:3: 'test_2.JPEG\tn2' is not an image name and a wnid"),
        (WHOLE.replace("\n", "\r\n"), "f:1: 'n1\\r' is not a wnid"),
        ("\n" + WHOLE, "f:1: '' is not an image"),
        (WHOLE.splitlines(True)[0], "no line for 2 of 3 images, 'test_1.JPEG' among them"),
        ("", "no line for 3 of 3 images"),
    ],
)
def test_a_malformed_file_is_refused_with_its_line(text: str, says: str) -> None:
    with pytest.raises(TinynetError, match=re.escape(says)):
        require_form(text, "f", NAMES, WNIDS)


def test_a_complete_file_is_accepted_in_any_order() -> None:
    assert require_form(WHOLE, "f", NAMES[::-1], WNIDS) == 2
    assert require_form("a b n1\n", "f", ["a b"], WNIDS) == 1


def test_the_best_group_has_the_highest_average(tmp_path: Path) -> None:
    for stage, name, skill in (
        ("stage1_simple", "seed1", 0.3),
        ("stage7_dropout2", "seed1", 0.5),
        ("stage7_dropout2", "seed2", 0.5),
        ("stage8_ensemble", "member04", 0.5),
    ):
        seed = len(list(tmp_path.glob("*/*"))) + 1
        write_run(tmp_path / stage / name, seed=seed, skill=skill)
    write_run(tmp_path / "variant_modern/seed1", skill=0.99, state="running")  # not finished
    offered = {group.name: group for group in groups([tmp_path])}
    assert [len(group.runs) for group in offered.values()] == [1, 2, 3]
    for group in offered.values():
        arrays = [
            read_probabilities(run / "val_10crop.npz").probabilities.astype(np.float64)
            for run in group.runs
        ]
        labels = read_probabilities(group.runs[0] / "val_10crop.npz").labels
        right = (np.mean(arrays, axis=0).argmax(axis=1) == labels).mean()
        assert group.top1 == pytest.approx(right)
    assert best([tmp_path]).top1 == max(group.top1 for group in offered.values())
    # an OUT folder of dissect, whose runs lie below runs/, and the same run named twice
    assert best([tmp_path, tmp_path / "stage1_simple"]).name == best([tmp_path]).name
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="holds no finished run with val_10crop.npz"):
        best([tmp_path / "empty"])
    with pytest.raises(UsageError, match="nothing: is not a folder"):
        best([tmp_path / "nothing"])


def test_one_model_under_two_names_counts_once_in_a_group(tmp_path: Path) -> None:
    """Members 1 to 3 of stage 8 are stage 7 with seeds 1 to 3."""
    for run, seed in (
        ("stage7_dropout2/seed1", 1),
        ("stage8_ensemble/member01", 1),
        ("stage8_ensemble/member04", 4),
    ):
        write_run(tmp_path / run, seed=seed)
    ensemble = groups([tmp_path])[-1]
    assert [run.name for run in ensemble.runs] == ["seed1", "member04"]


def test_runs_of_other_images_are_not_averaged_into_a_best_group(tmp_path: Path) -> None:
    """Neither fewer images, nor the same ones in another order, which no shape shows."""
    for seed in (1, 2):
        path = write_run(tmp_path / f"stage1_simple/seed{seed}", seed).probabilities("val", True)
    whole = read_probabilities(path)
    for kept, says in ((slice(None, -1), "has 59 images"), (slice(None, None, -1), "image 0 is")):
        parts = {key: getattr(whole, key)[kept] for key in ("probabilities", "labels", "names")}
        write_probabilities(path, replace(whole, **parts))
        with pytest.raises(TinynetError, match=f"stage1_simple cannot be averaged: .*{says}"):
            best([tmp_path])


def test_the_command_writes_the_best_and_checks_a_file(trained: RunPaths, tmp_path: Path) -> None:
    out = tmp_path / "submission.txt"
    folder = tmp_path / "small"
    run = small_run.copy(trained, folder / "seed3")
    evaluated = command("evaluate", run.root, "--split", "val", "--oversample", "--cpu")
    assert evaluated.status == 0, evaluated.stderr
    done = command("predict", folder, "--best", "--out", out, "--cpu")
    assert done.status == 0, done.stderr
    assert "best on the validation images, over ten crops: small, 1 run: " in done.stderr
    data = inputs.find_images(trained, "test").source.parent
    checked = command("predict", "--check", out, "--data", data)
    assert checked.status == 0, checked.stderr
    assert "11 predictions, one for each image of the test split, of " in checked.stdout
    out.write_text(out.read_text().replace("test_3.JPEG", "test_4.JPEG"))
    refused = command("predict", "--check", out, "--data", data)
    assert refused.status == 1 and "'test_4.JPEG' appears twice" in refused.stderr
    for words in (("predict",), ("predict", folder, "--best"), ("predict", "x", "--check", out)):
        assert command(*words).status == 2
