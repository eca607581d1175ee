"""Opens a data set, whichever of the known forms it is stored in."""

from __future__ import annotations

from pathlib import Path

from tinynet.dataset.image_set import ImageSet
from tinynet.dataset.parquet_set import ParquetSet, parquet_files
from tinynet.dataset.tiny_imagenet import TinyImagenet
from tinynet.errors import TinynetError


def open_set(path: Path | str, *, boxes: bool) -> ImageSet:
    """Open a data set in the Tiny ImageNet-200 layout (folder or zip) or in parquet files.

    ``boxes``: whether to parse the boxes of training images, so that an invalid one is an error.
    Raises TinynetError if ``path`` is neither, or if something is missing or contradictory.
    """
    path = Path(path)
    if path.suffix == ".parquet" and path.is_file():
        raise TinynetError(f"{path}: is one file; name the folder with those of every split")
    files = parquet_files(path)
    return ParquetSet(path, files) if files else TinyImagenet(path, boxes=boxes)
