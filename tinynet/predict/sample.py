"""A fixed sample of a split, with equally many images of each class, the same for every run.

To measure the training accuracy on 100,000 images takes as long as ten validations; 10,000 of them
give it to within a point.  The sample must depend on the data set only, or two runs would be
measured on different images.  The rule: order the images of each class by the SHA-256 of their
names; take the first of every class, then the second of every class, and so on, until there are
enough.  Class sizes in the sample differ by at most one unless a class runs out.  The order of the
records, which depends on the seed of the conversion, does not matter.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence


def chosen(names: Sequence[str], labels: Sequence[int], size: int) -> list[int]:
    """The indices of the ``size`` images of the sample, ascending.

    ``names``, ``labels``: of every image; if the labels are unknown they are all -1, and count as
    one class.  Raises ValueError unless 0 < ``size`` < the number of images.
    """
    if not 0 < size < len(names):
        raise ValueError(f"{len(names):,} images have no sample of {size:,}")
    by_hash = sorted(range(len(names)), key=lambda number: (_digest(names[number]), number))
    seen: dict[int, int] = {}
    ranked = []
    for position, number in enumerate(by_hash):
        rank = seen.get(labels[number], 0)
        seen[labels[number]] = rank + 1
        ranked.append((rank, position, number))
    return sorted(number for _, _, number in sorted(ranked)[:size])


def _digest(name: str) -> bytes:
    # a damaged manifest may hold lone surrogates
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
