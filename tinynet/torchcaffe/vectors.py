"""pycaffe's vectors: what its nets, layers and solvers show of their lists (``_caffe.cpp``).

They are sequences of one type, and say at once what a Python list would take and let break later:
a script that assigns an array to ``net.params["ip"][0]`` meant the array's values to be the blob's.
A Vector shows the list that it is given, so that an assignment that is allowed takes effect.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar, TypeVar, overload

from tinynet.torchcaffe.blob import Blob

T = TypeVar("T")


class Vector(Sequence[T]):
    """A sequence of ``holds``, of fixed length once ``fix`` was called.

    It has the methods of pycaffe's and no others: no ``pop``, ``insert``, ``remove`` or ``+``.
    """

    #: the types of which an item may be; without any, items cannot be set at all
    holds: ClassVar[tuple[type, ...]] = ()
    #: what to do instead, in a message
    instead: ClassVar[str] = ""

    def __init__(self, items: list[T] | None = None, fixed: bool = False) -> None:
        self._items: list[T] = [] if items is None else items
        self._fixed = fixed

    def fix(self) -> None:
        """From now on the length cannot change."""
        self._fixed = True

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[T]:
        return iter(self._items)

    def __contains__(self, item: object) -> bool:
        return any(item is own for own in self._items) or (
            isinstance(item, self.holds) and item in self._items
        )

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> Vector[T]: ...

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)(self._items[index])
        return self._items[index]

    def __setitem__(self, index: int | slice, value: Any) -> None:
        if not isinstance(index, slice):
            old = self._items[index]
            self._require(value, old)
            self._items[index] = value
            return
        values: list[Any] = [value] if isinstance(value, self.holds) else list(value)
        replaced = self._items[index]
        if len(values) != len(replaced):
            self._require_free()
        for i, item in enumerate(values):
            self._require(item, replaced[i] if i < len(replaced) else None)
        self._items[index] = values

    def __delitem__(self, index: int | slice) -> None:
        self._require_free()
        del self._items[index]

    def append(self, item: T) -> None:
        self._require(item, None)
        self._require_free()
        self._items.append(item)

    def extend(self, items: Iterable[T]) -> None:
        for item in list(items):
            self.append(item)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._items!r})"

    def _require(self, item: Any, old: T | None) -> None:
        """Raise TypeError, as pycaffe does, for what may not take the place of ``old``."""
        if not isinstance(item, self.holds):
            names = " or ".join(kind.__name__ for kind in self.holds)
            rule = f"takes only items of type {names}" if names else "can only be read"
            raise TypeError(
                f"{type(self).__name__} {rule}; got {type(item).__name__}{self.instead}"
            )

    def _require_free(self) -> None:
        if self._fixed:
            raise TypeError(
                f"the length of this {type(self).__name__} is fixed once the net is made"
            )


class BlobVec(Vector[Blob]):
    """Blobs of a net, or a layer's parameters; ``add_blob(d0, d1, …)`` appends one of zeros."""

    holds = (Blob,)
    instead = "; to set a blob's values, write …[i].data[...] = values"

    def add_blob(self, *shape: int) -> None:
        self.append(Blob(shape))

    def _require(self, item: Any, old: Blob | None) -> None:
        super()._require(item, old)
        if old is not None and item.shape != old.shape:
            # pycaffe takes it, and its layer then reads beyond the blob
            raise TypeError(
                f"a blob of shape {item.shape} cannot take the place of one of {old.shape}"
            )


class RawBlobVec(BlobVec):
    """The bottoms or the tops that a Python layer is given."""


class LayerVec(Vector[Any]):
    """The layers of a net, in order."""

    instead = "; the layers of a net are what its prototxt says"


class StringVec(Vector[str]):
    holds = (str,)


class IntVec(Vector[int]):
    holds = (int,)


class DtypeVec(Vector[float]):
    holds = (float, int)


class BoolVec(Vector[bool]):
    holds = (bool,)
