"""Prototxt, the text form of Caffe's messages: a reader and a printer of our own.

The reader takes what real Caffe takes (the C++ TextFormat of protobuf): comments, ``field: value``,
``field { ... }``, ``field: < ... >``, lists in brackets, strings in pieces, separators.  An error
names file, line, field and message.

The printer's text is the same whatever the protobuf release: fields in the schema's order, floats
as the shortest decimal that reads back to the same float32 (``0.0005``, never
``0.00050000002374872565``), and shapes, fillers and rules on one line.
"""

from __future__ import annotations

import difflib
import math
import re
import struct
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

from google.protobuf.message import Message

from tinynet import files
from tinynet.caffeformat import binary, schema
from tinynet.caffeformat.schema import Field
from tinynet.errors import TinynetError

INTEGER_RANGES = {
    "int32": (-(2**31), 2**31 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint32": (0, 2**32 - 1),
}
BOOLEANS = {"true": True, "True": True, "t": True, "1": True}
BOOLEANS.update({"false": False, "False": False, "f": False, "0": False})

# What is one thing to a reader stands on one line where it fits.  Layers and their parameters stay
# open, one field to a line, so that grep, sed and diff work on them as on Caffe's own files.
ONE_LINE = {"BlobShape", "FillerParameter", "NetStateRule", "ParamSpec"}
COLUMNS = 76

M = TypeVar("M", bound=Message)
LARGEST = 64 << 20  # bytes of a prototxt; a ResNet's has 100 KB


class PrototxtError(TinynetError):
    """A prototxt that cannot be read; the message begins with ``FILE:LINE:``."""


# ---------------------------------------------------------------------------------- reading

_TOKEN = re.compile(
    r"""(?P<blank>(?:[ \t\r\n\f\v]+|\#[^\n]*)+)
      | (?P<number>(?:0[xX][0-9a-fA-F]+|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)[fF]?)
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<string>"(?:[^"\\\n]|\\[^\n])*"|'(?:[^'\\\n]|\\[^\n])*')
      | (?P<mark>[{}<>\[\]:;,-])""",
    re.VERBOSE,
)
_GOES_ON = re.compile(r"[A-Za-z0-9_.]")  # what must not follow a number
_ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{1,2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{1,3}|.)", re.S)
_ESCAPED = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"a": b"\a", b"b": b"\b", b"f": b"\f"}
_ESCAPED.update({b"v": b"\v", b"\\": b"\\", b"'": b"'", b'"': b'"', b"?": b"?"})
_CLOSING = {"{": "}", "<": ">"}


class _Redeclared(Exception):
    """The classes were made anew meanwhile, with fields of installed packages: begin again."""


class _Token(NamedTuple):
    kind: str  # "number", "name", "string", "mark", or "end" of the file
    text: str
    start: int

    def __str__(self) -> str:
        if self.kind == "end":
            return "the end of the file"
        shown = self.text if len(self.text) <= 40 else self.text[:37] + "..."
        return shown if self.kind == "string" else f"'{shown}'"


class _Reader:
    """Recursive descent over the tokens; Caffe's messages do not nest in themselves."""

    def __init__(self, source: str, name: str) -> None:
        self.source = source
        self.name = name
        self.position = 0
        self.token = self._next()

    def error(self, what: str, token: _Token | None = None) -> PrototxtError:
        start = (token or self.token).start
        line = self.source.count("\n", 0, start) + 1
        what = what.encode("utf-8", "backslashreplace").decode("utf-8")
        return PrototxtError(f"{self.name}:{line}: {what}")

    def _next(self) -> _Token:
        while True:
            start = self.position
            if start == len(self.source):
                return _Token("end", "", start)
            match = _TOKEN.match(self.source, start)
            if match is None:
                quoted = self.source[start] in "\"'"
                what = "this string has no end" if quoted else f"stray {self.source[start]!r}"
                raise self.error(what, _Token("mark", "", start))
            self.position = match.end()
            kind = str(match.lastgroup)
            if kind == "number" and _GOES_ON.match(self.source, self.position):
                begun = f"{match[0][:40]}{self.source[self.position]}…"
                raise self.error(f"no number: {begun}", _Token(kind, begun, start))
            if kind != "blank":
                return _Token(kind, match[0], start)

    def take(self) -> _Token:
        token, self.token = self.token, self._next()
        return token

    def accept(self, mark: str) -> bool:
        found = self.token.kind == "mark" and self.token.text == mark
        if found:
            self.take()
        return found

    def read_message(self, message: Message, opened: _Token) -> None:
        """Read fields into the message, until what closes ``opened``: a bracket or the file."""
        closing = _CLOSING.get(opened.text)
        while not (closing and self.accept(closing)):
            if self.token.kind == "end":
                if closing is None:
                    break
                what = f"{message.DESCRIPTOR.name} is opened here and never closed by '{closing}'"
                raise self.error(what, opened)
            self.read_field(message)
        missing = [
            field.name
            for field in schema.fields_of(message).values()
            if field.label == "required" and not schema.is_set(message, field)
        ]
        if missing:
            what = f"{message.DESCRIPTOR.name} needs the field '{missing[0]}'"
            raise self.error(what, opened)

    def read_field(self, message: Message) -> None:
        owner = message.DESCRIPTOR.name
        if self.token.kind != "name":
            raise self.error(f"expected a field of {owner}, found {self.token}")
        token = self.take()
        field = schema.fields_of(message).get(token.text)
        if field is None:
            before = len(schema.fields_of(message))
            schema.load_installed()
            if len(schema.FIELDS[owner]) > before:
                raise _Redeclared
            near = difflib.get_close_matches(token.text[:80], schema.fields_of(message), 1)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            raise self.error(f"unknown field {token} in {owner}{hint}", token)
        if not field.repeated and schema.is_set(message, field):
            raise self.error(f"'{field.name}' is given twice in one {owner}", token)
        colon = self.accept(":")
        if not colon and field.kind != "message":
            raise self.error(f"expected ':' after '{field.name}' in {owner}, found {self.token}")
        if field.repeated and self.accept("["):
            while not self.accept("]"):
                self.read_value(message, field)
                if not self.accept(",") and self.token.text != "]":
                    raise self.error(f"expected ',' or ']' in '{field.name}', found {self.token}")
        else:
            self.read_value(message, field)
        if not self.accept(","):
            self.accept(";")

    def read_value(self, message: Message, field: Field) -> None:
        if field.kind == "message":
            if self.token.kind != "mark" or self.token.text not in _CLOSING:
                owner = f"'{field.name}' ({field.type_name})"
                raise self.error(f"expected '{{' after {owner}, found {self.token}")
            opened = self.take()
            child = getattr(message, field.name)
            if field.repeated:
                child = child.add()
            else:
                child.SetInParent()
            self.read_message(child, opened)
            return
        value = self.read_scalar(message.DESCRIPTOR.name, field)
        if field.repeated:
            getattr(message, field.name).append(value)
        else:
            setattr(message, field.name, value)

    def read_scalar(self, owner: str, field: Field) -> Any:
        first = self.token
        if field.kind in ("string", "bytes"):
            return self._string(owner, field)
        negative = self.accept("-")
        token = self.take()
        value: Any = None
        if token.kind in ("number", "name"):
            if field.kind == "bool" and not negative:
                value = BOOLEANS.get(token.text)
            elif field.kind == "enum":
                value = _enum(token, field, negative)
            elif field.kind in INTEGER_RANGES:
                value = _integer(token, negative)
            elif field.kind in ("float", "double"):
                value = _real(token, negative)
        if value is None:
            given = f"-{token}" if negative else str(token)
            expected = f"one of {', '.join(field.values)}" if field.values else f"a {field.kind}"
            expected = expected.replace("a int", "an int")
            raise self.error(f"'{field.name}' of {owner} is {expected}, not {given}", first)
        low, high = INTEGER_RANGES.get(field.kind, (-math.inf, math.inf))
        if field.kind in INTEGER_RANGES and not low <= value <= high:
            what = f"'{field.name}' of {owner} lies in {low} … {high} ({field.kind}), "
            what += f"not {'-' if negative else ''}{token}"
            raise self.error(what, first)
        return to_float32(value) if field.kind == "float" else value

    def _string(self, owner: str, field: Field) -> str | bytes:
        first = self.token
        if first.kind != "string":
            raise self.error(f"'{field.name}' of {owner} is a string in quotes, not {first}")
        pieces = []
        while self.token.kind == "string":
            pieces.append(_unescape(self.token.text))
            self.take()
        if None in pieces:
            raise self.error(f"'{field.name}' of {owner} has an unknown escape: {first}", first)
        value = b"".join(piece for piece in pieces if piece is not None)
        if field.kind == "bytes":
            return value
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            what = f"'{field.name}' of {owner} is not UTF-8 text; convert the file: "
            what += f"iconv -f ENCODING -t UTF-8 {self.name} > NEW (LATIN1, say, or GBK)"
            raise self.error(what, first) from None


def _integer(token: _Token, negative: bool) -> int | None:
    """A decimal, hexadecimal (0x) or octal (0) integer; None if the token is something else."""
    text = token.text
    if re.fullmatch(r"0[xX][0-9a-fA-F]+", text):
        value = int(text, 16)
    elif re.fullmatch(r"0[0-7]*", text):
        value = int(text, 8)
    elif re.fullmatch(r"[1-9][0-9]{0,30}", text):
        value = int(text)
    else:
        return None
    return -value if negative else value


def _real(token: _Token, negative: bool) -> float | None:
    text = token.text.lower()
    if token.kind == "name":
        value = {"inf": math.inf, "infinity": math.inf, "nan": math.nan}.get(text)
    elif text.startswith("0x"):
        value = None
    else:
        value = float(text.rstrip("f"))
    return -value if negative and value is not None else value


def _enum(token: _Token, field: Field, negative: bool) -> int | None:
    if token.kind == "name":
        return None if negative else field.values.get(token.text)
    number = _integer(token, negative)
    return number if number in field.values.values() else None


def _unescape(literal: str) -> bytes | None:
    """The bytes of a quoted string; None if an escape is not one of C's."""
    valid = True

    def replace(match: re.Match[bytes]) -> bytes:
        nonlocal valid
        code = match[1]
        if code in _ESCAPED:
            return _ESCAPED[code]
        if code[:1] == b"x" and len(code) > 1:
            return bytes([int(code[1:], 16)])
        if code.isdigit() and int(code, 8) < 256:
            return bytes([int(code, 8)])
        if code[:1] in (b"u", b"U") and len(code) > 1:
            number = int(code[1:], 16)
            if number < 0x110000 and not 0xD800 <= number < 0xE000:
                return chr(number).encode("utf-8")
        valid = False
        return b""

    # bytes that are not UTF-8 arrive as lone surrogates (see read) and leave as they came
    raw = literal[1:-1].encode("utf-8", "surrogateescape")
    value = _ESCAPE.sub(replace, raw)
    return value if valid else None


def parse(source: str, message_class: type[M], name: str) -> M:
    """Read a message of ``message_class`` from prototxt; ``name`` stands for the file in errors.

    Raises PrototxtError, ``FILE:LINE: what``, on anything that real Caffe would not read, and on a
    required field that is missing.
    """
    start = _Token("start", "", 0)
    try:
        message = message_class()
        _Reader(source, name).read_message(message, start)
    except _Redeclared:
        message = cast(M, schema.MESSAGES[message_class.DESCRIPTOR.name]())
        _Reader(source, name).read_message(message, start)
    return message


def read(path: str | Path, message_class: type[M]) -> M:
    """Read a prototxt file of at most ``LARGEST`` bytes.

    Raises PrototxtError, TinynetError if it is longer, and OSError if it cannot be opened.
    """
    # comments may be in any encoding: only what a string field holds has to be UTF-8
    source = binary.read_bytes(path, LARGEST).decode("utf-8-sig", "surrogateescape")
    return parse(source, message_class, str(path))


# ---------------------------------------------------------------------------------- printing


def to_float32(value: float) -> float:
    """The float32 nearest to a value, as Python's float; beyond float32's range, an infinity."""
    try:
        return float(struct.unpack("<f", struct.pack("<f", value))[0])
    except OverflowError:
        return math.copysign(math.inf, value)


def format_float(value: float) -> str:
    """The shortest decimal text that reads back to the same float32."""
    target = to_float32(value)
    if not math.isfinite(target):
        return str(target)
    for digits in range(1, 10):  # nine always suffice for a float32
        candidate = float(f"{target:.{digits}g}")
        if to_float32(candidate) == target:
            break
    return format_double(candidate)


def format_double(value: float) -> str:
    """The shortest decimal text that reads back to the same double, whole numbers without '.0'."""
    text = repr(value)
    return text[:-2] if text.endswith(".0") else text


def _quote(value: str | bytes) -> str:
    if isinstance(value, bytes):
        return '"' + "".join(_quoted_byte(byte) for byte in value) + '"'
    characters = (c if ord(c) >= 0x80 else _quoted_byte(ord(c)) for c in value)
    return '"' + "".join(characters) + '"'


def _quoted_byte(byte: int) -> str:
    if byte in b'"\\':
        return "\\" + chr(byte)
    if byte == 0x0A:
        return "\\n"
    # three octal digits: no digit that follows can be taken for part of the escape
    return chr(byte) if 0x20 <= byte < 0x7F else f"\\{byte:03o}"


def _format_scalar(field: Field, value: Any) -> str:
    if field.kind == "enum":
        return next((name for name, number in field.values.items() if number == value), str(value))
    if field.kind == "bool":
        return "true" if value else "false"
    if field.kind in ("string", "bytes"):
        return _quote(value)
    if field.kind == "float":
        return format_float(value)
    return format_double(value) if field.kind == "double" else str(value)


def _lines(message: Message, depth: int) -> list[str]:
    lines: list[str] = []
    indent = "  " * depth
    for field in schema.fields_of(message).values():
        if not schema.is_set(message, field):
            continue
        present = getattr(message, field.name)
        for value in present if field.repeated else [present]:
            if field.kind != "message":
                lines.append(f"{indent}{field.name}: {_format_scalar(field, value)}")
                continue
            inner = _lines(value, depth + 1)
            flat = " ".join([f"{indent}{field.name} {{", *(line.strip() for line in inner), "}"])
            if not inner or (field.type_name in ONE_LINE and len(flat) <= COLUMNS):
                lines.append(flat)
            else:
                lines += [f"{indent}{field.name} {{", *inner, f"{indent}}}"]
    return lines


def format(message: Message) -> str:
    """The message as prototxt, the same bytes under every protobuf release."""
    return "".join(f"{line}\n" for line in _lines(message, 0))


def write(path: str | Path, message: Message) -> None:
    """Write a message as a prototxt file, whole or not at all.  Raises OSError."""
    files.write_text(path, format(message))
