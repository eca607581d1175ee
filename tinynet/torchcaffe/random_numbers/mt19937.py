"""Boost's mt19937: the stream of 32-bit words from which all of Caffe's random numbers come."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinynet.torchcaffe.errors import CaffeError, check

WORD_MAX = 0xFFFFFFFF


class Mt19937:
    """boost::mt19937: a stream of 32-bit words from a 32-bit seed."""

    def __init__(self, seed: int) -> None:
        """Start the stream of ``seed``; as in C++, its low 32 bits count."""
        key = np.empty(624, np.uint32)
        word = seed & WORD_MAX
        for index in range(624):
            key[index] = word
            word = (1812433253 * (word ^ (word >> 30)) + index + 1) & WORD_MAX
        # numpy derives its state from a seed in another way; it is replaced at once
        self._bits = np.random.MT19937(0)
        self._generator = np.random.Generator(self._bits)
        self.set_state(key, 624)

    def next_uint32(self) -> int:
        """The next word, as ``caffe_rng_rand()`` returns it."""
        return int(self._bits.random_raw())

    def uint32s(self, count: int) -> np.ndarray:
        """The next ``count`` words, uint32 (count,)."""
        # for the full range numpy returns the words themselves, which the tests check
        return self._generator.integers(0, WORD_MAX, count, dtype=np.uint32, endpoint=True)

    def get_state(self) -> tuple[np.ndarray, int]:
        """The whole state: key (624,) uint32 and position in it (0…624)."""
        state = self._bits.state["state"]
        return np.array(state["key"], np.uint32), int(state["pos"])

    def set_state(self, key: np.ndarray, position: int) -> None:
        """Resume from a state that ``get_state`` returned."""
        key = np.asarray(key, np.uint32)
        _require_state(key, position)
        self._bits.state = {"bit_generator": "MT19937", "state": {"key": key, "pos": int(position)}}


def to_json(state: tuple[np.ndarray, int]) -> dict[str, Any]:
    """Convert a state of ``Mt19937.get_state`` for JSON: the 624 words in hex, and the position."""
    key, position = state
    return {"key": key.astype("<u4").tobytes().hex(), "position": position}


def from_json(stored: Any) -> tuple[np.ndarray, int]:
    """Convert what ``to_json`` returned back to a state.  Raises CaffeError for anything else."""
    try:
        key = np.frombuffer(bytes.fromhex(stored["key"]), "<u4").astype(np.uint32)
        position = int(stored["position"])
    except (KeyError, TypeError, ValueError, OverflowError):
        raise CaffeError(
            "the state of a random stream has 'key', 624 words in hex, and 'position'"
        ) from None
    _require_state(key, position)
    return key, position


def _require_state(key: np.ndarray, position: int) -> None:
    check(
        key.shape == (624,) and 0 <= position <= 624,
        "the state of a random stream is 624 words and a position from 0 to 624; "
        f"this one has shape {key.shape} and position {position}",
    )
