"""What lies in ``fast/`` is tested wherever the environment has switched it off, too."""

from __future__ import annotations

import pytest

from tinynet.torchcaffe.context import CONTEXT


@pytest.fixture(autouse=True)
def _switched_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CONTEXT, "fast", True)
