"""The file that the Tiny ImageNet server takes: a line ``test_0.JPEG n01443537`` per image."""

from __future__ import annotations

import re

from tinynet.predict.metrics import predicted_class
from tinynet.predict.probabilities import Probabilities


def submission(probabilities: Probabilities) -> str:
    """The text of the file, images in the natural order of their names (2 before 10).

    Of classes with the same probability the last is chosen, as by Caffe's ArgMax layer.
    """
    chosen = probabilities.wnids[predicted_class(probabilities.probabilities)]
    lines = zip(probabilities.names.tolist(), chosen.tolist())
    return "".join(f"{name} {wnid}\n" for name, wnid in sorted(lines, key=_natural))


def _natural(line: tuple[str, str]) -> list[tuple[int, str]]:
    """Digits compare as numbers, everything else as text."""
    pieces = re.findall(r"[0-9]+|[^0-9]+", line[0])
    return [(int(piece), "") if piece[0] in "0123456789" else (-1, piece) for piece in pieces]
