"""A blob's memory under reshapes: Caffe's rule, modelled on a plain array."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tinynet.torchcaffe import Blob

SHAPES = st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple)


@given(st.lists(SHAPES, min_size=1, max_size=6))
def test_a_reshape_keeps_memory_that_is_large_enough_and_arrays_stay_aliased(
    shapes: list[tuple[int, ...]],
) -> None:
    blob = Blob(shapes[0])
    memory = np.zeros(int(np.prod(shapes[0])), np.float32)  # what Caffe would hold
    held = blob.data
    for number, shape in enumerate(shapes, 1):
        count = int(np.prod(shape))
        blob.reshape(*shape)
        if count > len(memory):
            memory = np.zeros(count, np.float32)
            held = blob.data
        np.testing.assert_array_equal(blob.data.ravel(), memory[:count])
        held.flat[0] = memory[0] = number
        np.testing.assert_array_equal(blob.data.ravel(), memory[:count])
        blob.data[...] = memory[:count] = number + 0.5
        np.testing.assert_array_equal(held.ravel(), memory[: held.size])


def test_a_reshape_also_keeps_the_memory_of_diffs() -> None:
    blob = Blob((4,))
    held = blob.diff
    held[...] = [1, 2, 3, 4]
    blob.reshape(2)
    assert blob.diff.tolist() == [1, 2]
    blob.diff[0] = 9
    blob.reshape(2, 2)
    assert blob.diff.tolist() == [[9, 2], [3, 4]] and held[0] == 9
