from __future__ import annotations

import stat
import zipfile
from pathlib import Path

import pytest

from tinynet.dataset import zip_members
from tinynet.dataset.zip_members import leads_outside, open_zip
from tinynet.errors import TinynetError


def zip_with(path: Path, name: str, mode: int = stat.S_IFREG | 0o644) -> Path:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("set/wnids.txt", "n01\n")
        archive.writestr(info, "content")
    return path


@pytest.mark.parametrize(
    "name",
    ["../x", "set/../../x", "/etc/x", "//x", "C:/x", "C:x", "set\\..\\..\\x", "..", "set/.."],
)
def test_a_path_outside_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    assert leads_outside(name)
    with pytest.raises(TinynetError, match="leads outside"):
        open_zip(zip_with(tmp_path / "a.zip", name))


@pytest.mark.parametrize("name", ["set/x", "set/..x", "set/x..y/z", "set/", "set/a:b"])
def test_a_path_within_the_folder_is_accepted(tmp_path: Path, name: str) -> None:
    assert not leads_outside(name)
    open_zip(zip_with(tmp_path / "a.zip", name)).close()


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_are_refused(tmp_path: Path, kind: int) -> None:
    with pytest.raises(TinynetError, match="'set/x' is a link or device"):
        open_zip(zip_with(tmp_path / "a.zip", "set/x", kind | 0o777))


def test_a_zip_of_a_later_form_is_refused_in_one_line(tmp_path: Path) -> None:
    path = zip_with(tmp_path / "a.zip", "set/x")
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 6] = 99  # needs version 9.9 of the format
    path.write_bytes(content)
    with pytest.raises(TinynetError, match="a.zip: is not a whole zip"):
        open_zip(path)


def test_a_name_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        path = zip_with(tmp_path / "a.zip", "set/wnids.txt")
    with pytest.raises(TinynetError, match="two files named 'set/wnids.txt'"):
        open_zip(path)


def test_sizes_beyond_all_data_sets_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = zip_with(tmp_path / "a.zip", "set/x")
    for limit, message in [
        ("_LARGEST_FILE", "unpacks to 7 bytes"),
        ("_LARGEST_TOTAL", "unpacks to 11 bytes"),
        ("_MOST_FILES", "holds 2 files"),
    ]:
        with monkeypatch.context() as patch:
            patch.setattr(zip_members, limit, 1 if limit == "_MOST_FILES" else 6)
            with pytest.raises(TinynetError, match=message):
                open_zip(path)
