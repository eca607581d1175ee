"""The images that a bench works on."""

from __future__ import annotations

from pathlib import Path

from tinynet.errors import TinynetError, UsageError


def unpacked(data: Path | None, scratch: Path, quick: bool) -> Path:
    """The folder of the data set: the one given, a zip's content, or newly drawn images."""
    from tinynet.dataset import synthetic
    from tinynet.dataset.zip_members import open_zip

    if data is None:
        sizes = synthetic.Sizes(10, 30, 10, 10) if quick else synthetic.Sizes(20, 75, 50, 10)
        synthetic.synthesize(scratch / "shapes", sizes)
        return scratch / "shapes"
    if data.is_dir():
        return data.resolve()
    if not data.exists():
        raise UsageError(f"{data}: no such folder or zip")
    with open_zip(data) as archive:
        archive.extractall(scratch / "data")
    found = sorted((scratch / "data").rglob("wnids.txt"), key=lambda path: len(path.parts))
    if not found:
        raise TinynetError(f"{data}: holds no wnids.txt, so it is not in the Tiny ImageNet layout")
    return found[0].parent
