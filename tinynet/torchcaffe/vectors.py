"""pycaffe's vectors: the lists of nets, layers and solvers as scripts see them (``_caffe.cpp``).

They are sequences of one type and refuse at once what a Python list would accept and let fail
later: a script that assigns an array to ``net.params["ip"][0]`` meant to set the blob's values.
A Vector is a view of the list it is given, so that a permitted assignment takes effect.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar, TypeVar, overload

from tinynet.torchcaffe.blob import Blob

T = TypeVar("T")


class Vector(Sequence[T]):
    """A sequence of ``holds``, of fixed length once ``fix`` was called.

    It has pycaffe's methods and no others: no ``pop``, ``insert``, ``remove`` or ``+``.
    """

    #: the types that an item may have; if there are none, items cannot be set
    holds: ClassVar[tuple[type, ...]] = ()
    #: the end of the message for a wrong item: what to do instead
    instead: ClassVar[str] = ""

    def __init__(self, items: list[T] | None = None, fixed: bool = False) -> None:
        self._items: list[T] = [] if items is None else items
        self._fixed = fixed

    def fix(self) -> None:
        """Fix the length from now on."""
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
        """Raise TypeError, as pycaffe does, unless ``item`` may take the place of ``old``."""
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
            # pycaffe accepts it, and its layer then reads beyond the blob
            raise TypeError(
                f"a blob of shape {item.shape} cannot take the place of one of {old.shape}"
            )


class RawBlobVec(BlobVec):
    """The bottoms or the tops that a Python layer gets."""


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
