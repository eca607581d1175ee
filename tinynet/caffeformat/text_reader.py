"""Reads prototxt as real Caffe does, that is as the C++ TextFormat of protobuf.

The syntax has comments, ``field: value``, ``field { ... }``, ``field: < ... >``, lists in brackets,
strings in several pieces, and separators.  An error names file, line, field and message.

Why not ``google.protobuf.text_format``: its Python accepts another language than Caffe's C++, and
every release a different one.  All accept ``+1``, ``1_000``, ``0b1``, ``inff`` and unknown escapes,
which Caffe refuses, and refuse ``- 1`` and non-UTF-8 bytes in a comment, which Caffe accepts.
Release 3.6 refuses ``010`` for an int, and 3.20 reads 3.4028235e38 as infinity.
tests/caffeformat/test_text_as_caffes.py shows it.
"""

from __future__ import annotations

import math
import re
from typing import Any, NamedTuple

from google.protobuf.message import Message

from tinynet.caffeformat import schema, text_printer, unknown_field
from tinynet.caffeformat.schema import Field
from tinynet.errors import TinynetError

_INTEGER_RANGES = {
    **dict.fromkeys(("int32", "sint32", "sfixed32"), (-(2**31), 2**31 - 1)),
    **dict.fromkeys(("int64", "sint64", "sfixed64"), (-(2**63), 2**63 - 1)),
    **dict.fromkeys(("uint32", "fixed32"), (0, 2**32 - 1)),
    **dict.fromkeys(("uint64", "fixed64"), (0, 2**64 - 1)),
}
_BOOLEANS = {"true": True, "True": True, "t": True, "false": False, "False": False, "f": False}


class PrototxtError(TinynetError):
    """The prototxt cannot be read; the message begins with ``FILE:LINE:``."""


_TOKEN = re.compile(
    r"""(?P<blank>(?:[ \t\r\n\f\v]+|\#[^\n]*)+)
      | (?P<number>(?:0[xX][0-9a-fA-F]+|(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)[fF]?)
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<string>"(?:[^"\\\n\0]|\\[^\n\0])*"|'(?:[^'\\\n\0]|\\[^\n\0])*')
      | (?P<mark>[{}<>\[\]:;,-])""",
    re.VERBOSE,
)
_MORE = re.compile(r"[A-Za-z0-9_.]")  # must not follow a number
_ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{1,2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{1,3}|.)", re.S)
_ESCAPED = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"a": b"\a", b"b": b"\b", b"f": b"\f"}
_ESCAPED.update({b"v": b"\v", b"\\": b"\\", b"'": b"'", b'"': b'"', b"?": b"?"})
_CLOSING = {"{": "}", "<": ">"}
_LAYERS = ("LayerParameter", "V1LayerParameter", "V0LayerParameter")


class Redeclared(Exception):
    """Installed packages have added fields to the messages, so the text must be read again."""


class Token(NamedTuple):
    kind: str  # "number", "name", "string", "mark", or "end" of the file
    text: str
    start: int

    def __str__(self) -> str:
        if self.kind == "end":
            return "the end of the file"
        shown = self.text if len(self.text) <= 40 else self.text[:37] + "..."
        return shown if self.kind == "string" else f"'{shown}'"


def _stray(character: str) -> str:
    """What is wrong with a character that begins no token."""
    if character == "/":
        return "stray '/'; comments begin with '#'"
    if character in "\"'":
        return "this string has no end"
    if "\udc80" <= character <= "\udcff":  # a byte that is not UTF-8
        return f"stray byte 0x{ord(character) - 0xDC00:02x}; is this a prototxt, which is text?"
    if character < " ":
        return f"stray byte 0x{ord(character):02x}; is this a prototxt, which is text?"
    return f"stray {character!r}"


class Reader:
    """A recursive-descent parser; Caffe's messages never nest in themselves.

    ``layers`` has every layer, in order, with the line of its field.
    """

    def __init__(self, source: str, name: str) -> None:
        self.source = source
        self.name = name
        self.position = 0
        self.layers: list[tuple[Message, int]] = []
        self._layer: Message | None = None  # the one that is being read
        self.token = self._next()

    def error(self, what: str, token: Token | None = None) -> PrototxtError:
        line = self._line((token or self.token).start)
        what = what.encode("utf-8", "backslashreplace").decode("utf-8")
        return PrototxtError(f"{self.name}:{line}: {what}")

    def _line(self, start: int) -> int:
        return self.source.count("\n", 0, start) + 1

    def _of_layer(self) -> str:
        """The name and type of the layer that is being read, as far as they are known."""
        if self._layer is None:
            return ""
        name, kind = (schema.fields_of(self._layer)[field] for field in ("name", "type"))
        known = [
            f"{before}'{getattr(self._layer, field.name)}'"
            for before, field in (("layer ", name), ("type ", kind))
            if field.kind == "string" and schema.is_set(self._layer, field)
        ]
        return f" ({', '.join(known)})" if known else ""

    def _next(self) -> Token:
        while True:
            start = self.position
            if start == len(self.source):
                return Token("end", "", start)
            match = _TOKEN.match(self.source, start)
            if match is None:
                raise self.error(_stray(self.source[start]), Token("mark", "", start))
            self.position = match.end()
            kind = str(match.lastgroup)
            if kind == "number" and _MORE.match(self.source, self.position):
                begun = f"{match[0][:40]}{self.source[self.position]}…"
                raise self.error(f"no number: {begun}", Token(kind, begun, start))
            if kind != "blank":
                return Token(kind, match[0], start)

    def take(self) -> Token:
        token, self.token = self.token, self._next()
        return token

    def accept(self, mark: str) -> bool:
        found = self.token.kind == "mark" and self.token.text == mark
        if found:
            self.take()
        return found

    def read_message(self, message: Message, opened: Token) -> None:
        """Read fields into the message, up to the bracket that closes ``opened`` or the end."""
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
                raise Redeclared
            what = f"unknown field {token} in {owner}{self._of_layer()}"
            begun = self._layer is not None or bool(message.ListFields())
            hint = unknown_field.advice(owner, token.text, schema.FIELDS, begun)
            raise self.error(what + hint, token)
        if not field.repeated and schema.is_set(message, field):
            raise self.error(f"'{field.name}' is given twice in one {owner}", token)
        colon = self.accept(":")
        if not colon and field.kind != "message":
            raise self.error(f"expected ':' after '{field.name}' in {owner}, found {self.token}")
        if field.repeated and self.accept("["):
            closed = self.accept("]")
            while not closed:
                self.read_value(message, field)
                closed = self.accept("]")
                if not closed and not self.accept(","):
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
            outer = self._layer
            if field.type_name in _LAYERS:
                self._layer = child
                self.layers.append((child, self._line(opened.start)))
            self.read_message(child, opened)
            self._layer = outer
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
                value = _boolean(token)
            elif field.kind == "enum":
                value = _enum(token, field, negative)
            elif field.kind in _INTEGER_RANGES:
                value = _integer(token, negative)
            elif field.kind in ("float", "double"):
                value = _real(token, negative)
        if value is None:
            given = f"-{token}" if negative else str(token)
            expected = f"one of {', '.join(field.values)}" if field.values else f"a {field.kind}"
            expected = expected.replace("a int", "an int")
            what = f"'{field.name}' of {owner}{self._of_layer()} is {expected}, not {given}"
            if field.name == "type" and owner == "V1LayerParameter":
                what += '; other types need the newer format, layer { type: "NAME" }'
            raise self.error(what, first)
        if field.kind in _INTEGER_RANGES:
            low, high = _INTEGER_RANGES[field.kind]
            if not low <= value <= high or (negative and low == 0):  # -0 is not unsigned
                what = f"'{field.name}' of {owner} lies in {low} … {high} ({field.kind}), "
                what += f"not {'-' if negative else ''}{token}"
                raise self.error(what, first)
        return text_printer.to_float32(value) if field.kind == "float" else value

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
            what += f"iconv -f ENCODING -t UTF-8 {self.name} > NEW (for example LATIN1 or GBK)"
            raise self.error(what, first) from None


def _boolean(token: Token) -> bool | None:
    if token.kind == "name":
        return _BOOLEANS.get(token.text)
    number = _integer(token, negative=False)  # 0x1 and 01 too
    return bool(number) if number in (0, 1) else None


def _integer(token: Token, negative: bool) -> int | None:
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


def _real(token: Token, negative: bool) -> float | None:
    text = token.text.lower()
    if token.kind == "name":
        value = {"inf": math.inf, "infinity": math.inf, "nan": math.nan}.get(text)
    elif re.match(r"0[x0-9]", text):
        value = None  # hexadecimal and octal are for integers only
    else:
        value = float(text.rstrip("f"))
    return -value if negative and value is not None else value


def _enum(token: Token, field: Field, negative: bool) -> int | None:
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
        if code[:1] in b"01234567" and int(code, 8) < 256:
            return bytes([int(code, 8)])
        if code[:1] in (b"u", b"U") and len(code) > 1:
            number = int(code[1:], 16)
            if number < 0x110000 and not 0xD800 <= number < 0xE000:
                return chr(number).encode("utf-8")
        valid = False
        return b""

    # ``text.read`` turns bytes that are not UTF-8 into lone surrogates; this turns them back
    raw = literal[1:-1].encode("utf-8", "surrogateescape")
    value = _ESCAPE.sub(replace, raw)
    return value if valid else None
