"""C's ``rand()`` of the GNU C library, and the shuffle of C++ that uses it.

Caffe's HDF5Data shuffles with ``std::random_shuffle``, which draws from ``rand()``.  Caffe never
seeds that, so the order is that of seed 1 whatever ``random_seed`` says.  As in C, the whole
process has one stream.

glibc's default generator has 31 words of state: r(i) = r(i−3) + r(i−31) mod 2³², whose upper 31
bits are the number; the first 31 words come from r(i) = 16807 · r(i−1) mod (2³¹ − 1), and the next
310 numbers are dropped.  Source: its stdlib/random_r.c, and std::random_shuffle in libstdc++'s
stl_algo.h.
"""

from __future__ import annotations

from typing import Any

from tinynet.torchcaffe.errors import check

_DEGREE = 31
_SEPARATION = 3
_MASK = 0xFFFFFFFF


class CRand:
    """A stream of ``rand()``: integers from 0 to 2³¹ − 1."""

    def __init__(self, seed: int = 1) -> None:
        word = seed or 1
        self._words = [word]
        for _ in range(_DEGREE - 1):
            word = 16807 * word % 0x7FFFFFFF
            self._words.append(word)
        self._oldest = 0  # index of the oldest word, which the next one replaces
        # the first sum pairs word 3 with word 0
        self._words = self._words[_SEPARATION:] + self._words[:_SEPARATION]
        for _ in range(10 * _DEGREE):
            self.next()

    def next(self) -> int:
        """The next number."""
        words, oldest = self._words, self._oldest
        # r(i−31) is here, and r(i−3) is 3 words before it
        word = (words[oldest] + words[oldest - _SEPARATION]) & _MASK
        words[oldest] = word
        self._oldest = (oldest + 1) % _DEGREE
        return word >> 1

    def shuffle(self, order: list[int]) -> None:
        """Shuffle in place as ``std::random_shuffle``: exchange each element with one up to it."""
        for last in range(1, len(order)):
            other = self.next() % (last + 1)
            order[last], order[other] = order[other], order[last]

    def state(self) -> list[int]:
        """The 31 words, oldest first."""
        return self._words[self._oldest :] + self._words[: self._oldest]

    def set_state(self, words: Any) -> None:
        """Resume from what ``state`` returned.  Raises CaffeError for anything else."""
        check(
            isinstance(words, list)
            and len(words) == _DEGREE
            and all(isinstance(word, int) and 0 <= word <= _MASK for word in words),
            f"the state of C's rand() is {_DEGREE} words of 32 bits",
        )
        self._words, self._oldest = list(words), 0


PROCESS = CRand()
"""The stream of this process."""
