"""The tables of data/results are those that ``tinynet report`` writes, to the last digit."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import run

ROOT = Path(__file__).parents[2]
FOLDERS = {"tiny20": ["tiny20"], "tiny200": ["tiny200", "tiny200_modern"]}


@pytest.mark.parametrize("name", FOLDERS)
def test_published_tables_equal_those_made_from_the_results(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    sources = [Path("data/results") / each for each in FOLDERS[name]]
    done = run("report", *sources, "--out", tmp_path / "tables.md")
    assert done.status == 0, done.stderr
    published = (sources[0] / "tables.md").read_text(encoding="utf-8")
    made = (tmp_path / "tables.md").read_text(encoding="utf-8")
    shown = " ".join(map(str, sources))
    assert made == published, f"tinynet report {shown} --out {sources[0]}/tables.md"


def test_every_results_folder_stays_small_and_holds_no_weights() -> None:
    for folder in (ROOT / "data/results").iterdir():
        found = [path for path in folder.rglob("*") if path.is_file()]
        assert sum(path.stat().st_size for path in found) < 100e6, folder
        assert not [path for path in found if path.suffix in (".caffemodel", ".solverstate")]
