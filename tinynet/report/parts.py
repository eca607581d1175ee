"""The parts of a section of the page."""

from __future__ import annotations

from dataclasses import dataclass, field

from markupsafe import Markup

from tinynet.report.table import Link, Table


@dataclass(frozen=True)
class Drawn:
    """A figure as the page has it."""

    id: str  # also the name of its files
    title: str
    caption: str
    svg: Markup
    narrow: Markup  # the same for a telephone
    links: list[Link]
    csv: str  # the address of its numbers


@dataclass(frozen=True)
class Guess:
    """One answer: its class and probability as text, and whether it is the right one."""

    name: str
    share: str
    is_right: bool


@dataclass(frozen=True)
class Answer:
    """The guesses of one model, or stage, for an image, best first."""

    by: str
    guesses: list[Guess]


@dataclass(frozen=True)
class Card:
    """An image with its class, a note and models' answers.  ``image``: its address."""

    image: str
    title: str
    note: str = ""
    answers: list[Answer] = field(default_factory=list)


@dataclass(frozen=True)
class Gallery:
    """Images under a heading of their own.  ``is_wide``: each card holds more than a line."""

    title: str
    text: str
    cards: list[Card]
    is_wide: bool = False


@dataclass(frozen=True)
class Command:
    title: str
    text: str


@dataclass
class Part:
    """A section.  ``open`` is how many of its figures are not folded away."""

    id: str
    title: str
    texts: list[str] = field(default_factory=list)
    figures: list[Drawn] = field(default_factory=list)
    absent: str = ""
    tables: list[Table] = field(default_factory=list)
    galleries: list[Gallery] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    open: int = 99
