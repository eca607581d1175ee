"""Reads and writes Caffe's binary files (.caffemodel, .solverstate, .binaryproto)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

from google.protobuf.message import Message

from tinynet import files
from tinynet.errors import TinynetError

M = TypeVar("M", bound=Message)
LARGEST = (1 << 31) - 1  # bytes: protobuf's own limit


def parse(data: bytes, message_class: type[M], name: str) -> M:
    """Read a message of ``message_class`` from bytes; ``name`` stands for the file in errors.

    Fields that the schema does not have, as a fork of Caffe may write, are kept.
    Raises TinynetError if the bytes are not such a message.
    """
    message = message_class()
    kind = message.DESCRIPTOR.name
    try:
        message.ParseFromString(data)
    except Exception as error:  # protobuf releases raise different exceptions for bad bytes
        reason = f"{name}: no {kind} ({len(data)} bytes): truncated, or of another kind"
        raise TinynetError(reason) from error
    return message


def read(path: str | Path, message_class: type[M]) -> M:
    """Read a binary message file of at most 2 GiB.

    Raises TinynetError, and OSError if it cannot be opened.
    """
    return parse(read_bytes(path, LARGEST), message_class, str(path))


def read_bytes(path: str | Path, largest: int) -> bytes:
    """Read a file of at most ``largest`` bytes.

    Raises OSError, and TinynetError for a longer file, without reading it whole.
    """
    with open(path, "rb") as file:
        # a device such as /dev/zero reports the size 0, so its length shows only in reading
        if os.fstat(file.fileno()).st_size <= largest:
            data = file.read(largest + 1)
            if len(data) <= largest:
                return data
    raise TinynetError(f"{path}: is longer than {largest:,} bytes, the most that such a file has")


def write(path: str | Path, message: Message) -> None:
    """Write a message to a file, atomically.

    Raises OSError, and TinynetError if a required field is missing.
    """
    # types-protobuf lacks this method
    missing = message.FindInitializationErrors()  # type: ignore[attr-defined]
    if missing:
        raise TinynetError(f"{path}: {message.DESCRIPTOR.name} needs the field '{missing[0]}'")
    files.write_bytes(path, message.SerializeToString(deterministic=True))
