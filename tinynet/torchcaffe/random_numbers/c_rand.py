"""C's ``rand()`` as the GNU C library has it, and the shuffle that C++ makes of it.

Caffe's HDF5Data shuffles with ``std::random_shuffle``, which draws from ``rand()``.  Nothing in
Caffe ever seeds that, so its order is the one of seed 1 whatever ``random_seed`` says.  The stream
is one for the whole process, as in C.

glibc's generator (its default, of 31 words): r(i) = r(i−3) + r(i−31) mod 2³², of which the upper 31
bits are the number; the first 31 words come from r(i) = 16807 · r(i−1) mod (2³¹ − 1), and 310 more
are dropped.  Source: its stdlib/random_r.c, and std::random_shuffle in libstdc++'s stl_algo.h.
"""

from __future__ import annotations

from typing import Any

from tinynet.torchcaffe.errors import check

_DEGREE = 31
_SEPARATION = 3
_MASK = 0xFFFFFFFF


class CRand:
    """A stream of ``rand()``: whole numbers from 0 to 2³¹ − 1."""

    def __init__(self, seed: int = 1) -> None:
        word = seed or 1
        self._words = [word]
        for _ in range(_DEGREE - 1):
            word = 16807 * word % 0x7FFFFFFF
            self._words.append(word)
        self._place = 0  # of the oldest word, which the next one replaces
        # the first sum pairs word 3 with word 0
        self._words = self._words[_SEPARATION:] + self._words[:_SEPARATION]
        for _ in range(10 * _DEGREE):
            self.next()

    def next(self) -> int:
        words, place = self._words, self._place
        # what is 31 back stands here, and what is 3 back just before it
        word = (words[place] + words[place - _SEPARATION]) & _MASK
        words[place] = word
        self._place = (place + 1) % _DEGREE
        return word >> 1

    def shuffle(self, order: list[int]) -> None:
        """``std::random_shuffle``, in place: each element changes places with one up to itself."""
        for last in range(1, len(order)):
            other = self.next() % (last + 1)
            order[last], order[other] = order[other], order[last]

    def state(self) -> list[int]:
        """The 31 words, oldest first."""
        return self._words[self._place :] + self._words[: self._place]

    def set_state(self, words: Any) -> None:
        """Resume from what ``state`` returned.  Raises CaffeError where it is none."""
        check(
            isinstance(words, list)
            and len(words) == _DEGREE
            and all(isinstance(word, int) and 0 <= word <= _MASK for word in words),
            f"the state of C's rand() is {_DEGREE} words of 32 bits",
        )
        self._words, self._place = list(words), 0


PROCESS = CRand()
"""The stream of this process."""
