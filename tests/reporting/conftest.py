from __future__ import annotations

import pytest
from matplotlib.figure import Figure

from tinynet.reporting import canvas


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Figures as they are saved, to look into."""
    figures: list[Figure] = []
    save = canvas.save

    def keep(made, path):
        figures.append(made)
        save(made, path)

    monkeypatch.setattr(canvas, "save", keep)
    return figures
