"""Prototxt, the text form of Caffe's messages: read as real Caffe reads it, printed stably."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar, cast

from google.protobuf.message import Message

from tinynet import files
from tinynet.caffeformat import binary, schema, text_reader
from tinynet.caffeformat.text_printer import format, format_float, to_float32
from tinynet.caffeformat.text_reader import PrototxtError

__all__ = ["PrototxtError", "format", "format_float", "parse", "read", "to_float32", "write"]

M = TypeVar("M", bound=Message)
LARGEST = 64 << 20  # bytes of a prototxt; a ResNet's has 100 KB


def parse(source: str, message_class: type[M], name: str) -> M:
    """Read a message of ``message_class`` from prototxt; ``name`` stands for the file in errors.

    Raises PrototxtError, ``FILE:LINE: what``, for anything that real Caffe would not read, and for
    a missing required field.
    """
    return _parse(source, message_class, name)[0]


def _parse(source: str, message_class: type[M], name: str) -> tuple[M, text_reader.Reader]:
    def read_into(message: M) -> tuple[M, text_reader.Reader]:
        reader = text_reader.Reader(source, name)
        reader.read_message(message, text_reader.Token("start", "", 0))
        return message, reader

    try:
        return read_into(message_class())
    except text_reader.Redeclared:
        return read_into(cast(M, schema.MESSAGES[message_class.DESCRIPTOR.name]()))


def read(path: str | Path, message_class: type[M]) -> M:
    """Read a prototxt file of at most ``LARGEST`` bytes.

    Raises PrototxtError, TinynetError if it is longer, and OSError if it cannot be opened.
    """
    return parse(_source(path), message_class, str(path))


def layers(path: str | Path) -> list[tuple[Any, int]]:
    """The layers of a net's prototxt, not upgraded, and the line on which each begins.

    They are LayerParameters, or messages of its older formats.  Raises as ``read`` does.
    """
    return _parse(_source(path), schema.NetParameter, str(path))[1].layers


def _source(path: str | Path) -> str:
    # comments may have any encoding; only the value of a string field must be UTF-8
    return binary.read_bytes(path, LARGEST).decode("utf-8-sig", "surrogateescape")


def write(path: str | Path, message: Message) -> None:
    """Write a message as a prototxt file, atomically.  Raises OSError."""
    files.write_text(path, format(message))
