"""Converts a list of images and labels to a database of Datums, with the same records as Caffe's.

Source: Caffe's tools/convert_imageset.cpp and src/caffe/util/io.cpp.
"""

from __future__ import annotations

import io
import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinynet.caffeformat import image_decoding, image_list, png, schema
from tinynet.caffeformat.database import new_database
from tinynet.errors import TinynetError, UsageError

Log = Callable[[str, str], None]  # severity, message
ENCODE_TYPES = ("png", "jpg", "jpeg")


@dataclass(frozen=True)
class Options:
    """The flags of ``convert_imageset``, under its names; 0: the images' own height or width."""

    gray: bool = False
    shuffle: bool = False
    backend: str = "lmdb"
    resize_width: int = 0
    resize_height: int = 0
    check_size: bool = False
    encoded: bool = False
    encode_type: str = ""


def convert(root: str, list_file: Path, out: Path, options: Options, log: Log) -> int:
    """Write the images ``root + name`` of a list file to a new database; return their number.

    A key is the number of the line in eight digits, ``_`` and the name.  An image that cannot be
    read is skipped and logged as an error.  Raises TinynetError if the list is invalid, if
    ``check_size`` finds different sizes, or if ``out`` exists; UsageError for an invalid option.
    """
    encoder = options.encode_type.lower()
    if encoder and encoder not in ENCODE_TYPES:
        known = ", ".join(ENCODE_TYPES)
        raise UsageError(f"no -encode_type '{options.encode_type}'; the types are {known}")
    lines = image_list.entries(list_file.read_bytes(), os.fspath(list_file))
    if options.shuffle:
        log("info", "Shuffling data")
        random.shuffle(lines)  # unseeded: Caffe's order too differs from run to run
    log("info", f"A total of {len(lines)} images.")
    if encoder and not options.encoded:
        log("info", "encode_type specified, assuming encoded=true.")
    first_size = None
    count = 0
    with new_database(out, options.backend) as database:
        for number, (name, label) in enumerate(lines):
            path = os.fsencode(root) + name
            try:
                with open(path, "rb") as file:
                    data = file.read()
                value, size = _record(data, name, label, options, log)
            except (OSError, TinynetError) as error:
                reason = error.strerror if isinstance(error, OSError) else error
                log("error", f"Could not open or find file {os.fsdecode(path)} ({reason})")
                continue
            first_size = size if first_size is None else first_size
            if options.check_size and size != first_size:
                raise TinynetError(
                    f"Incorrect data field size {size}: {os.fsdecode(path)}; the first image "
                    f"has {first_size}: resize all with -resize_height and -resize_width"
                )
            database.put(b"%08d_%b" % (number, name), value)
            count += 1
            if count % 1000 == 0:
                log("info", f"Processed {count} files.")
    if count % 1000:
        log("info", f"Processed {count} files.")
    return count


def _record(data: bytes, name: bytes, label: int, options: Options, log: Log) -> tuple[bytes, int]:
    """The serialized Datum of an image file, and the number of values of its pixels.

    Raises TinynetError if the bytes are not an image, or if the type cannot be encoded.
    """
    height, width = max(0, options.resize_height), max(0, options.resize_width)
    pixels = image_decoding.decode(data, "gray" if options.gray else "color")
    if height and width:
        pixels = image_decoding.resize(pixels, height, width)
    encoding = options.encode_type.lower()
    ending = os.fsdecode(name.rpartition(b".")[2]).lower()
    if options.encoded and not encoding:
        if b"." not in name:
            log("warning", f"Failed to guess the encoding of '{os.fsdecode(name)}'")
        encoding = ending
    if not encoding:
        datum = schema.Datum(label=label, data=pixels.tobytes(), encoded=False)
        datum.channels, datum.height, datum.width = pixels.shape
    else:
        kept = not (height or width) and (
            ending == encoding or (encoding, ending) == ("jpg", "jpeg")
        )
        encoded = data if kept else _encode(pixels, encoding)
        datum = schema.Datum(label=label, data=encoded, encoded=True)
    return datum.SerializeToString(), pixels.size


def _encode(pixels: np.ndarray, encoding: str) -> bytes:
    """Encode an image (uint8 C×H×W, BGR or gray) as OpenCV does by default."""
    from PIL import Image

    if encoding == "png":
        return png.encode(pixels)
    if encoding not in ENCODE_TYPES:
        raise TinynetError(f"nothing encodes '{encoding}': give -encode_type png or jpg")
    image = Image.fromarray(pixels[0] if len(pixels) == 1 else pixels[::-1].transpose(1, 2, 0))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=95, subsampling="4:2:0")
    return file.getvalue()
