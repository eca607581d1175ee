"""Blob: Caffe's N-dimensional array with a data and a diff part, over torch tensors.

A blob has two interfaces.  Layers use ``tensor`` and ``grad`` (torch, on the blob's device);
scripts use ``data`` and ``diff`` (numpy, writable and aliased to the blob, as in pycaffe).

Both are float32.  Layers that support bfloat16 use ``computed`` instead: under
``--precision bf16`` those values stay in bfloat16 from one such layer to the next.

A layer gives ``set_data`` the tensor that an operation produced, and the blob adopts it without
a copy.  Once a script has asked for a numpy array, that array must keep showing the blob's values,
as Caffe's does: from then on the part keeps one contiguous buffer and copies results into it.
Only the blobs that a script has read pay for this.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence

import numpy as np
import torch

from tinynet.torchcaffe.context import CONTEXT
from tinynet.torchcaffe.errors import CaffeError, check

MAX_AXES = 32
MAX_COUNT = 2**31 - 1  # Caffe counts elements in a C int

#: a blob's shape, and its two parts, which are the same objects for blobs that share them: faster
#: than properties, for code that reads a whole net often
shape_of = operator.attrgetter("_shape")
parts_of = operator.attrgetter("_data", "_diff")


def shaped(values: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """``values`` in ``shape``, without a view if they have that shape: a view costs host time."""
    return values if values.shape == shape else values.reshape(shape)


class Part:
    """The data or the diff of a blob: one float32 tensor, and on a GPU a copy on the host.

    ``exposed``: a numpy view has been handed out.

    ``host_is_newer``: the host copy is newer than the tensor.  This is assumed after every access
    to it, since the script may have written to it: Caffe's SyncedMemory assumes the same after
    ``mutable_cpu_data``.

    ``cleared``: the values are zero, but the zeros have not been written yet.

    ``whole`` and ``host_whole``: the memory of which ``tensor`` and ``host`` show the start.  As in
    Caffe, a blob that is reshaped keeps its memory if the new shape fits into it.

    ``of``: the shape tuple (the object itself) that ``tensor`` was last found to have.
    """

    __slots__ = (
        "cleared",
        "device",
        "exposed",
        "host",
        "host_is_newer",
        "host_whole",
        "of",
        "tensor",
        "whole",
    )

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.tensor: torch.Tensor | None = None
        self.of: tuple[int, ...] | None = None
        self.whole: torch.Tensor | None = None
        self.host: torch.Tensor | None = None
        self.host_whole: torch.Tensor | None = None
        self.exposed = False
        self.host_is_newer = False
        self.cleared = False

    def get(self, shape: tuple[int, ...]) -> torch.Tensor:
        """The current values in float32; zeros where nothing was ever written."""
        tensor = self.computed(shape)
        if tensor.dtype == torch.bfloat16:
            tensor = self.tensor = tensor.float()
        return tensor

    def computed(self, shape: tuple[int, ...]) -> torch.Tensor:
        """The current values in the type in which they were computed."""
        tensor = self.tensor
        if self.of is shape and not (self.cleared or self.host_is_newer):
            assert tensor is not None
            return tensor
        if tensor is None:
            tensor = self._resized(shape)
        elif tensor.shape != shape:
            if tensor.numel() != math.prod(shape):
                tensor = self._resized(shape)
            else:
                tensor = self.tensor = tensor.reshape(shape)
                self.host = None if self.host is None else self.host.reshape(shape)
        if self.cleared:
            tensor.zero_()
            self.cleared = self.host_is_newer = False
        elif self.host_is_newer:
            assert self.host is not None
            tensor.copy_(self.host)
            self.host_is_newer = False
        self.of = shape
        return tensor

    def _resized(self, shape: tuple[int, ...]) -> torch.Tensor:
        """Give the memory a shape of another count: its start, or new zeros if it is too small."""
        count, tensor = math.prod(shape), self.tensor
        if tensor is not None and self.host_is_newer:
            assert self.host is not None
            tensor.copy_(self.host)
        whole = self.whole
        if whole is None and tensor is not None:
            whole = tensor.contiguous().reshape(-1)
        if whole is None or count > whole.numel():
            self._adopt(torch.zeros(shape, dtype=torch.float32, device=self.device))
        else:
            self.whole, self.tensor = whole, whole[:count].reshape(shape)
            if self.host is not None:
                if self.host_whole is None:
                    self.host_whole = self.host.reshape(-1)
                self.host = self.host_whole[:count].reshape(shape)
        assert self.tensor is not None
        return self.tensor

    def _adopt(self, value: torch.Tensor) -> None:
        """Make ``value`` the memory; views of the old memory are no longer the blob's."""
        self.tensor, self.whole, self.of = value, None, None
        self.host, self.host_whole = None, None
        self.host_is_newer = self.exposed = False

    def set(self, value: torch.Tensor) -> None:
        """Take ``value`` as the new content: adopt it, or copy it if a script holds a view."""
        self.cleared = self.host_is_newer = False
        tensor = self.tensor
        if value is tensor:
            return
        if self.exposed and tensor is not None and tensor.numel() != value.numel():
            tensor = self._resized(tuple(value.shape))  # the same memory, if it is large enough
        if self.exposed and tensor is not None:
            tensor.copy_(value.reshape(tensor.shape))
        else:
            self._adopt(value)

    def point_to(self, value: torch.Tensor) -> None:
        """Adopt ``value`` in any case; views handed out before keep showing the old memory."""
        self.exposed = False
        self.set(value)

    def accumulate(self, value: torch.Tensor) -> None:
        """Add ``value``, in float32."""
        if value.dtype == torch.bfloat16:
            value = value.float()
        if self.cleared and not self.exposed:
            self.set(value)
        else:
            self.get(tuple(value.shape)).add_(value)

    def address(self, shape: tuple[int, ...], name: str) -> int:
        """The address of the values on the GPU; ``name`` is the property the script used."""
        tensor = self._kept(shape)
        check(
            tensor.device.type != "cpu",
            f"{name} is an address on a GPU, and this blob is on the CPU: call "
            "caffe.set_mode_gpu() before its net is made",
        )
        return tensor.data_ptr()

    def _kept(self, shape: tuple[int, ...]) -> torch.Tensor:
        """The values in C order, in memory that later results are copied into."""
        tensor = self.get(shape)
        if not tensor.is_contiguous():
            tensor = self.tensor = tensor.contiguous()
        self.exposed = True
        return tensor

    def numpy(self, shape: tuple[int, ...]) -> np.ndarray:
        """The values as a writable array; on a GPU, the host copy, brought up to date."""
        tensor = self._kept(shape)
        if tensor.device.type == "cpu":
            return tensor.numpy()
        if self.host is None:
            self.host = torch.empty(shape, dtype=torch.float32)
        elif self.host.shape != tensor.shape:  # last read by a blob that shares it in another shape
            self.host = self.host.reshape(tensor.shape)
        self.host.copy_(tensor)
        self.host_is_newer = True
        return self.host.numpy()


class Blob:
    """An array of float32 with Caffe's shape rules; see the module's docstring.

    Defined by Caffe's ``include/caffe/blob.hpp`` and pycaffe's ``_caffe.cpp``.
    """

    def __init__(self, shape: Sequence[int] = (0,)) -> None:
        device = CONTEXT.device
        self._shape: tuple[int, ...] = (0,)
        self._data = Part(device)
        self._diff = Part(device)
        self.resize(tuple(shape))

    # --- shape

    @property
    def shape(self) -> tuple[int, ...]:
        return self._shape

    @property
    def count(self) -> int:
        return math.prod(self._shape)

    def _legacy_axis(self, axis: int) -> int:
        check(
            len(self._shape) <= 4,
            f"num, channels, height and width are for blobs of at most 4 axes; shape {self._shape}",
        )
        return self._shape[axis] if axis < len(self._shape) else 1

    num = property(lambda self: self._legacy_axis(0))
    channels = property(lambda self: self._legacy_axis(1))
    height = property(lambda self: self._legacy_axis(2))
    width = property(lambda self: self._legacy_axis(3))

    def reshape(self, *dims: int) -> None:
        """Change the shape; the content is kept if it fits (pycaffe's ``blob.reshape(d0, …)``).

        Raises TypeError, as pycaffe does, for a dimension that is not an integer.
        """
        self.resize(tuple(operator.index(dim) for dim in dims))

    def resize(self, shape: tuple[int, ...]) -> None:
        """Change the shape.  Raises CaffeError for one that Caffe's blobs cannot have."""
        if shape == self._shape:
            return
        check(len(shape) <= MAX_AXES, f"a blob has at most {MAX_AXES} axes; got {len(shape)}")
        shape = tuple(int(dim) for dim in shape)
        check(all(dim >= 0 for dim in shape), f"blob dimensions must not be negative; got {shape}")
        check(
            math.prod(shape) <= MAX_COUNT,
            f"a blob has at most {MAX_COUNT} elements (INT_MAX); shape {shape} has "
            f"{math.prod(shape)}",
        )
        self._shape = shape

    # --- for layers

    @property
    def tensor(self) -> torch.Tensor:
        """The data, float32, in this blob's shape; changes made in place change the blob."""
        return self._data.get(self._shape)

    @property
    def computed(self) -> torch.Tensor:
        """The data as computed: float32, or bfloat16 if a layer left it so (precision.py)."""
        return self._data.computed(self._shape)

    @property
    def computed_diff(self) -> torch.Tensor:
        """The diff as computed: float32, or bfloat16 if a layer left it so."""
        return self._diff.computed(self._shape)

    @property
    def grad(self) -> torch.Tensor:
        """The diff, float32, in this blob's shape."""
        return self._diff.get(self._shape)

    def set_data(self, value: torch.Tensor) -> None:
        self._data.set(value)

    def show_data(self, value: torch.Tensor) -> None:
        """Use a script's own memory as the data (Caffe's set_cpu_data)."""
        self._data.point_to(value)

    def data_to_keep(self) -> torch.Tensor:
        """The data as a tensor that the next ``set_data`` does not change.

        For layers that work in place and need their input in backward.  It is a copy only if a
        script holds a view of the data.
        """
        return self.tensor.clone() if self._data.exposed else self.tensor

    def set_diff(self, value: torch.Tensor) -> None:
        self._diff.set(value)

    def add_diff(self, value: torch.Tensor) -> None:
        """Add ``value`` to the diff, as Caffe's layers accumulate into their parameters' diff."""
        self._diff.accumulate(value)

    def clear_diff(self) -> None:
        """Set the diff to zero, lazily: the first ``add_diff`` then adopts its value.

        If a script holds an array of the diff, its values are zeroed now.
        """
        self._diff.cleared = True
        if self._diff.exposed:
            self._diff.get(self._shape)

    def share_data(self, other: Blob) -> None:
        """Use ``other``'s data as this blob's, now and after every change (Caffe's ShareData)."""
        if self._data is not other._data:
            self._require_count_of(other)
            self._data = other._data

    def share_diff(self, other: Blob) -> None:
        """Use ``other``'s diff as this blob's (Caffe's ShareDiff)."""
        if self._diff is not other._diff:
            self._require_count_of(other)
            self._diff = other._diff

    def _require_count_of(self, other: Blob) -> None:
        check(
            self.count == other.count,
            f"a blob of shape {self._shape} cannot share the memory of one of {other._shape}",
        )

    # --- for scripts

    @property
    def data(self) -> np.ndarray:
        """The data as a writable float32 array that stays aliased to the blob."""
        return self._data.numpy(self._shape)

    @property
    def diff(self) -> np.ndarray:
        """The diff as a writable float32 array that stays aliased to the blob."""
        return self._diff.numpy(self._shape)

    @property
    def _gpu_data_ptr(self) -> int:
        """The address of the data in the GPU's memory: float32, in C order.

        It is valid until the shape changes.  Raises CaffeError for a blob on the CPU.
        """
        return self._data.address(self._shape, "_gpu_data_ptr")

    @property
    def _gpu_diff_ptr(self) -> int:
        """The address of the diff in the GPU's memory, like ``_gpu_data_ptr``."""
        return self._diff.address(self._shape, "_gpu_diff_ptr")

    def load(
        self, values: np.ndarray, what: str, remedy: str = "", legacy_shape: bool = False
    ) -> None:
        """Copy ``values`` into the data.  Raises CaffeError naming ``what`` if the shapes differ.

        ``remedy`` ends that message and says what to do.  ``legacy_shape``: the values have the
        num, channels, height and width of old .caffemodel files, with which this blob's shape is
        compared after ones have been put before it (Blob::ShapeEquals).
        """
        wanted = self._shape
        if legacy_shape:
            wanted = (1,) * (4 - len(wanted)) + wanted
        if tuple(values.shape) != wanted:
            raise CaffeError(
                f"cannot copy {what}: shape mismatch; the file has {tuple(values.shape)}, "
                f"the net {self._shape}{remedy}"
            )
        self.tensor.copy_(self._source(values))

    def load_diff(self, values: np.ndarray) -> None:
        """Copy ``values``, one for each element, into the diff."""
        self.set_diff(self._source(values).to(self.tensor.device))

    def _source(self, values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.array(values, dtype=np.float32).reshape(self._shape))
