"""The manual's page that compares Caffe with tinynet is up to date."""

from __future__ import annotations

import pytest

from tests.caffe_page import DEBIANS, PAGE, _section, page


def test_the_committed_page_equals_the_generated_one() -> None:
    pytest.importorskip("plyvel")
    pytest.importorskip("h5py")
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m tests.caffe_page"


def test_the_page_would_show_what_is_missing() -> None:
    text = _section("Layer types", DEBIANS, set(DEBIANS) - {"Clip"})
    assert "| 60 of 61 |" in text and "| missing | `Clip` |" in text
