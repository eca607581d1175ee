"""Weights and solver states in HDF5, laid out as Caffe lays them out (needs h5py).

    data/LAYER/0, 1, …   parameters; a shared one only under the layer that owns it
    diff/LAYER/0, 1, …   their diffs, if snapshot_diff asks for them
    iter, current_step, learned_net, history/0, 1, …    in a solver state

Defined by ``Net::ToHDF5``, ``CopyTrainedLayersFromHDF5`` (src/caffe/net.cpp) and
``SGDSolver::SnapshotSolverStateToHDF5`` (src/caffe/solvers/sgd_solver.cpp).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tinynet import files
from tinynet.torchcaffe import glog
from tinynet.torchcaffe.errors import CaffeError, check, require_file
from tinynet.torchcaffe.graph.net_graph import NetGraph
from tinynet.torchcaffe.snapshots import stored_blobs

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
# what h5py raises for damage in a file's header, in its groups or in an array
_DAMAGE = (OSError, RuntimeError, LookupError, TypeError, ValueError, AttributeError, MemoryError)


def require() -> Any:
    """Return the module h5py.  Raises CaffeError naming the extra if it is not installed."""
    try:
        import h5py
    except ImportError:
        raise CaffeError(
            "HDF5 files need h5py, which is not installed: pip install 'tinynet[hdf5]'"
        ) from None
    return h5py


def is_hdf5(path: str | Path) -> bool:
    """Whether a file begins as HDF5 files do, whatever its name.  Raises OSError."""
    with open(path, "rb") as file:
        return file.read(len(_SIGNATURE)) == _SIGNATURE


@contextmanager
def _created(path: str | Path) -> Iterator[Any]:
    """Write a new file atomically."""
    with files.replacing(path) as temporary, require().File(temporary, "w") as file:
        yield file


@contextmanager
def _opened(path: str | Path) -> Iterator[Any]:
    h5py = require()
    check(is_hdf5(path), f"{path} is not an HDF5 file")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except CaffeError:
        raise
    except _DAMAGE as error:
        raise CaffeError(f"{path} is damaged, or not one of Caffe's files: {error}") from None


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.cpu().contiguous().numpy()


def save_weights(net: NetGraph, path: str | Path, write_diff: bool = False) -> None:
    """Write the net's parameters, and their diffs if ``write_diff``.

    Raises CaffeError if the place of a parameter is also that of another one, or of a layer.
    """
    _require_places(net, path)
    owned = {id(blob) for blob in net.learnable_params}
    with _created(path) as file:
        for layer in net.layers:
            data = file.require_group(f"data/{layer.name}")
            diff = file.require_group(f"diff/{layer.name}") if write_diff else None
            for j, blob in enumerate(layer.blobs):
                if id(blob) in owned:
                    data[str(j)] = _array(blob.tensor)
                if diff is not None:
                    diff[str(j)] = _array(blob.grad)


def _require_places(net: NetGraph, path: str | Path) -> None:
    """Raise CaffeError unless each parameter has a place of its own in the file.

    Two layers of one name have the same; and parameter 0 of layer a is where a layer a/0 would be.
    """
    groups = {
        group: layer.name
        for layer in net.layers
        for group in itertools.accumulate(layer.name.split("/"), "{}/{}".format)
    }
    places: set[str] = set()
    for layer in net.layers:
        for j in range(len(layer.blobs)):
            place = f"{layer.name}/{j}"
            check(
                place not in places,
                f"{path}: an HDF5 file cannot hold two layers called '{layer.name}'",
            )
            check(
                place not in groups,
                f"{path}: an HDF5 file cannot hold layer '{groups.get(place)}' beside layer "
                f"'{layer.name}', whose parameter {j} is at '{place}'; rename one of them, or save "
                "a .caffemodel",
            )
            places.add(place)


def load_weights(net: NetGraph, path: str | Path) -> None:
    """Load parameters by layer name; layers that only the file has are ignored.

    Raises CaffeError if numbers of parameters or shapes differ.
    """
    h5py = require()
    owned = {id(blob) for blob in net.learnable_params}
    with _opened(path) as file:
        check("data" in file, f"{path} holds no weights: it has no group 'data'")
        data = file["data"]
        taken = 0
        for name in sorted(set(data) - {layer.name.split("/")[0] for layer in net.layers}):
            glog.info(f"Ignoring source layer {name}")
        for layer in net.layers:
            group = data.get(layer.name)
            if not isinstance(group, h5py.Group):
                continue  # a/0 may be a parameter of another net's layer a
            # a layer called a/b lies in the group of a layer called a
            stored = {key: item for key, item in group.items() if isinstance(item, h5py.Dataset)}
            check(
                len(stored) <= len(layer.blobs),
                f"{path}: incompatible number of blobs for layer {layer.name}: the file has "
                f"{len(stored)}, the net {len(layer.blobs)}{stored_blobs.RENAME}",
            )
            for j, blob in enumerate(layer.blobs):
                what = f"param {j} of layer '{layer.name}' from {path}"
                if str(j) in stored:
                    taken += 1
                    blob.load(np.asarray(stored[str(j)]), what, stored_blobs.RENAME)
                else:
                    check(id(blob) not in owned, f"{what}: the file has no such param")
        stored_blobs.warn_where_none_is_taken(taken, net.name, list(data), str(path))


@dataclass
class State:
    """The content of a solver state."""

    iteration: int
    current_step: int
    learned_net: str
    history: list[np.ndarray]


def save_state(path: str | Path, state: State) -> None:
    """Write a solver state in the layout of Caffe's ``SnapshotSolverStateToHDF5`` (sgd_solver.cpp).

    Raises CaffeError if h5py is not installed.
    """
    with _created(path) as file:
        file["iter"] = np.array([state.iteration], dtype=np.int32)
        # a string of fixed length, as H5LTmake_dataset_string writes it
        file["learned_net"] = np.bytes_(state.learned_net.encode() + b"\0")
        file["current_step"] = np.array([state.current_step], dtype=np.int32)
        history = file.create_group("history")
        for j, array in enumerate(state.history):
            history[str(j)] = array


def load_state(path: str | Path) -> State:
    """Read a solver state.  Raises CaffeError for a file that is not one."""
    with _opened(path) as file:
        missing = {"iter", "current_step", "history"} - set(file)
        check(not missing, f"{path} is not a solver state: it has no {', '.join(sorted(missing))}")
        learned = bytes(file["learned_net"][()]) if "learned_net" in file else b""
        history = file["history"]
        return State(
            iteration=int(np.ravel(file["iter"])[0]),
            current_step=int(np.ravel(file["current_step"])[0]),
            learned_net=learned.rstrip(b"\0").decode(),
            history=[np.asarray(history[str(j)]) for j in range(len(history))],
        )


def load_datasets(path: str | Path, names: Sequence[str]) -> list[np.ndarray]:
    """Read the datasets ``names`` as float32 arrays with one axis or more.

    HDF5 converts other types of numbers, as it does for Caffe (``hdf5_load_nd_dataset`` in
    src/caffe/util/hdf5.cpp).  Raises CaffeError if the file cannot be read, or a dataset is missing
    or holds no numbers.
    """
    require_file(path)
    with _opened(path) as file:
        return [_numbers(file, str(path), name) for name in names]


def _numbers(file: Any, path: str, name: str) -> np.ndarray:
    h5py = require()
    found: Any = file[name] if name in list(file) else None
    check(isinstance(found, h5py.Dataset), f"{path} has no dataset '{name}'")
    kind = found.id.get_type().get_class()
    check(
        kind in (h5py.h5t.FLOAT, h5py.h5t.INTEGER),
        f"{path}: the dataset '{name}' must hold floats or integers; it has type {found.dtype}",
    )
    check(found.ndim > 0, f"{path}: the dataset '{name}' must have an axis, the first for rows")
    values = np.empty(found.shape, np.float32)
    if values.size:
        found.read_direct(values)
    return values


def save_datasets(path: str | Path, datasets: dict[str, np.ndarray]) -> None:
    """Write ``datasets`` to a file, atomically.  Raises CaffeError if it cannot be written."""
    try:
        with _created(path) as file:
            for name, values in datasets.items():
                file[name] = values
    except OSError as error:
        raise CaffeError(f"cannot write the HDF5 file {path}: {error.strerror or error}") from None
