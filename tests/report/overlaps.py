"""Find text that covers other text, or that the edge of the figure cuts off."""

from __future__ import annotations

from collections.abc import Iterator

from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

_SLACK = 1.5  # pixels: the box of a text is larger than its ink


def faults(figure: Figure) -> list[str]:
    """Faults of the texts in a drawn figure, one line each."""
    figure.draw_without_rendering()  # saving was at another resolution
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in visible_texts(figure)]
    found = []
    whole = figure.bbox
    for text, box in boxes:
        if box.x0 < -_SLACK or box.y0 < -_SLACK or box.x1 > whole.x1 + _SLACK:
            found.append(f"{text!r} is cut off")
        if box.y1 > whole.y1 + _SLACK:
            found.append(f"{text!r} is cut off above")
    for at, (text, box) in enumerate(boxes):
        found += [f"{text!r} meets {other!r}" for other, b in boxes[at + 1 :] if _meet(box, b)]
    return found


def visible_texts(figure: Figure) -> Iterator[Text]:
    """Visible texts: an axis also keeps the labels of ticks outside its limits."""
    ticks, drawn = set(), set()
    for axes in figure.findobj(lambda part: hasattr(part, "xaxis")):
        if not axes.axison:
            ticks |= set(axes.xaxis.findobj(Text)) | set(axes.yaxis.findobj(Text))
            continue
        for axis in (axes.xaxis, axes.yaxis):
            ticks |= {t for tick in axis.get_major_ticks() for t in (tick.label1, tick.label2)}
            drawn |= {t for tick in axis._update_ticks() for t in (tick.label1, tick.label2)}
    for text in figure.findobj(Text):
        if text.get_visible() and text.get_text().strip() and (text not in ticks or text in drawn):
            yield text


def _meet(one: Bbox, other: Bbox) -> bool:
    return (
        min(one.x1, other.x1) - max(one.x0, other.x0) > _SLACK
        and min(one.y1, other.y1) - max(one.y0, other.y0) > _SLACK
    )
