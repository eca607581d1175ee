"""Files of arrays that a worker writes."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from tinynet.engine.worker import arrays


def test_an_array_round_trips(tmp_path: Path) -> None:
    for values in (np.arange(24, dtype=np.float32).reshape(2, 3, 4), np.zeros((0, 5), np.int64)):
        arrays.save(str(tmp_path / "out.npy"), values)
        found = np.load(tmp_path / "out.npy")
        assert found.dtype == values.dtype and np.array_equal(found, values)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
@pytest.mark.parametrize("size", [10, 1_000_000])
def test_a_full_disk_is_reported_with_the_files_name(size: int) -> None:
    """numpy's own message is "1000000 requested and 16352 written"."""
    with pytest.raises(OSError, match="No space left.*/dev/full") as failed:
        arrays.save("/dev/full", np.zeros(size))
    assert failed.value.errno == errno.ENOSPC
    with pytest.raises(OSError, match="No space left.*/dev/full"), \
            arrays.output_file("/dev/full") as stream:  # fmt: skip
        np.savez(stream, a=np.zeros(size))
