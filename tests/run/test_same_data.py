"""A changed data set is noticed without reading all of it."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from tinynet.caffeformat.datum import encode_datum
from tinynet.caffeformat.lmdb import write_store
from tinynet.dataset import lmdb_contents
from tinynet.dataset.manifest import Manifest, write_manifest
from tinynet.errors import TinynetError
from tinynet.run import checks, compare
from tinynet.run.training_prototxt import load

COUNT = lmdb_contents.SIZE + 44
Records = list[tuple[bytes, bytes]]


def records(count: int = COUNT, names: str = "{}.JPEG") -> Records:
    pixels = np.random.RandomState(count).randint(0, 256, (count, 1, 6, 6)).astype(np.uint8)
    return [
        (f"{n:08d}_{names.format(n)}".encode(), encode_datum(image, n % 4))
        for n, image in enumerate(pixels)
    ]


def described(folder: Path, count: int = COUNT, digest: str = "of all") -> None:
    counts = {"train": count, "val": 20, "test": 0}
    manifest = Manifest(
        counts=counts,
        wnids=["a", "b", "c", "d"],
        class_names=["a", "b", "c", "d"],
        shape=(1, 6, 6),
        mean_values=(1.0, 2.0, 3.0),
        seed=1,
        source="drawn",
        source_sha256="0",
        names={split: [f"{n}.JPEG" for n in range(size)] for split, size in counts.items()},
        labelled={"train": True, "val": True, "test": False},
        digests={"train": digest, "val": "0", "test": ""},
    )
    write_manifest(manifest, folder)


def entry(path: Path) -> dict[str, object]:
    return lmdb_contents.contents(path)


def rewritten(path: Path, made: Records) -> Path:
    for file in path.glob("*"):
        file.unlink()
    if path.exists():
        path.rmdir()
    write_store(path, made)
    return path


@pytest.fixture
def train(tmp_path: Path) -> Path:
    described(tmp_path)
    return rewritten(tmp_path / "train_lmdb", records())


def test_digests_are_taken_from_the_manifest(train: Path) -> None:
    found = entry(train)
    assert found["records"] == COUNT and found["digest"] == "of all"


def test_a_small_lmdb_is_read_whole(tmp_path: Path) -> None:
    made = records(20)
    path = rewritten(tmp_path / "train_lmdb", made)
    by_hand = hashlib.sha256(b"".join(key + value for key, value in made)).hexdigest()
    assert entry(path)["digest"] == by_hand
    described(tmp_path, 20, by_hand)
    assert entry(path)["digest"] == by_hand
    described(tmp_path, 20, "of others")
    with pytest.raises(TinynetError, match="not those that its manifest.json states"):
        entry(path)


@pytest.mark.parametrize(
    "other",
    [
        records()[:-1],
        records()[1:],
        [*records(), (b"99999999_x", b"")],
        records(names="other_{}.JPEG"),
        [*records()[:150], (b"00000150_other.JPEG", b""), *records()[151:]],
    ],
    ids=["one less", "without the first", "one more", "of another set", "one of another name"],
)
def test_records_of_another_conversion_are_refused(train: Path, other: Records) -> None:
    rewritten(train, other)
    with pytest.raises(TinynetError, match="train_lmdb: its records are not those"):
        entry(train)


def test_changed_values_under_the_same_keys_are_noticed_at_a_resume(train: Path) -> None:
    before = {"path": "x", "bytes": 1, **entry(train)}
    keys = [key for key, _ in records()]
    rewritten(train, [(key, value[::-1]) for key, value in zip(keys, (v for _, v in records()))])
    after = {"path": "x", "bytes": 1, **entry(train)}
    assert compare.data_changes([before], [before]) == []
    assert compare.data_changes([before], [after]) == ["the data in x is not the same"]
    # the first and the last record are in every sample
    for number in (0, COUNT - 1):
        changed = records()
        changed[number] = (changed[number][0], b"other")
        rewritten(train, changed)
        assert compare.data_changes([before], [{"path": "x", "bytes": 1, **entry(train)}])


def test_an_lmdb_without_a_manifest_is_identified_by_its_sample(tmp_path: Path) -> None:
    path = rewritten(tmp_path / "train_lmdb", records())
    before = entry(path)
    assert "digest" not in before and before["records"] == COUNT
    rewritten(path, records()[:-1])
    assert compare.data_changes([{"path": "x", **before}], [{"path": "x", **entry(path)}])


def test_a_truncated_lmdb_is_refused_without_a_crash(train: Path) -> None:
    os.truncate(train / "data.mdb", (train / "data.mdb").stat().st_size // 4)
    with pytest.raises(TinynetError, match="train_lmdb: is damaged|train_lmdb: cannot be read"):
        entry(train)


def test_a_run_of_an_earlier_version_resumes_on_the_same_data(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its run.json holds the digest of all records, as a manifest still does."""
    monkeypatch.chdir(folder)
    now = checks.require_data(load(Path("small/solver.prototxt")))
    before = [{key: entry[key] for key in ("path", "bytes", "digest")} for entry in now]
    assert compare.data_changes(before, now) == []
    before[0]["digest"] = "of other images"
    assert compare.data_changes(before, now) == ["the data in data/train_lmdb is not the same"]
