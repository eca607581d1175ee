"""These tests need a GPU, and leave its settings unchanged."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import tinynet.torchcaffe as torchcaffe
from tinynet.torchcaffe import extensions


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("GLOG_minloglevel", "2")
    yield
    torchcaffe.set_mode_cpu()
    extensions.set_precision("float32")
