"""The file that the Tiny ImageNet server takes: lines like ``test_0.JPEG n01443537``."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from tinynet.errors import TinynetError
from tinynet.predict.probabilities import Probabilities


def submission(probabilities: Probabilities) -> str:
    """The text of the file, with the images in natural order (2 before 10).

    Of classes with the same probability the last is chosen, as in Caffe's ArgMax layer.
    """
    chosen = probabilities.wnids[probabilities.best]
    lines = zip(probabilities.names.tolist(), chosen.tolist())
    return "".join(f"{name} {wnid}\n" for name, wnid in sorted(lines, key=_natural))


def require_form(text: str, where: str, names: Sequence[str], wnids: Sequence[str]) -> int:
    """Check that a submission file has the required form; return how many classes it names.

    The form is one line ``NAME WNID`` for each image of the test split (``names``), with a class of
    ``wnids``, and nothing else.  Raises TinynetError, which names ``where`` and the line.
    """
    lines = text.split("\n")
    if lines[-1]:
        raise TinynetError(f"{where}: its last line has no line end; the file may be cut off")
    known, wanted = set(wnids), Counter(names)
    seen: Counter[str] = Counter()
    chosen = set()
    for number, line in enumerate(lines[:-1], 1):
        name, blank, wnid = line.rpartition(" ")
        if not blank:
            raise TinynetError(f"{where}:{number}: {line!r} is not an image name and a wnid")
        seen[name] += 1
        if name not in wanted:
            raise TinynetError(f"{where}:{number}: {name!r} is not an image of the test split")
        if seen[name] > wanted[name]:
            raise TinynetError(f"{where}:{number}: {name!r} appears twice")
        if wnid not in known:
            raise TinynetError(f"{where}:{number}: {wnid!r} is not a wnid of the data set")
        chosen.add(wnid)
    missing = wanted - seen
    if missing:
        first = next(name for name in names if name in missing)
        raise TinynetError(
            f"{where}: has no line for {sum(missing.values()):,} of {len(names):,} images, "
            f"'{first}' among them"
        )
    return len(chosen)


def _natural(line: tuple[str, str]) -> list[tuple[int, str]]:
    """A sort key: digits compare as numbers, everything else as text."""
    pieces = re.findall(r"[0-9]+|[^0-9]+", line[0])
    return [(int(piece), "") if piece[0] in "0123456789" else (-1, piece) for piece in pieces]
