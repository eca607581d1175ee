"""Models and solver states from strangers are whole, or refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.hostile.mangling import FUZZ, bounded_memory, mangled
from tests.hostile.small_snapshot import small_net, small_state
from tinynet.caffeformat import blob_proto, schema
from tinynet.errors import TinynetError
from tinynet.run import snapshots


@FUZZ
@given(st.one_of(st.tuples(mangled(small_net()), st.just(small_state())),
                 st.tuples(st.just(small_net()), mangled(small_state()))))  # fmt: skip
def test_mangled_snapshots_are_whole_or_have_a_fault(
    tmp_path: Path, pair: tuple[bytes, bytes]
) -> None:
    for path in tmp_path.iterdir():
        path.unlink()
    model, state = tmp_path / "x_iter_10.caffemodel", tmp_path / "x_iter_10.solverstate"
    model.write_bytes(pair[0])
    state.write_bytes(pair[1])
    (snapshot,) = snapshots.snapshots(tmp_path)
    reason = snapshots.fault(snapshot)
    assert reason is None or (str(tmp_path) in reason and "\n" not in reason.strip())


def test_a_model_that_states_a_giant_shape_takes_no_memory() -> None:
    for dims in ([2**31, 2**31], [2**62], [-1, -6], [0] * 3):
        blob = schema.BlobProto()
        blob.shape.dim.extend(dims)
        blob.data.extend([1.0] * 6)
        with bounded_memory(), pytest.raises(TinynetError, match="the file has 6"):
            blob_proto.decode(blob, "a blob")


@FUZZ
@example(data=b"\x89HDF\r\n\x1a\n")
@given(data=mangled(small_state()))
def test_a_mangled_solverstate_is_refused_by_the_solver(tmp_path: Path, data: bytes) -> None:
    pytest.importorskip("torch")
    from tinynet.torchcaffe.snapshots import snapshot

    path = tmp_path / "x_iter_10.solverstate"
    path.write_bytes(data)
    try:
        snapshot._read(path)
    except TinynetError as error:
        assert str(path) in str(error)


def test_an_hdf5_solverstate_cut_short_is_refused_by_name(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("h5py")
    from tinynet.torchcaffe.snapshots import hdf5

    whole = tmp_path / "whole.h5"
    hdf5.save_state(whole, hdf5.State(10, 0, "x.caffemodel", [np.ones(6, np.float32)]))
    data = whole.read_bytes()
    path = tmp_path / "cut.h5"
    for length in range(8, len(data), len(data) // 40):
        path.write_bytes(data[:length])
        with pytest.raises(TinynetError, match=str(path)):
            hdf5.load_state(path)
    path.write_bytes(data.replace(b"history", b"hostile"))
    with pytest.raises(TinynetError, match=str(path)):
        hdf5.load_state(path)
