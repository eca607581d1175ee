"""The tests of ``fast/`` run even if the environment has switched it off."""

from __future__ import annotations

import pytest
import torch

from tests.torchcaffe.fast.recorder import Recorder
from tinynet.torchcaffe.context import CONTEXT
from tinynet.torchcaffe.fast import graphs
from tinynet.torchcaffe.layer_types.dropout import Dropout


@pytest.fixture(autouse=True)
def _switched_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CONTEXT, "fast", True)


def _draw(self: Dropout, values: torch.Tensor) -> torch.Tensor:
    """Draw from torch's generator, as on a GPU."""
    return (torch.rand(values.shape) >= self.ratio).to(torch.float32).mul_(self.scale)


@pytest.fixture
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Record and repeat nets on the CPU with ``recorder.Recorder``."""
    monkeypatch.setenv("GLOG_minloglevel", "2")
    monkeypatch.setitem(graphs.BY_DEVICE, "cpu", Recorder)
    monkeypatch.setattr(Dropout, "_draw", _draw)
    monkeypatch.setattr(Recorder, "wrong", False)
