"""Attributes that scripts can only read, as in pycaffe: assigning one raises AttributeError.

A script that assigns ``net.blobs`` meant ``net.blobs["data"].data[...]``; an assignment without an
error would have no effect on what is computed.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")


class SetOnce(Generic[T]):
    """An attribute that is set once, when its object is made."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, of: None, owner: type) -> SetOnce[T]: ...

    @overload
    def __get__(self, of: Any, owner: type) -> T: ...

    def __get__(self, of: Any, owner: type) -> Any:
        if of is None:
            return self
        try:
            return of.__dict__[self._name]
        except KeyError:
            raise AttributeError(f"{type(of).__name__} has no {self._name} yet") from None

    def __set__(self, of: Any, value: T) -> None:
        if self._name in of.__dict__:
            raise AttributeError(f"can't set attribute '{self._name}' of {type(of).__name__}")
        of.__dict__[self._name] = value

    def __delete__(self, of: Any) -> None:
        raise AttributeError(f"can't delete attribute '{self._name}' of {type(of).__name__}")
