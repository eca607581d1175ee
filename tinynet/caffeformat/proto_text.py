"""Reads the text of a .proto file (proto2) into the notation of ``fields``.

It understands what Caffe's own caffe.proto and its forks use: messages with optional, required and
repeated fields, defaults and ``packed``, and enums, at the top level or in a message.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tinynet.errors import TinynetError

_TOKEN = re.compile(
    r"(?P<blank>\s+|//[^\n]*|/\*.*?\*/)|(?P<word>[-+]?[\w.]+(?:[-+]\d+)?)"
    r"|(?P<text>\"[^\"]*\"|'[^']*')|(?P<mark>[{}\[\]=;,<>()])",
    re.S,
)
_LABELS = ("optional", "required", "repeated")
_SKIPPED = ("syntax", "package", "import", "option", "reserved", "extensions")


def to_table(source: str) -> str:
    """The messages and enums of a .proto as lines in the notation of ``fields``.

    Raises TinynetError, with the line, for anything else, such as nested messages, oneof and map.
    """
    return "\n".join(_Reader(source).file()) + "\n"


class _Reader:
    def __init__(self, source: str) -> None:
        self._source = source
        self._tokens = list(self._split())
        self._at = 0

    def _split(self) -> Iterator[tuple[str, int]]:
        at = 0
        while at < len(self._source):
            match = _TOKEN.match(self._source, at)
            if match is None:
                raise self._error(f"stray {self._source[at]!r}", at)
            if match.lastgroup != "blank":
                yield match[0], at
            at = match.end()

    def _error(self, what: str, start: int | None = None) -> TinynetError:
        if start is None:
            start = self._tokens[min(self._at, len(self._tokens) - 1)][1] if self._tokens else 0
        line = self._source.count("\n", 0, start) + 1
        return TinynetError(f"line {line} of the .proto text: {what}")

    def _take(self, expected: str | None = None) -> str:
        if self._at == len(self._tokens):
            raise self._error("the text ends within a declaration", len(self._source))
        token = self._tokens[self._at][0]
        if expected is not None and token != expected:
            raise self._error(f"expected '{expected}', found '{token}'")
        self._at += 1
        return token

    def _peek(self) -> str:
        return self._tokens[self._at][0] if self._at < len(self._tokens) else ""

    def _skip_statement(self) -> None:
        while self._take() != ";":
            pass

    def file(self) -> Iterator[str]:
        messages: list[str] = []
        while self._at < len(self._tokens):
            word = self._peek()
            if word in _SKIPPED:
                self._skip_statement()
            elif word == "enum":
                yield self._enum()  # in the notation, these come before all messages
            elif word == "message":
                messages += self._message()
            elif word == ";":
                self._take()
            else:
                raise self._error(f"expected a message or an enum, found '{word}'")
        yield from messages

    def _enum(self) -> str:
        self._take("enum")
        parts = [f"enum {self._take()}"]
        self._take("{")
        while self._peek() != "}":
            if self._peek() in _SKIPPED:
                self._skip_statement()
                continue
            name = self._take()
            self._take("=")
            parts.append(f"{name}={self._take()}")
            self._options()
            self._take(";")
        self._take("}")
        return " ".join(parts)

    def _message(self) -> list[str]:
        self._take("message")
        lines = [f"message {self._take().rpartition('.')[2]}"]
        fields: list[str] = []
        self._take("{")
        while self._peek() != "}":
            word = self._peek()
            if word in _SKIPPED:
                self._skip_statement()
            elif word == "enum":
                lines.append(self._enum())
            elif word in _LABELS:
                fields.append(self._field())
            elif word == ";":
                self._take()
            else:
                raise self._error(
                    f"expected optional, required, repeated or enum, found '{word}' "
                    "(write a nested message at the top level)"
                )
        self._take("}")
        return lines + fields

    def _field(self) -> str:
        label = self._take()
        parts = self._take().split(".")
        # an enum of another message keeps its owner; a package, in small letters, is left out
        kind = ".".join(parts[-2:] if parts[-2:-1] and parts[-2][:1].isupper() else parts[-1:])
        name = self._take()
        self._take("=")
        number = self._take()
        if not number.isdecimal():
            raise self._error(f"the number of '{name}' is '{number}'")
        options = self._options()
        self._take(";")
        if options.get("packed") == "true":
            label = "packed"
        default = options.get("default")
        if default is not None and re.search(r"\s", default):
            raise self._error(f"the default of '{name}' contains a blank, which is not supported")
        words = [] if label == "optional" else [label]
        stated = f"{name}={number}" if default is None else f"{name}={number}|{default}"
        return " ".join([*words, kind, stated])

    def _options(self) -> dict[str, str]:
        """The options in brackets after a field: ``[default = 1, packed = true]``."""
        found: dict[str, str] = {}
        if self._peek() != "[":
            return found
        self._take("[")
        while self._peek() != "]":
            name = self._take()
            self._take("=")
            found[name] = self._take().strip("\"'")
            if self._peek() == ",":
                self._take()
        self._take("]")
        return found
