"""Blob: Caffe's N-dimensional array with a data and a diff part, over torch tensors.

A blob has two faces.  Layers use ``tensor``/``grad`` (torch, on the blob's device); scripts use
``data``/``diff`` (numpy, writable and aliased, as pycaffe gives them).

Everybody sees float32.  Only layers that also know bfloat16 ask for ``computed`` values, which
under ``--precision bf16`` stay in that type from one of them to the next.

A layer hands the tensor that an operation produced to ``set_data``, and the blob adopts it without
a copy.  Once a script has asked for the numpy face, the array it holds must keep showing what
Caffe's would show: from then on the part keeps one contiguous buffer and copies results into it.
So only blobs that somebody looks at pay for it.
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

#: a blob's shape and its parts, sooner than by properties: for whoever looks at a whole net often
shape_of = operator.attrgetter("_shape")
parts_of = operator.attrgetter("_data", "_diff")


def shaped(values: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
    """``values`` in ``shape``: themselves where they have it, since each view costs the host."""
    return values if values.shape == shape else values.reshape(shape)


class Part:
    """The data or the diff of a blob: one float32 tensor, and on a GPU its host mirror.

    ``exposed`` says that a numpy view was handed out.  On a GPU the host mirror counts as newer
    than the tensor after every access to it, since the script may have written into it: Caffe's
    SyncedMemory makes the same assumption for ``mutable_cpu_data``.

    ``cleared`` says that the values are zero, which nobody has written yet.

    As in Caffe a blob that is reshaped keeps its memory as long as the new shape fits into it:
    ``whole`` (and ``host_whole``) is that memory, of which ``tensor`` then shows the start.

    ``of`` is the shape tuple, the very object, that ``tensor`` was last found to have.
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
        """The current values in float32, materialised as zeros where nothing was ever written."""
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
        """The memory in a shape of another count: its start, or new zeros where it is too small."""
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
        """Make ``value`` the memory; what was handed out of the old one is its own from now on."""
        self.tensor, self.whole, self.of = value, None, None
        self.host, self.host_whole = None, None
        self.host_is_newer = self.exposed = False

    def set(self, value: torch.Tensor) -> None:
        """Take ``value`` as the new content: adopted, or copied where a script holds a view."""
        self.cleared = self.host_is_newer = False
        tensor = self.tensor
        if value is tensor:
            return
        if self.exposed and tensor is not None and tensor.numel() != value.numel():
            tensor = self._resized(tuple(value.shape))  # still the same memory, if it is enough
        if self.exposed and tensor is not None:
            tensor.copy_(value.reshape(tensor.shape))
        else:
            self._adopt(value)

    def point_to(self, value: torch.Tensor) -> None:
        """Show ``value`` itself; views handed out before keep showing the memory that they had."""
        self.exposed = False
        self.set(value)

    def accumulate(self, value: torch.Tensor) -> None:
        if value.dtype == torch.bfloat16:
            value = value.float()
        if self.cleared and not self.exposed:
            self.set(value)
        else:
            self.get(tuple(value.shape)).add_(value)

    def address(self, shape: tuple[int, ...], name: str) -> int:
        """Where the values lie on the GPU; ``name`` is what the script asked for."""
        tensor = self._kept(shape)
        check(
            tensor.device.type != "cpu",
            f"{name} is an address on a GPU, and this blob is on the CPU: call "
            "caffe.set_mode_gpu() before its net is made",
        )
        return tensor.data_ptr()

    def _kept(self, shape: tuple[int, ...]) -> torch.Tensor:
        """The values in C order, at a place that later results are copied to."""
        tensor = self.get(shape)
        if not tensor.is_contiguous():
            tensor = self.tensor = tensor.contiguous()
        self.exposed = True
        return tensor

    def numpy(self, shape: tuple[int, ...]) -> np.ndarray:
        tensor = self._kept(shape)
        if tensor.device.type == "cpu":
            return tensor.numpy()
        if self.host is None:
            self.host = torch.empty(shape, dtype=torch.float32)
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
        """pycaffe's ``blob.reshape(d0, d1, …)``: change the shape; content is kept if it fits.

        Raises TypeError, as pycaffe does, for a dimension that is no whole number.
        """
        self.resize(tuple(operator.index(dim) for dim in dims))

    def resize(self, shape: tuple[int, ...]) -> None:
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

    @property
    def parts(self) -> tuple[Part, Part]:
        """Data and diff as they are stored; of blobs that share one, the same object."""
        return self._data, self._diff

    # --- the layers' face

    @property
    def tensor(self) -> torch.Tensor:
        """The data, float32, of this blob's shape; in-place changes are changes of the blob."""
        return self._data.get(self._shape)

    @property
    def computed(self) -> torch.Tensor:
        """The data to compute on: float32, or bfloat16 where a layer left it so (precision.py)."""
        return self._data.computed(self._shape)

    @property
    def computed_diff(self) -> torch.Tensor:
        """The diff to compute on, as ``computed`` is the data."""
        return self._diff.computed(self._shape)

    @property
    def grad(self) -> torch.Tensor:
        """The diff, float32, of this blob's shape."""
        return self._diff.get(self._shape)

    def set_data(self, value: torch.Tensor) -> None:
        self._data.set(value)

    def show_data(self, value: torch.Tensor) -> None:
        """Take a script's own memory as the data, never to copy into it (Caffe's set_cpu_data)."""
        self._data.point_to(value)

    def data_to_keep(self) -> torch.Tensor:
        """The data as a tensor that the next ``set_data`` leaves as it is.

        For layers that work in place by ``set_data`` and need their input in backward. It is a copy
        only where a script holds a view of the data.
        """
        return self.tensor.clone() if self._data.exposed else self.tensor

    def set_diff(self, value: torch.Tensor) -> None:
        self._diff.set(value)

    def add_diff(self, value: torch.Tensor) -> None:
        """Add ``value`` to the diff, as Caffe's layers accumulate into their parameters' diff."""
        self._diff.accumulate(value)

    def clear_diff(self) -> None:
        """Set the diff to zero.

        Lazily, so that the first ``add_diff`` takes its value as it is, unless a script holds an
        array of the diff.
        """
        self._diff.cleared = True
        if self._diff.exposed:
            self._diff.get(self._shape)

    def share_data(self, other: Blob) -> None:
        """Use ``other``'s data as this blob's, now and after every change (Caffe's ShareData)."""
        if self._data is not other._data:
            check(self.count == other.count, f"cannot share data: {self._shape}, {other._shape}")
            self._data = other._data

    def share_diff(self, other: Blob) -> None:
        if self._diff is not other._diff:
            check(self.count == other.count, f"cannot share diff: {self._shape}, {other._shape}")
            self._diff = other._diff

    # --- the scripts' face

    @property
    def data(self) -> np.ndarray:
        """The data as a writable float32 array which stays aliased to the blob."""
        return self._data.numpy(self._shape)

    @property
    def diff(self) -> np.ndarray:
        """The diff as a writable float32 array which stays aliased to the blob."""
        return self._diff.numpy(self._shape)

    @property
    def _gpu_data_ptr(self) -> int:
        """The address of the data in the GPU's memory: float32, in C order.

        It stays as long as the shape does.  Raises CaffeError for a blob on the CPU.
        """
        return self._data.address(self._shape, "_gpu_data_ptr")

    @property
    def _gpu_diff_ptr(self) -> int:
        """The address of the diff, as ``_gpu_data_ptr`` is of the data."""
        return self._diff.address(self._shape, "_gpu_diff_ptr")

    def load(
        self, values: np.ndarray, what: str, remedy: str = "", legacy_shape: bool = False
    ) -> None:
        """Copy ``values`` into the data; raise CaffeError naming ``what`` if the shapes differ.

        ``remedy`` ends that message: what to do about it.  A ``legacy_shape``, the num, channels,
        height and width of old .caffemodel files, has ones before it where this one is shorter
        (Blob::ShapeEquals).
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
        """Copy ``values``, as many as there are elements, into the diff."""
        self.set_diff(self._source(values).to(self.tensor.device))

    def _source(self, values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.array(values, dtype=np.float32).reshape(self._shape))
