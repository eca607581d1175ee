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

    Raises PrototxtError, ``FILE:LINE: what``, on anything that real Caffe would not read, and on a
    required field that is missing.
    """
    start = text_reader.Token("start", "", 0)
    try:
        message = message_class()
        text_reader.Reader(source, name).read_message(message, start)
    except text_reader.Redeclared:
        message = cast(M, schema.MESSAGES[message_class.DESCRIPTOR.name]())
        text_reader.Reader(source, name).read_message(message, start)
    return message


def read(path: str | Path, message_class: type[M]) -> M:
    """Read a prototxt file of at most ``LARGEST`` bytes.

    Raises PrototxtError, TinynetError if it is longer, and OSError if it cannot be opened.
    """
    return parse(_source(path), message_class, str(path))


def layers(path: str | Path) -> list[tuple[Any, int]]:
    """The layers of a net's prototxt, as it is written, and the line on which each begins.

    They are of LayerParameter, or of its forerunners' messages.  Raises as ``read`` does.
    """
    reader = text_reader.Reader(_source(path), str(path))
    reader.read_message(schema.NetParameter(), text_reader.Token("start", "", 0))
    return [*reader.layers]


def _source(path: str | Path) -> str:
    # comments may be in any encoding: only what a string field holds has to be UTF-8
    return binary.read_bytes(path, LARGEST).decode("utf-8-sig", "surrogateescape")


def write(path: str | Path, message: Message) -> None:
    """Write a message as a prototxt file, whole or not at all.  Raises OSError."""
    files.write_text(path, format(message))
