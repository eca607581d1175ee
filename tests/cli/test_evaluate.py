"""``tinynet evaluate``, ``ensemble`` and ``predict`` as a shell sees them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.command import run
from tests.predict import small_run
from tests.predict.test_probabilities import some_probabilities
from tests.predict.test_subsets import some_members
from tinynet.predict.probabilities import read_probabilities, write_probabilities


@pytest.fixture
def members(tmp_path: Path) -> list[Path]:
    """Four files of 10-crop probabilities on the same 300 images of 8 classes."""
    stack, labels = some_members(4, 300, 8, seed=11)
    for number, p in enumerate(stack):
        path = tmp_path / f"member{number + 1:02d}.npz"
        base = some_probabilities(
            count=300, classes=8, probabilities=p, labels=labels, crop="oversample"
        )
        write_probabilities(path, base)
    return sorted(tmp_path.glob("member*.npz"))


def exact_top1(files: list[Path]) -> float:
    stored = [read_probabilities(path) for path in files]
    mean = sum(p.probabilities.astype(np.float64) for p in stored)
    return float((mean.argmax(axis=1) == stored[0].labels).mean())


def test_ensemble_prints_members_best_subsets_and_all_and_draws_figure_5(members, tmp_path):
    out = tmp_path / "out"
    done = run("ensemble", *members, "--out", out)
    assert done.status == 0, done.stderr
    for path in members:
        (line,) = [line for line in done.stdout.splitlines() if str(path) in line]
        assert f"{100 * exact_top1([path]):.2f}" in line
    assert f"all 4: {100 * exact_top1(members):.2f} %" in done.stdout
    assert "best subset: " in done.stdout
    assert sorted(p.name for p in out.iterdir()) == ["val_10crop.npz", "val_10crop_subsets.png"]
    with Image.open(out / "val_10crop_subsets.png") as image:
        assert image.format == "PNG" and image.width >= 900
    mean = read_probabilities(out / "val_10crop.npz")
    stack = [read_probabilities(path).probabilities.astype(np.float64) for path in members]
    np.testing.assert_allclose(mean.probabilities, np.mean(stack, axis=0), atol=1e-7)


def test_ensemble_json_names_the_best_subset_of_each_size(members, tmp_path):
    done = run("ensemble", *members, "--out", tmp_path / "out", "--json")
    result = json.loads(done.stdout)
    assert result["subsets"] == 15 and result["images"] == 300
    assert [best["size"] for best in result["best_of_size"]] == [1, 2, 3, 4]
    for best in (*result["best_of_size"], result["best"]):
        chosen = [members[number - 1] for number in best["members"]]
        assert best["top1"] == pytest.approx(exact_top1(chosen))
    assert result["full"]["top1"] == pytest.approx(exact_top1(members))
    assert result["best"]["top1"] == max(best["top1"] for best in result["best_of_size"])
    assert [m["top1"] for m in result["members"]] == [
        pytest.approx(exact_top1([path])) for path in members
    ]


@pytest.mark.parametrize(
    ("change", "status", "says"),
    [
        (["--one-crop"], 1, "holds probabilities of 10 crops"),
        (["again"], 2, "named twice"),
        (["absent"], 2, "absent: no such run or .npz"),
        (["--gpu", "0", "--cpu"], 2, "choose one"),
        (["--split", "tuning"], 2, "'val', 'train', 'test'"),
    ],
)
def test_a_users_mistake_gets_one_line_and_its_exit_status(members, change, status, says):
    more = [members[0]] if change == ["again"] else change
    done = run("ensemble", *members, *more)
    assert done.status == status and says in done.stderr
    assert done.stderr.count("\n") == 1 and done.stdout == ""


def test_too_many_members_for_a_search_are_averaged_only_on_request(tmp_path):
    stack, labels = some_members(21, 30, 4)
    files = []
    for number, p in enumerate(stack):
        files.append(tmp_path / f"{number}.npz")
        value = some_probabilities(count=30, probabilities=p, labels=labels, crop="oversample")
        write_probabilities(files[-1], value)
    done = run("ensemble", *files, "--out", tmp_path / "out")
    assert done.status == 2 and "2,097,151 subsets" in done.stderr
    assert "--average-only" in done.stderr and not (tmp_path / "out").exists()
    done = run("ensemble", *files, "--out", tmp_path / "out", "--average-only", "--json")
    assert json.loads(done.stdout)["full"]["top1"] == pytest.approx(exact_top1(files))


def test_one_member_alone_has_no_subsets_to_draw(members, tmp_path):
    done = run("ensemble", members[0], "--out", tmp_path / "out")
    assert done.status == 0 and f"{100 * exact_top1(members[:1]):.2f}" in done.stdout
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["val_10crop.npz"]


def test_an_ensemble_without_labels_is_averaged_and_not_scored(tmp_path):
    for name in "ab":
        value = some_probabilities(
            crop="oversample", labels=np.full(6, -1), split="test", seed=ord(name)
        )
        write_probabilities(tmp_path / f"{name}.npz", value)
    arguments = (tmp_path / "a.npz", tmp_path / "b.npz", "--split", "test", "--out", tmp_path / "o")
    done = run("ensemble", *arguments)
    assert done.status == 0 and "no labels" in done.stdout
    assert read_probabilities(tmp_path / "o" / "test_10crop.npz").split == "test"


def test_predict_writes_one_line_per_image_from_the_average(members, tmp_path):
    done = run("predict", *members, "--split", "val", "--out", tmp_path / "val.txt")
    assert done.status == 0, done.stderr
    lines = (tmp_path / "val.txt").read_text().splitlines()
    assert [line.split()[0] for line in lines] == [f"val_{n}.JPEG" for n in range(300)]
    stored = [read_probabilities(path) for path in members]
    mean = sum(p.probabilities.astype(np.float64) for p in stored)
    chosen = stored[0].wnids[mean.argmax(axis=1)]
    assert [line.split()[1] for line in lines] == chosen.tolist()
    assert run("predict", members[0], "--split", "val", "--out", "-").stdout.count("\n") == 300
    assert "--out FILE" in run("predict", *members).stderr


def test_a_run_goes_from_snapshot_to_scores_ensemble_and_submission(tmp_path):
    """The whole sequence: missing results are computed, existing ones reused."""
    data = small_run.write_data(tmp_path / "lmdb")
    paths = small_run.train(tmp_path, data)
    done = run("evaluate", paths.root, "--cpu", "--json")
    summary = json.loads(done.stdout)
    assert summary["images"] == 40 and summary["iteration"] == 40 and summary["crop"] == "center"
    shown = run("evaluate", paths.root, "--cpu").stdout
    assert f"top-1 {100 * summary['top1']:.2f} %" in shown and "iteration 40" in shown
    done = run("ensemble", paths.root, "--cpu", "--out", tmp_path / "out", "--json")
    assert json.loads(done.stdout)["members"][0]["iteration"] == 40
    assert paths.probabilities("val", oversample=True).exists()
    other = tmp_path / "other.npz"
    write_probabilities(other, some_probabilities(crop="oversample"))
    untrained = tmp_path / "untrained"
    untrained.mkdir()
    out = paths.probabilities("val", oversample=True)
    out.unlink()
    for wrong, says in (
        (tmp_path / "wrong", "no such run or .npz"),
        (other, "has 4 classes, but there are 6"),
        (untrained, "is not a run directory"),
    ):
        done = run("ensemble", paths.root, wrong, "--cpu", "--out", tmp_path / "out")
        assert done.status and says in done.stderr
        assert not out.exists()  # which is what computing the first one would have written
    done = run("predict", paths.root, "--cpu", "--one-crop")
    lines = (paths.root / "test.txt").read_text().splitlines()
    wnids = {f"n{9 - number:08d}" for number in range(small_run.CLASSES)}
    assert [line.split()[0] for line in lines] == [f"test_{n}.JPEG" for n in range(11)]
    assert {line.split()[1] for line in lines} <= wnids


@pytest.mark.parametrize("command", ["evaluate", "ensemble", "predict"])
def test_help_has_an_example(command):
    shown = run(command, "--help").stdout
    assert f"Example:\n    tinynet {command} runs/" in shown


def test_an_unwritable_destination_is_refused_before_the_work_starts(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run("ensemble", tmp_path / "seed1", "--out", tmp_path / "file")
    assert done.status == 2 and "file: is a file; name a folder" in done.stderr
    done = run("predict", tmp_path / "seed1", "--out", tmp_path)
    assert done.status == 2 and f"{tmp_path}: is a folder; name the file" in done.stderr


def test_the_best_snapshot_is_that_of_the_highest_accuracy_in_the_history(tmp_path: Path) -> None:
    from tests.run.test_snapshots import write_snapshot
    from tinynet.cli.evaluate import _iteration
    from tinynet.errors import TinynetError, UsageError
    from tinynet.run.log import append_history

    (tmp_path / "snapshots").mkdir()
    for iteration in (10, 20):
        write_snapshot(tmp_path / "snapshots", iteration)
    with pytest.raises(TinynetError, match="none is known to be the best"):
        _iteration(tmp_path, "best")
    scores = [(10, 0.7), (15, 0.9), (20, 0.6)]
    append_history(
        tmp_path / "history.jsonl", [{"iteration": n, "val_accuracy": a} for n, a in scores]
    )
    assert _iteration(tmp_path, "best") == 10 and _iteration(tmp_path, "7") == 7
    with pytest.raises(UsageError, match="a number, or 'best'"):
        _iteration(tmp_path, "last")
