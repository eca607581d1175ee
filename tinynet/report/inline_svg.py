"""Makes a figure's SVG part of a page: ids of its own, the page's colours, words for a reader."""

from __future__ import annotations

import re
from html import escape

from tinynet.report import canvas

_ID = re.compile(r'\bid="([^"]+)"')
_REFERENCE = re.compile(r'(xlink:href="#|url\(#)([^")]+)')
_PROLOGUE = re.compile(r"<\?xml.*?\?>|<!DOCTYPE.*?>|<metadata>.*?</metadata>|<!--.*?-->", re.DOTALL)
_ROOT = re.compile(r"<svg\b[^>]*>")
_VIEW_BOX = re.compile(r'viewBox="[\d. ]+"')

# the page's style sheet gives each of these a value for light and one for dark
VARIABLES = {
    colour: f"--figure-{name}"
    for name, colour in (
        ("ink", canvas.INK),
        ("faint", canvas.FAINT),
        ("grid", canvas.GRID),
        ("paper", canvas.PAPER),
        ("blue", canvas.BLUE),
        ("orange", canvas.ORANGE),
        ("green", canvas.GREEN),
        ("pink", canvas.PINK),
        ("yellow", canvas.YELLOW),
        ("sky", canvas.SKY),
        ("violet", canvas.VIOLET),
        ("brown", canvas.BROWN),
        ("olive", canvas.OLIVE),
        ("wine", canvas.WINE),
    )
}


def inline(svg: str, name: str, title: str, description: str) -> str:
    """The ``<svg>`` element of a file that matplotlib wrote, for an HTML page.

    ``name``, unique in the page, begins every id.  ``title`` and ``description`` are what a screen
    reader says.  The colours of ``canvas`` become variables of the page's style.
    """
    svg = _PROLOGUE.sub("", svg).strip()
    title, description = (" ".join(text.split()) for text in (title, description))
    view_box = _VIEW_BOX.search(svg)
    assert view_box is not None
    svg = _ID.sub(rf'id="{name}-\1"', svg)
    svg = _REFERENCE.sub(rf"\g<1>{name}-\2", svg)
    for colour, variable in VARIABLES.items():
        svg = re.sub(rf"(stroke|fill): {colour}\b", rf"\1: var({variable})", svg)
    root = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'{view_box[0]} role="img" aria-labelledby="{name}-title {name}-words">'
        f'<title id="{name}-title">{escape(title)}</title>'
        f'<desc id="{name}-words">{escape(description)}</desc>'
    )
    return _ROOT.sub(lambda _: root, svg, count=1)


def variables(dark: bool) -> str:
    """The style sheet's declarations of the figures' colours."""
    return " ".join(
        f"{variable}: {canvas.DARK[colour] if dark else colour};"
        for colour, variable in VARIABLES.items()
    )
