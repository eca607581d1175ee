"""The example notebook runs from its first cell to its last and shows its figures."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tinynet.manual import FOLDER

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

ROOT = Path(__file__).parents[1]


def test_the_notebook_goes_from_a_data_set_to_figure_5(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    notebook = nbformat.read(FOLDER / "notebook.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "commit it without outputs"
    client = nbclient.NotebookClient(
        notebook, timeout=600, resources={"metadata": {"path": tmp_path}}
    )
    client.execute()
    shown = [cell["outputs"] for cell in notebook.cells if cell["cell_type"] == "code"]
    assert all(shown), "every cell shows something"
    kinds = [set(output.get("data", {})) for outputs in shown for output in outputs]
    assert sum("image/png" in kind for kind in kinds) == 2  # the curves, and figure 5
    assert sum("text/html" in kind for kind in kinds) == 4  # stage, run, evaluation, ensemble
    assert (tmp_path / "notebook/runs/stage1_simple/seed3/val_10crop.npz").exists()
