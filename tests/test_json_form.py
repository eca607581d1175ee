"""A field of the wrong type is named; valid fields are read unchanged."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.study.results_by_hand import settings
from tinynet.errors import TinynetError
from tinynet.files import read_json, typed
from tinynet.run import record as runs
from tinynet.study.results import ResultsPaths, read_dissection
from tinynet.study.settings import Split, read_settings

ROOT = Path(__file__).parent.parent


@dataclass
class Form:
    count: int = 0
    share: float | None = None
    names: list[str] = field(default_factory=list)
    nested: dict[str, dict[str, float]] = field(default_factory=dict)
    pair: tuple[float, float] | None = None
    several: tuple[int, ...] = ()
    whatever: Any = None
    inner: Form | None = None
    where: Path | None = None


@pytest.mark.parametrize(
    "sound",
    [
        {},
        {"count": 3, "share": 1, "names": ["a"], "nested": {"a": {"b": 1.5}}, "pair": [1, 2.5]},
        {"share": None, "pair": None, "several": [1, 2, 3], "whatever": [1]},
        {"inner": {"inner": {"count": 2}}, "where": "a/b"},
    ],
)
def test_valid_fields_are_read_unchanged_and_unknown_ones_ignored(sound: dict) -> None:
    made = asdict(typed(Form, {**sound, "of a later version": 1}))
    assert json.loads(json.dumps(made, default=str)) == {**_plain(Form()), **_whole(sound)}


def _plain(form: Form) -> dict[str, Any]:
    return json.loads(json.dumps(asdict(form)))


def _whole(sound: dict[str, Any]) -> dict[str, Any]:
    """Fill in the default of every field that the inner objects leave out."""
    inner = sound.get("inner")
    return {**sound, "inner": {**_plain(Form()), **_whole(inner)}} if inner else sound


@pytest.mark.parametrize(
    "damaged",
    [
        {"count": "3"}, {"count": True}, {"count": 3.5}, {"count": None}, {"share": "x"},
        {"where": 1}, {"inner": {"count": "x"}}, {"inner": {"inner": 1}},
        {"names": "ab"}, {"names": [1]}, {"names": None},
        {"nested": {"a": 1}}, {"nested": {"a": {"b": "x"}}}, {"pair": [1]}, {"pair": [1, "x"]},
        {"several": [1, 1.5]}, {"several": 1},
    ],
)  # fmt: skip
def test_a_field_of_another_type_is_named(damaged: dict) -> None:
    (name,) = damaged
    with pytest.raises(ValueError, match=rf"^{name}[^ ]*: expected "):
        typed(Form, damaged)


@pytest.mark.parametrize("content", [None, [], "text", 3])
def test_a_value_that_is_not_an_object_is_refused(content: object) -> None:
    with pytest.raises(ValueError, match="^expected object, got "):
        typed(Form, content)


def test_a_missing_field_is_named() -> None:
    with pytest.raises(ValueError, match="^object missing required field name$"):
        typed(Split, {"role": "", "images": 1})


@pytest.mark.parametrize(
    "data", [b"", b"{", b"NaN", b'{"a": Infinity}', b"\xff", b"[" * 100_000, b"1" * 5000]
)
def test_bytes_that_are_not_json_are_refused_in_one_line(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(data)
    with pytest.raises(TinynetError, match="x.json: cannot be read as JSON: ") as caught:
        read_json(path)
    assert "\n" not in str(caught.value)


def test_a_table_nested_too_deep_is_refused_in_one_line(tmp_path: Path) -> None:
    path = ResultsPaths(tmp_path).table
    for depth in (300, 900, 5000):
        path.write_text('{"version": 2, "settings": ' + '{"a":' * depth + "1" + "}" * depth + "}")
        with pytest.raises(TinynetError, match="dissection.json: ") as caught:
            read_dissection(tmp_path)
        assert "\n" not in str(caught.value)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=6,
)


@given(st.sampled_from(sorted(asdict(runs.Run()))), VALUES)
def test_a_run_whose_record_is_damaged_is_refused_by_name_or_has_its_types(
    tmp_path_factory: pytest.TempPathFactory, name: str, value: object
) -> None:
    path = tmp_path_factory.mktemp("run") / "run.json"
    path.write_text(json.dumps({**asdict(runs.Run()), name: value}))
    try:
        found = runs.load(path)
    except TinynetError as error:
        assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
    else:
        assert asdict(found) == {**asdict(runs.Run()), name: value}  # type: ignore[call-overload]


def test_committed_results_are_valid() -> None:
    kept = sorted((ROOT / "data/results").rglob("run.json"))
    assert kept and all(runs.load(path) is not None for path in kept)
    tables = sorted((ROOT / "data/results").rglob("dissection.json"))
    assert tables
    for path in tables:
        assert read_dissection(path.parent).stages
        assert read_settings(ResultsPaths(path.parent)) is not None


@pytest.mark.parametrize(
    "change",
    [{"batch_size": "32"}, {"epochs": {"stage1_simple": None}}, {"reported": {"name": 3}},
     {"tuning": []}, {"seeds": [1.5]}, {"members": ["../../x/y"]}, {"members": ["x"]}],
)  # fmt: skip
def test_an_experiment_of_another_form_is_refused(tmp_path: Path, change: dict) -> None:
    results = ResultsPaths(tmp_path)
    results.experiment.write_text(json.dumps({**asdict(settings()), **change}))
    with pytest.raises(TinynetError, match="experiment.json: is not a valid experiment"):
        read_settings(results)
