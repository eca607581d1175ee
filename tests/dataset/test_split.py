"""A split never puts identical images on both sides; its result is an ordinary converted set."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.cli.command import run
from tinynet.caffeformat.datum import decode_datum, encode_datum
from tinynet.caffeformat.lmdb import open_store, write_store
from tinynet.dataset.manifest import Manifest, write_manifest
from tinynet.dataset.paths import SPLITS, DataPaths
from tinynet.dataset.split import Fold, HalfVal, Plan, Tuning, split
from tinynet.dataset.verify import verify_converted
from tinynet.errors import UsageError

CLASSES = 3
COUNTS = {"train": 60, "val": 18, "test": 9}


def image(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (3, 4, 4)).astype(np.uint8)


def write_set(folder: Path, twins: dict[tuple[str, int], tuple[str, int]] | None = None) -> Path:
    """Write a converted set of alternating classes; ``twins`` maps an image to its original."""
    numbers = {
        (name, n): 1000 * SPLITS.index(name) + n for name in SPLITS for n in range(COUNTS[name])
    }
    for one, other in (twins or {}).items():
        numbers[one] = numbers[other]
    names = {}
    for name in SPLITS:
        names[name] = [f"{name}_{n}.JPEG" for n in range(COUNTS[name])]
        write_store(
            DataPaths(folder).lmdb(name),
            (
                (
                    f"{n:08d}_{names[name][n]}".encode(),
                    encode_datum(image(numbers[name, n]), n % CLASSES),
                )
                for n in range(COUNTS[name])
            ),
        )
    manifest = Manifest(
        counts=COUNTS,
        wnids=[f"n{c}" for c in range(CLASSES)],
        class_names=[f"class {c}" for c in range(CLASSES)],
        shape=(3, 4, 4),
        mean_values=(1.0, 2.0, 3.0),
        seed=1,
        source="drawn",
        source_sha256="",
        names=names,
        labelled={"train": True, "val": True, "test": False},
        digests=dict.fromkeys(COUNTS, ""),
    )
    write_manifest(manifest, folder)
    return folder


def contents(folder: Path, name: str) -> list[tuple[bytes, int]]:
    with open_store(DataPaths(folder).lmdb(name)) as store:
        decoded = [decode_datum(value) for _, value in store.records()]
    return [(pixels.tobytes(), label) for pixels, label in decoded]


PLANS = [Tuning(0.2, 1), HalfVal(1), Fold(2, 3, 1)]


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: type(plan).__name__)
def test_a_split_set_verifies_and_shares_no_image_between_splits(
    tmp_path: Path, plan: Plan
) -> None:
    split(write_set(tmp_path / "a"), tmp_path / "b", plan)
    assert verify_converted(tmp_path / "b").problems == []
    found = {name: {c for c, _ in contents(tmp_path / "b", name)} for name in SPLITS}
    assert not found["train"] & found["val"] and not found["val"] & found["test"]
    assert not found["train"] & found["test"]


def test_tuning_images_come_out_of_training_and_all_of_val_is_reported(tmp_path: Path) -> None:
    source = write_set(tmp_path / "a")
    manifest = split(source, tmp_path / "b", Tuning(0.2, 1))
    assert manifest.counts == {"train": 48, "val": 12, "test": 18}
    assert Counter(label for _, label in contents(tmp_path / "b", "val")) == {0: 4, 1: 4, 2: 4}
    assert contents(tmp_path / "b", "test") == contents(source, "val")
    held_and_kept = contents(tmp_path / "b", "val") + contents(tmp_path / "b", "train")
    assert sorted(held_and_kept) == sorted(contents(source, "train"))
    assert manifest.labelled["test"] and manifest.names["val"][0].startswith("train_")


def test_halves_of_val_are_balanced_and_complete(tmp_path: Path) -> None:
    source = write_set(tmp_path / "a")
    manifest = split(source, tmp_path / "b", HalfVal(1))
    assert manifest.counts == {"train": 60, "val": 9, "test": 9}
    halves = contents(tmp_path / "b", "val") + contents(tmp_path / "b", "test")
    assert sorted(halves) == sorted(contents(source, "val"))


def test_folds_cover_training_and_validation_once(tmp_path: Path) -> None:
    source = write_set(tmp_path / "a")
    everything = sorted(contents(source, "train") + contents(source, "val"))
    held = []
    for number in (1, 2, 3):
        folder = tmp_path / f"fold{number}"
        split(source, folder, Fold(number, 3, 1))
        assert len(contents(folder, "val")) == 26
        held += contents(folder, "val")
        rest = contents(folder, "train") + contents(folder, "val")
        assert sorted(rest) == everything
    assert sorted(held) == everything


def test_the_training_set_of_a_fold_mixes_both_sources_from_the_start(tmp_path: Path) -> None:
    manifest = split(write_set(tmp_path / "a"), tmp_path / "b", Fold(1, 3, 1))
    first = [name.split("_")[0] for name in manifest.names["train"][:13]]
    assert Counter(first)["val"] == 3  # 12 of 52 are from val


def test_identical_images_stay_on_one_side_and_reported_ones_leave_training(tmp_path: Path) -> None:
    twins = {("train", 3): ("val", 0), ("train", 9): ("train", 0), ("train", 12): ("train", 0)}
    source = write_set(tmp_path / "a", twins)
    for seed in range(6):
        out = tmp_path / f"b{seed}"
        manifest = split(source, out, Tuning(0.3, seed))
        assert manifest.skipped == ["train/train_3.JPEG"]
        sides = {
            name
            for name in SPLITS
            for item in manifest.names[name]
            if item in ("train_0.JPEG", "train_9.JPEG", "train_12.JPEG")
        }
        assert len(sides) == 1


def test_the_same_seed_gives_the_same_split_and_another_a_different_one(tmp_path: Path) -> None:
    source = write_set(tmp_path / "a")
    made = [
        split(source, tmp_path / str(n), Tuning(0.2, seed)).digests
        for n, seed in enumerate((1, 1, 2))
    ]
    assert made[0] == made[1] != made[2]


@pytest.mark.parametrize("plan", [Tuning(0.2, 2), HalfVal(1)])
def test_tuning_images_are_not_split_again(tmp_path: Path, plan: Plan) -> None:
    split(write_set(tmp_path / "a"), tmp_path / "b", Tuning(0.2, 1))
    with pytest.raises(UsageError, match="b: has been split already, and its val are tuning"):
        split(tmp_path / "b", tmp_path / "c", plan)
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("plan", [Tuning(0.99, 1), Fold(1, 27, 1), Fold(4, 3, 1), Fold(1, 1, 1)])
def test_a_split_of_more_images_than_exist_is_refused_and_leaves_nothing(
    tmp_path: Path, plan: Plan
) -> None:
    source = write_set(tmp_path / "a")
    with pytest.raises(UsageError):
        split(source, tmp_path / "b", plan)
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "one of --hold-out"),
        (("--hold-out", "0.2", "--half-val"), "one of --hold-out"),
        (("--fold", "2"), "K/N"),
        (("--hold-out", "1.5"), "hold-out"),
    ],
)
def test_the_command_explains_how_to_split(tmp_path: Path, options: tuple[str], says: str) -> None:
    done = run("data", "split", write_set(tmp_path / "a"), "--out", tmp_path / "b", *options)
    assert done.status == 2 and says in done.stderr and not (tmp_path / "b").exists()


def test_the_command_names_what_each_split_is_for(tmp_path: Path) -> None:
    done = run(
        *("data", "split", write_set(tmp_path / "a"), "--out", tmp_path / "b"),
        *("--hold-out", "0.2", "--split-seed", "3"),
    )
    assert done.status == 0
    assert "val         12 images: tuning images, held out" in done.stdout
