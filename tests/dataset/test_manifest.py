from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tinynet.dataset.manifest import Manifest, read_manifest, write_manifest
from tinynet.errors import TinynetError

TEXT = st.text(max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
in_one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def manifest(**changes: Any) -> Manifest:
    content: dict[str, Any] = {
        "counts": {"train": 2, "val": 1, "test": 0},
        "wnids": ["n02", "n01"],
        "class_names": ["dog", "cat, house cat"],
        "shape": (3, 64, 64),
        "mean_values": (101.5, 110.25, 120.125),
        "seed": 1,
        "source": "small",
        "source_sha256": "ab",
        "names": {"train": ["b.JPEG", "a.JPEG"], "val": ["ü.JPEG"], "test": []},
        "labelled": {"train": True, "val": True, "test": False},
        "digests": {"train": "1", "val": "2", "test": "3"},
        "options": {"crop_to_box": False},
        "skipped": [],
    }
    return Manifest(**{**content, **changes})


@given(
    wnids=st.lists(TEXT, min_size=1, unique=True),
    means=st.tuples(*[st.floats(0, 255)] * 3),
    names=st.lists(TEXT),
    seed=st.integers(),
    source=TEXT,
)
@in_one_folder
def test_a_manifest_round_trips(
    tmp_path: Path,
    wnids: list[str],
    means: tuple[float, float, float],
    names: list[str],
    seed: int,
    source: str,
) -> None:
    written = manifest(
        wnids=wnids,
        class_names=[wnid[::-1] for wnid in wnids],
        mean_values=means,
        names={"train": names, "val": [], "test": names},
        counts={"train": len(names), "val": 0, "test": len(names)},
        seed=seed,
        source=source,
    )
    write_manifest(written, tmp_path)
    assert read_manifest(tmp_path) == written
    assert written.classes == len(wnids)


def test_a_folder_without_a_manifest_is_called_unfinished(tmp_path: Path) -> None:
    with pytest.raises(TinynetError, match="not a finished conversion"):
        read_manifest(tmp_path)


@given(st.binary())
@in_one_folder
def test_arbitrary_bytes_are_refused_with_one_line(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "manifest.json").write_bytes(data)
    with pytest.raises(TinynetError) as error:
        read_manifest(tmp_path)
    assert "\n" not in str(error.value) and "manifest.json" in str(error.value)


@given(field=st.sampled_from([f.name for f in dataclasses.fields(Manifest)]), value=JSON)
@in_one_folder
def test_a_field_of_another_type_is_refused_or_keeps_its_type(
    tmp_path: Path, field: str, value: Any
) -> None:
    content = {**dataclasses.asdict(manifest()), field: value}
    (tmp_path / "manifest.json").write_text(json.dumps(content))
    try:
        found = getattr(read_manifest(tmp_path), field)
    except TinynetError as error:
        assert "\n" not in str(error)
    else:
        assert isinstance(found, type(getattr(manifest(), field)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "has version 2, not 1"),
        ({"counts": {"train": 3, "val": 1, "test": 0}}, "counts 3 train images but names 2"),
        ({"class_names": ["dog"]}, "one class name per wnid"),
        ({"mean_values": [1.0, 2.0]}, "mean_values: expected array of length 3"),
        ({"wnids": ["n01", "n01"]}, "one twice"),
        ({"labelled": {"train": True}}, "labelled: has not one entry for each"),
        ({"shape": [3, 0, 64]}, "has the shape"),
        ({"shape": [True, 64, 64]}, r"shape\[0\]: expected int, got bool"),
    ],
)
def test_a_contradiction_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    content = {**dataclasses.asdict(manifest()), **change}
    (tmp_path / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(TinynetError, match=message):
        read_manifest(tmp_path)


def test_a_missing_field_is_named(tmp_path: Path) -> None:
    content = dataclasses.asdict(manifest())
    del content["mean_values"]
    (tmp_path / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(TinynetError, match="missing required field mean_values"):
        read_manifest(tmp_path)
