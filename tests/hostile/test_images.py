"""Images and Datums from strangers are decoded or refused, in little memory."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.children import python
from tests.hostile.mangling import FUZZ, bounded_memory, mangled
from tinynet.caffeformat import schema
from tinynet.caffeformat.datum import decode_datum, encode_datum
from tinynet.dataset.decoding import BadImage, decode_image
from tinynet.errors import TinynetError


def png_of(width: int, height: int) -> bytes:
    """A PNG of a few hundred bytes whose header states an arbitrary size."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        crc = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = zlib.compress(bytes(1 << 16))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("size", [(9000, 9000), (20000, 20000), (60000, 60000), (2**31 - 1, 9)])
def test_an_encoded_datum_that_would_need_gigabytes_is_refused(size: tuple[int, int]) -> None:
    datum = schema.Datum(encoded=True, data=png_of(*size), label=1)
    with bounded_memory(), pytest.raises(TinynetError, match="cannot be decoded"):
        decode_datum(datum.SerializeToString())


@FUZZ
@given(st.one_of(
    mangled(encode_datum(np.arange(48, dtype=np.uint8).reshape(3, 4, 4), 2)),
    mangled(png_of(8, 8)).map(lambda data: schema.Datum(encoded=True, data=data)
                              .SerializeToString()),
))  # fmt: skip
def test_a_mangled_datum_is_decoded_or_refused(data: bytes) -> None:
    with bounded_memory():
        try:
            pixels, _ = decode_datum(data)
        except TinynetError:
            return
    assert pixels.ndim == 3


def jpeg(width: int, height: int) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (64, 64), (9, 99, 200)).save(out, "jpeg")
    data = out.getvalue()
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


@pytest.mark.parametrize("size", [(65, 64), (60000, 60000), (65535, 65535), (0, 0)])
def test_a_jpeg_that_states_another_size_is_refused(size: tuple[int, int]) -> None:
    with bounded_memory(), pytest.raises(BadImage):
        decode_image(jpeg(*size))


@FUZZ
@given(mangled(jpeg(64, 64)))
def test_a_mangled_jpeg_is_decoded_or_a_bad_image(data: bytes) -> None:
    with bounded_memory():
        try:
            pixels, _ = decode_image(data)
        except BadImage:
            return
    assert pixels.shape == (3, 64, 64)


def test_hostile_images_are_read_in_little_memory() -> None:
    """In a child with a memory limit: bounded_memory sees only Python's own allocations."""
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (1500 << 20, 1500 << 20))\n"
        "from tests.hostile import test_images as t\n"
        "for size in ((9000, 9000), (60000, 60000)):\n"
        "    t.test_an_encoded_datum_that_would_need_gigabytes_is_refused(size)\n"
        "print('done')"
    )
    child = python("-c", code)
    assert child.stdout == "done\n", child.stderr
