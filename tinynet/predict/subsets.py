"""Accuracy of the average of every non-empty subset of models: section 4.1 of the paper, figure 5.

An image is right for a subset if the label's summed probability exceeds that of every other class
(ties count against it, as in Caffe's Accuracy layer).  Three things make this fast and exact:

- Only rivals are compared.  A class that the label beats in every model can never win; a class that
  another class equals or beats in every model need not be compared; and if a class equals or beats
  the label in every model, the image is wrong for every subset.
- Probabilities are fixed-point integers (multiples of 2^-58, which represent every float32 above
  3e-11 exactly), so sums are exact and do not depend on their order.
- A subset is the union of a subset of the first ("low") models and one of the others ("high").  A
  margin is the label's probability less the rival's; the rival wins if the sum of the low margins
  is at most minus the sum of the high ones.  If the sums of all low subsets are sorted, those for
  which the rival wins are the first k: one binary search finds k, and a table holds the set of the
  first k, for every k, as bits.  So for each rival and high subset the cost is one search and the
  union of a few words.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tinynet.errors import UsageError

MAX_MEMBERS = 20  # a million subsets
_FIXED_POINT = 2.0**58  # sums of up to 31 stay below 2^63
_LOW_MEMBERS = 8  # a set of their subsets takes four words
_BLOCK_BYTES = 1 << 20  # of sums at a time: small enough for a processor's cache
_BYTE_MAX = 255  # images that a byte can count
_PRUNE_IMAGES = 2000  # images per block when rivals are searched
_PRUNE_TOGETHER = 100  # images whose rivals are compared together
_STRONGEST = 16  # rivals that every other one is compared with
_NO_RIVAL = np.int64(3) << 57  # a margin larger than any: the sum of 20 stays below 2^63


@dataclass(frozen=True)
class SubsetScores:
    """Right answers of every subset; a subset is a bit mask, bit m for member m.

    ``correct[mask]`` counts images; ``correct[0]``, of the empty subset, is 0.
    """

    correct: np.ndarray  # int64, 2^members
    images: int

    @property
    def members(self) -> int:
        return len(self.correct).bit_length() - 1

    @cached_property
    def sizes(self) -> np.ndarray:
        """Number of members of every mask."""
        masks = np.arange(len(self.correct))
        return sum((masks >> m & 1 for m in range(self.members)), np.zeros_like(masks))

    def accuracy(self, mask: int) -> float:
        return int(self.correct[mask]) / self.images

    def best_of_size(self, size: int) -> int:
        """Mask of the most accurate subset of ``size`` members; the lowest mask among equals."""
        masks = np.flatnonzero(self.sizes == size)
        return int(masks[np.argmax(self.correct[masks])])

    @property
    def best(self) -> int:
        """Mask of the most accurate subset; among equals the smallest, then the lowest mask."""
        masks = [self.best_of_size(size) for size in range(1, self.members + 1)]
        return max(masks, key=lambda mask: int(self.correct[mask]))

    @property
    def full(self) -> int:
        return len(self.correct) - 1


def members_of(mask: int) -> list[int]:
    """The members (from 0) of a mask."""
    return [m for m in range(mask.bit_length()) if mask >> m & 1]


def score_subsets(
    members: list[np.ndarray],
    labels: np.ndarray,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> SubsetScores:
    """Score every subset of ``members`` (each float32 N×C, in [0, 1]) against N labels.

    ``progress`` is called with how many more comparisons are done, and with their total: one for
    each rival of each image whose answer depends on the subset.

    Besides the inputs this takes a few megabytes, and memory for the rivals that are compared.
    Raises UsageError for more than MAX_MEMBERS members.
    """
    if len(members) > MAX_MEMBERS:
        raise UsageError(
            f"{len(members)} members have {2 ** len(members) - 1:,} subsets; all are scored up to "
            f"{MAX_MEMBERS} members"
        )
    low = min(_LOW_MEMBERS, (len(members) + 1) // 2)
    always, groups = _rivals(members, labels)
    counter = _Counter(1 << (len(members) - low), 1 << low)
    total = sum(margins[0].size for margins in groups)
    for margins in groups:
        _count(margins, low, counter, lambda done: progress(done, total))
    flat = counter.totals().ravel() + always
    flat[0] = 0
    return SubsetScores(flat, len(labels))


def _rivals(members: list[np.ndarray], labels: np.ndarray) -> tuple[int, list[np.ndarray]]:
    """Return how many images every subset gets right, and the margins that decide the others.

    Margins are int64 (models, rivals, images): the label's probability less the rival's.  Images
    are grouped by their number of rivals, one array per group.
    """
    always = 0
    groups: dict[int, list[np.ndarray]] = {}
    for start in range(0, len(labels), _PRUNE_IMAGES):
        block = slice(start, start + _PRUNE_IMAGES)
        pieces, certain = _contested([member[block] for member in members], labels[block])
        always += certain
        for margins in pieces:
            groups.setdefault(margins.shape[1], []).append(margins)
    return always, [np.concatenate(group, axis=2) for group in groups.values()]


def _contested(members: list[np.ndarray], labels: np.ndarray) -> tuple[list[np.ndarray], int]:
    """Return the margins of images whose answer depends on the subset, and how many never fail."""
    images = np.arange(len(labels))
    threatened = np.zeros(members[0].shape, dtype=bool)
    beaten = np.ones(members[0].shape, dtype=bool)
    for p in members:
        threat = p >= p[images, labels][:, None]
        threat[images, labels] = False  # the label is no rival of its own
        threatened |= threat
        beaten &= threat
    rivals = threatened.sum(axis=1)
    is_open = (rivals > 0) & ~beaten.any(axis=1)
    certain = int((rivals == 0).sum())
    # images with similar numbers of rivals together, since an array is as wide as its widest row
    order = np.flatnonzero(is_open)[np.argsort(rivals[is_open], kind="stable")]
    pieces = []
    for rows in np.array_split(order, max(1, len(order) // _PRUNE_TOGETHER)):
        if len(rows):
            columns = np.argsort(~threatened[rows], axis=1, kind="stable")[:, : rivals[rows].max()]
            margins = np.stack([_margins(p[rows], labels[rows], columns) for p in members])
            margins[:, np.arange(columns.shape[1]) >= rivals[rows][:, None]] = _NO_RIVAL
            pieces += _undominated(margins)
    return pieces, certain


def _margins(p: np.ndarray, labels: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """The label's probability less that of each row's ``columns``, as fixed-point int64."""
    own, rivals = (
        np.rint(np.take_along_axis(p, index, axis=1).astype(np.float64) * _FIXED_POINT)
        for index in (labels[:, None], columns)
    )
    return own.astype(np.int64) - rivals.astype(np.int64)


def _undominated(margins: np.ndarray) -> list[np.ndarray]:
    """Drop rivals whose margin is, in every model, at least that of another rival.

    ``margins`` (models, images, rivals); returns arrays (models, rivals, images).  Compares only
    with the few strongest rivals: a rival too many only costs time.
    """
    strongest_first = np.argsort(margins.sum(axis=0, dtype=np.float64), axis=1, kind="stable")
    margins = np.take_along_axis(margins, strongest_first[None], axis=2)
    keep = margins[0] != _NO_RIVAL
    for strong in range(min(_STRONGEST, margins.shape[2] - 1)):
        weaker = margins[:, :, strong + 1 :]
        keep[:, strong + 1 :] &= (weaker < margins[:, :, strong : strong + 1]).any(axis=0)
    counts = keep.sum(axis=1)
    pieces = []
    for count in np.unique(counts):
        rows = np.flatnonzero(counts == count)
        kept = np.argsort(~keep[rows], axis=1, kind="stable")[:, :count]
        chosen = np.take_along_axis(margins[:, rows], kept[None], axis=2)
        pieces.append(chosen.transpose(0, 2, 1))
    return pieces


class _Counter:
    """Counts, for each high mask and low mask, the images that are right."""

    def __init__(self, high_masks: int, low_masks: int) -> None:
        self._totals = np.zeros((high_masks, low_masks), np.int64)
        self._recent = np.zeros((high_masks, low_masks), np.uint8)  # of the last few images
        self._images = 0
        # for each low mask the set of that mask alone, as bits in bytes, or in words if they fit
        self.single = np.packbits(np.eye(low_masks, dtype=np.uint8), axis=1)
        if self.single.shape[1] % 8 == 0:
            self.single = self.single.view(np.uint64)

    def add(self, wrong: np.ndarray) -> None:
        """Add at most 255 images; ``wrong`` (images, high masks, words): sets like ``single``."""
        if self._images + len(wrong) > _BYTE_MAX:
            self.totals()
        low_masks = self._recent.shape[1]
        right = np.unpackbits(~wrong.view(np.uint8), axis=2, count=low_masks)
        self._recent += np.add.reduce(right, axis=0, dtype=np.uint8)
        self._images += len(wrong)

    def totals(self) -> np.ndarray:
        """The counts so far, int64 (high masks, low masks)."""
        self._totals += self._recent
        self._recent[:] = 0
        self._images = 0
        return self._totals


def _count(
    margins: np.ndarray, low: int, counter: _Counter, progress: Callable[[int], object]
) -> None:
    """Count the images of one group; ``margins`` (models, rivals, images)."""
    members, rivals, images = margins.shape
    words = counter.single.shape[1]
    table = 8 * rivals << max(low + words.bit_length(), members - low)
    step = min(max(1, _BLOCK_BYTES // table), _BYTE_MAX)
    for start in range(0, images, step):
        block = margins[:, :, start : start + step]
        sums, thresholds = _sums(block[:low]), _sums(-block[low:])
        order = np.argsort(sums, axis=2)
        sums = np.take_along_axis(sums, order, axis=2)
        # the sets of the first 0, 1, 2, ... low masks in the order of their sums
        _, count, low_masks = sums.shape
        first = np.zeros((rivals, count, low_masks + 1, words), counter.single.dtype)
        np.bitwise_or.accumulate(counter.single[order], axis=2, out=first[:, :, 1:])
        beaten = np.empty(thresholds.shape, np.intp)
        for found, values, wanted in zip(
            beaten.reshape(rivals * count, -1),
            sums.reshape(rivals * count, -1),
            thresholds.reshape(rivals * count, -1),
        ):
            found[:] = values.searchsorted(wanted, "right")
        beaten += (low_masks + 1) * np.arange(count)[:, None]
        first = first.reshape(rivals, count * (low_masks + 1), words)
        wrong = first[0].take(beaten[0], axis=0)
        for sets, indices in zip(first[1:], beaten[1:]):
            wrong |= sets.take(indices, axis=0)
        counter.add(wrong)
        progress(block[0].size)


def _sums(values: np.ndarray) -> np.ndarray:
    """Sum (models, rivals, images) over every subset of models: (rivals, images, masks)."""
    out = np.zeros((*values.shape[1:], 1 << len(values)), dtype=np.int64)
    for m, value in enumerate(values):
        np.add(out[..., : 1 << m], value[..., None], out=out[..., 1 << m : 2 << m])
    return out
