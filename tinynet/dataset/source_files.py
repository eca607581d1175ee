"""Reads the files of a data set from a folder or from a zip."""

from __future__ import annotations

import os
import zipfile
import zlib
from pathlib import Path

from tinynet.dataset.zip_members import open_zip
from tinynet.errors import UsageError

try:
    from lzma import LZMAError
except ImportError:  # Python was built without it, and zipfile reads no such member
    LZMAError = zlib.error  # type: ignore[misc,assignment]


class Files:
    """Files by their paths within the data set: ``train/n02124075/images/n02124075_0.JPEG``."""

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self.name = name  # of the data set, without .zip

    def listing(self) -> set[str]:
        """Paths of all files and folders; those of folders end in a slash."""
        raise NotImplementedError

    def source(self, path: str) -> str | bytes:
        """What a decoding thread needs of a file: its path (str) or its content (bytes).

        Raises OSError if it cannot be read.
        """
        raise NotImplementedError

    def read(self, path: str) -> bytes:
        source = self.source(path)
        return source if isinstance(source, bytes) else Path(source).read_bytes()

    def show(self, path: str) -> str:
        """The path as error messages show it."""
        return f"{self.path}/{path}"

    def close(self) -> None:
        pass


class FolderFiles(Files):
    """The files of a folder; only folders of the layout are listed, however large the rest is."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, path.resolve().name)

    def listing(self) -> set[str]:
        found: set[str] = set()
        self._list("", found)
        for split in ("train/", "val/", "test/"):
            if split in found:
                self._list(split, found)
                for folder in [name for name in found if name.startswith(split)]:
                    if folder.endswith("/") and folder != split:
                        self._list(folder, found)
                        if f"{folder}images/" in found:
                            self._list(f"{folder}images/", found)
        return found

    def _list(self, folder: str, found: set[str]) -> None:
        with os.scandir(self.path / folder) as entries:
            for entry in entries:
                found.add(folder + entry.name + ("/" if entry.is_dir() else ""))

    def source(self, path: str) -> str | bytes:
        return f"{self.path}/{path}"  # a Path would take longer to make than the image to read


class ZipFiles(Files):
    """The files of a zip, below the folder that holds ``wnids.txt`` (usually its only one)."""

    def __init__(self, path: Path) -> None:
        self._archive = open_zip(path)
        names = self._archive.namelist()
        roots = [name[: -len("wnids.txt")] for name in names if f"/{name}".endswith("/wnids.txt")]
        roots = [root for root in roots if not root.startswith("__MACOSX/")]
        self._root = min(roots, key=len, default="")
        super().__init__(path, self._root.rstrip("/").rpartition("/")[2] or path.stem)

    def listing(self) -> set[str]:
        start = len(self._root)
        found = {name[start:] for name in self._archive.namelist() if name.startswith(self._root)}
        found.discard("")
        # a zip need not have entries for folders
        for name in list(found):
            while "/" in name[:-1]:
                name = name[: name[:-1].rindex("/") + 1]
                if name in found:
                    break
                found.add(name)
        return found

    def source(self, path: str) -> str | bytes:
        try:
            return self._archive.read(self._root + path)
        except NotImplementedError as error:  # a method of compression that Python does not have
            raise OSError(f"cannot be unpacked: {error}") from None
        except (zipfile.BadZipFile, zlib.error, LZMAError, EOFError) as error:
            raise OSError(f"damaged in the zip: {error}") from None

    def show(self, path: str) -> str:
        return f"{self.path}:{self._root}{path}"

    def unpacked_size(self, block: int) -> int:
        """Bytes that all files take on a disk with blocks of ``block`` bytes."""
        return sum(-(-info.file_size // block) * block for info in self._archive.infolist())

    def close(self) -> None:
        self._archive.close()


def open_files(path: Path) -> Files:
    """Open a data set, a folder or a zip.  Raises UsageError if ``path`` does not exist."""
    if path.is_dir():
        return FolderFiles(path)
    if not path.exists():
        raise UsageError(
            f"{path}: no such folder or zip; get one with 'tinynet data fetch' or "
            "'tinynet data synthesize'"
        )
    return ZipFiles(path)
