"""Caffe's Datum: one image and its label, raw or encoded (``src/caffe/util/io.cpp``)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from google.protobuf.message import DecodeError

from tinynet.caffeformat import image_decoding, schema
from tinynet.errors import TinynetError


def decode_datum(value: bytes | memoryview, colour: str = "native") -> tuple[np.ndarray, int]:
    """Read a Datum: (pixels C×H×W, label).

    Pixels are uint8 in 0..255 (read-only), or float32 if the Datum holds ``float_data``.  An
    encoded image (JPEG, PNG) is decoded as ``colour`` says (``image_decoding.decode``): "native",
    as Caffe's ``DecodeDatumNative`` does, "color" (BGR) or "gray".
    Raises TinynetError if the bytes are not a Datum, or do not have channels·height·width values.
    """
    datum = schema.Datum()
    try:
        datum.ParseFromString(bytes(value))
    except DecodeError:
        raise TinynetError("record is not a Caffe Datum; convert the data set again") from None
    if datum.encoded:
        return _decode_image(datum.data, colour), datum.label
    shape = (datum.channels, datum.height, datum.width)
    data = datum.data
    if data or not datum.float_data:
        pixels = np.frombuffer(data, np.uint8)
    else:
        pixels = np.array(datum.float_data, np.float32)
    if min(shape) < 1 or pixels.size != shape[0] * shape[1] * shape[2]:
        raise TinynetError(
            f"Datum of {shape[0]}×{shape[1]}×{shape[2]} holds {pixels.size} values; "
            "convert the data set again"
        )
    return pixels.reshape(shape), datum.label


class DatumReader:
    """Reads the Datums of one data set, most of whose images have one shape, without copying them.

    A protobuf message that is cut in two is the merge of both parts.  So if a record begins with
    the bytes that come before pixels of the last record's shape, and what follows those pixels has
    only a label, the pixels lie between the two.  Every other record is parsed whole.
    """

    def __init__(self, colour: str = "native") -> None:
        """``colour``: as in ``decode_datum``."""
        self._colour = colour
        self._shape: tuple[int, ...] = ()
        self._head = b"\0"  # begins no message
        self._start = 1
        self._end = 1

    def read(self, value: bytes | memoryview) -> tuple[np.ndarray, int]:
        """Read like ``decode_datum``; uint8 pixels are a read-only view into ``value``."""
        start, end = self._start, self._end
        if value[:start] == self._head and len(value) >= end:
            label = _label_behind(bytes(value[end:]))
            if label is not None:
                return np.ndarray(self._shape, np.uint8, value, start), label
        pixels, label = decode_datum(value, self._colour)
        if pixels.dtype == np.uint8:
            self._shape = pixels.shape
            self._head, _ = _around_pixels(pixels.shape, 0)
            self._start = len(self._head)
            self._end = self._start + pixels.size
        return pixels, label


@lru_cache(maxsize=4096)
def _label_behind(rest: bytes) -> int | None:
    """The label in the end of a Datum; None if it is not a message, or has other fields."""
    datum = schema.Datum()
    try:
        datum.ParseFromString(rest)
    except DecodeError:
        return None
    stated = {field.name for field, _ in datum.ListFields()}
    return int(datum.label) if stated <= {"label", "encoded"} and not datum.encoded else None


def _decode_image(data: bytes, colour: str) -> np.ndarray:
    try:
        return image_decoding.decode(data, colour)
    except TinynetError as error:
        raise TinynetError(f"encoded Datum cannot be decoded: {error}") from None


def encode_datum(pixels: np.ndarray, label: int) -> bytes:
    """Write pixels (C×H×W; uint8, or anything else as float32) and a label as a Datum."""
    if pixels.dtype == np.uint8:
        before, behind = _around_pixels(pixels.shape, label)
        return before + pixels.tobytes() + behind
    datum = schema.Datum(label=label)
    datum.channels, datum.height, datum.width = pixels.shape
    datum.float_data.extend(pixels.astype(np.float32).ravel().tolist())
    return datum.SerializeToString()


@lru_cache(maxsize=4096)
def _around_pixels(shape: tuple[int, ...], label: int) -> tuple[bytes, bytes]:
    """The bytes of a Datum before and after its uint8 pixels: the same for a whole class."""
    datum = schema.Datum(label=label)
    behind = datum.SerializeToString()  # the label is the last field
    datum.channels, datum.height, datum.width = shape
    datum.data = bytes(datum.channels * datum.height * datum.width)
    whole = datum.SerializeToString()
    return whole[: len(whole) - len(datum.data) - len(behind)], behind
