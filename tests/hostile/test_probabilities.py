"""Probability files from strangers are refused by name and cause no file to be written."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.hostile.mangling import bounded_memory
from tinynet.errors import TinynetError
from tinynet.predict.probabilities import read_probabilities


def npy(descr: str, shape: str, data: bytes = b"") -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117)
    header += b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def archive(path: Path, arrays: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in arrays.items():
            file.writestr(f"{name}.npy", content)
    return path


def good_arrays() -> dict[str, bytes]:
    return {
        "probabilities": npy("'<f4'", "(2, 2)", np.full(4, 0.5, "<f4").tobytes()),
        "labels": npy("'<i8'", "(2,)", np.zeros(2, "<i8").tobytes()),
        "names": npy("'<U1'", "(2,)", "ab".encode("utf-32-le")),
        "wnids": npy("'<U1'", "(2,)", "ab".encode("utf-32-le")),
        "crop": npy("'<U6'", "()", "center".encode("utf-32-le")),
    }


@pytest.mark.parametrize(
    ("key", "content"),
    [
        ("probabilities", npy("'|O'", "(2, 2)", b"cos\nsystem\n(S'touch pwned'\ntR.")),
        ("names", npy("'|O'", "(2,)", b"cos\nsystem\n(S'touch pwned'\ntR.")),
        ("probabilities", npy("[('a', '<f4')]", "(2, 2)", bytes(16))),
        ("probabilities", npy("'<f4'", "(1000000, 1000000)", bytes(16))),
        ("probabilities", npy("'<f4'", "(9999999999999999999999, 9)", bytes(16))),
        ("probabilities", npy("'<f4'", "(-2, -2)", bytes(16))),
        ("labels", npy("'<U999999999'", "(2,)", bytes(16))),
        ("probabilities", npy("'<f4'", "(8000, 32000)", bytes(1_024_000_000 // 50))),
        ("crop", npy("'<U6'", "(1,)", "center".encode("utf-32-le"))),
        ("wnids", npy("'<U3'", "(2,)", "../\x00/a".encode("utf-32-le"))),
        ("labels", b""),
        ("names", b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 70000),
    ],
)
def test_hostile_probabilities_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, content: bytes
) -> None:
    monkeypatch.chdir(tmp_path)
    good = archive(tmp_path / "good.npz", good_arrays())
    assert read_probabilities(good).probabilities.shape == (2, 2)
    bad = archive(tmp_path / "bad.npz", {**good_arrays(), key: content})
    with bounded_memory(), pytest.raises(TinynetError, match=r"bad\.npz"):
        read_probabilities(bad)
    assert {path.name for path in tmp_path.iterdir()} == {"good.npz", "bad.npz"}


def test_a_zip_bomb_of_zeros_is_refused_by_its_header(tmp_path: Path) -> None:
    bomb = npy("'<f4'", "(2, 2)", bytes(200 << 20))
    path = archive(tmp_path / "bomb.npz", {**good_arrays(), "probabilities": bomb})
    assert path.stat().st_size < 1 << 20
    with bounded_memory(), pytest.raises(TinynetError, match=r"bomb\.npz"):
        read_probabilities(path)
