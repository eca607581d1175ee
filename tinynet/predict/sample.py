"""A fixed sample of a split: as many images of each class, the same ones for every run.

The training accuracy of 100,000 images costs as much as ten validations; 10,000 of them tell it to
a point.  Which ones must depend on nothing but the set, or two runs would be measured on different
images.  Rule: the images of each class in the order of the SHA-256 of their names; then the first
of every class, the second of every class and so on, until there are enough.  Class sizes in the
sample differ by one at most, while no class runs out.  The order of the records, which the seed of
a conversion decides, has no part in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


def chosen(names: Sequence[str], labels: Sequence[int], size: int) -> list[int]:
    """The positions of the ``size`` images of the sample, ascending.

    ``names``, ``labels``: of every image, the label -1 where it is unknown (then all are one
    class).  Raises ValueError where the split has no more than ``size`` images, or size is not
    positive.
    """
    if not 0 < size < len(names):
        raise ValueError(f"{len(names):,} images have no sample of {size:,}")
    by_hash = sorted(range(len(names)), key=lambda number: (_digest(names[number]), number))
    seen: dict[int, int] = {}
    ranked = []
    for place, number in enumerate(by_hash):
        rank = seen.get(labels[number], 0)
        seen[labels[number]] = rank + 1
        ranked.append((rank, place, number))
    return sorted(number for _, _, number in sorted(ranked)[:size])


def _digest(name: str) -> bytes:
    # a forged manifest may hold what is no Unicode
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
