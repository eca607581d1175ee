"""The manual's page of what Caffe has beside what is here says what is so."""

from __future__ import annotations

import pytest

from tests.caffe_page import DEBIANS, PAGE, _section, page


def test_the_committed_page_is_what_is_generated() -> None:
    pytest.importorskip("plyvel")
    pytest.importorskip("h5py")
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m tests.caffe_page"


def test_what_is_missing_would_be_seen() -> None:
    text = _section("Layer types", DEBIANS, set(DEBIANS) - {"Clip"})
    assert "| 60 of 61 |" in text and "| missing | `Clip` |" in text
