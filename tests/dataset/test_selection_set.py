"""Images that chose something are recognised by their content, wherever they are stored."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import lmdb as lmdb_library
import pytest

from tests.dataset.test_split import write_set
from tinynet.caffeformat import schema
from tinynet.dataset.manifest import read_manifest
from tinynet.dataset.paths import DataPaths
from tinynet.dataset.selection_set import overlap, parse, selection_set
from tinynet.dataset.split import Fold, HalfVal, Tuning, split


def pixels_of(folder: Path, name: str) -> list[str]:
    """SHA-256 of every image's pixels, read with nothing but lmdb and the schema."""
    with (
        lmdb_library.open(str(DataPaths(folder).lmdb(name)), readonly=True, lock=False) as found,
        found.begin() as transaction,
    ):
        return [
            hashlib.sha256(schema.Datum.FromString(value).data).hexdigest()
            for _, value in transaction.cursor()
        ]


@pytest.mark.parametrize(
    "plan", [Tuning(0.3, 1), Tuning(0.3, 2), HalfVal(1), HalfVal(2), Fold(1, 2, 1), Fold(2, 2, 1)]
)
def test_the_overlap_equals_that_of_comparing_every_pixel(tmp_path: Path, plan: object) -> None:
    # one duplicate across splits and one within: content decides, not names
    twins = {("train", 4): ("val", 4), ("train", 7): ("train", 10)}
    converted = write_set(tmp_path / "converted", twins)
    searched = tmp_path / "searched"
    split(converted, searched, HalfVal(1))
    chosen = selection_set(searched)
    assert chosen.images == read_manifest(searched).counts["val"]
    split(converted, tmp_path / "other", plan)  # type: ignore[arg-type]
    chose = set(pixels_of(searched, "val"))
    for name in ("train", "val", "test"):
        by_hand = sum(content in chose for content in pixels_of(tmp_path / "other", name))
        assert overlap(chosen, tmp_path / "other", name) == by_hand
    assert overlap(chosen, searched, "val") == chosen.images


def test_a_selection_set_round_trips_through_json_and_is_refused_when_images_are_lost(
    tmp_path: Path,
) -> None:
    chosen = selection_set(write_set(tmp_path / "converted"))
    content = json.loads(json.dumps({**chosen.facts, "contents": chosen.contents}))
    assert parse(content) == chosen
    with pytest.raises(ValueError, match="count"):
        parse({**content, "contents": content["contents"][:-1].rpartition(" ")[0]})
    for key in content:
        with pytest.raises(ValueError):
            parse({k: v for k, v in content.items() if k != key})
        with pytest.raises(ValueError):
            parse({**content, key: 3.5})
