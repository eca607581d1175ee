"""Damaged bytes for hypothesis, and a limit on the memory for reading them."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

MEMORY = 64 << 20  # bytes that reading a small hostile file may take


@contextmanager
def bounded_memory() -> Iterator[None]:
    """Assert that Python and numpy allocate less than ``MEMORY`` inside the block."""
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
        assert peak < MEMORY, f"took {peak:,} bytes"
    finally:
        tracemalloc.stop()


def mangled(whole: bytes) -> st.SearchStrategy[bytes]:
    """The bytes with some overwritten, removed or inserted, or arbitrary bytes."""
    edits = st.lists(
        st.tuples(st.integers(0, len(whole)), st.integers(0, 8), st.binary(max_size=12)),
        min_size=1,
        max_size=4,
    )

    def apply(edits: list[tuple[int, int, bytes]]) -> bytes:
        data = whole
        for at, gone, new in edits:
            data = data[:at] + new + data[at + gone :]
        return data

    return st.one_of(edits.map(apply), st.binary(max_size=200))


FUZZ = settings(
    max_examples=120,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
