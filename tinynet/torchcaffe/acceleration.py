"""The only interface between the engine and ``fast/``, which computes the same in less time.

The engine is complete without ``fast/`` and imports nothing from it.  It asks here:

``stand_in``    which class to instantiate for a type (``create_layer``, ``create_solver``);
``offered``     which functions ``extensions`` has besides its own.

A module of ``fast/`` registers what it offers with the decorators ``stands_in_for`` and
``extension``.  The switch is ``CONTEXT.fast``: on, unless the environment says
``TINYNET_FAST=0`` or a script calls ``extensions.set_fast(False)``.  It is read when a net or a
solver is made.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable
from typing import Any, TypeVar

from tinynet.torchcaffe.context import CONTEXT

T = TypeVar("T")

_STAND_INS: dict[type[Any], type[Any]] = {}
_EXTENSIONS: dict[str, Callable[..., Any]] = {}


# ------------------------------------------------------------------------------ for the engine


def stand_in(plain: type[T]) -> type[T]:
    """The class to instantiate for ``plain``: a faster subclass, or ``plain`` itself."""
    return _STAND_INS.get(plain, plain) if _loaded() else plain


def offered(name: str) -> Callable[..., Any] | None:
    """The extension called ``name``; None if there is none or ``fast/`` is switched off."""
    return _EXTENSIONS.get(name) if _loaded() else None


def _loaded() -> bool:
    if CONTEXT.fast:
        _load()
    return CONTEXT.fast


@functools.cache
def _load() -> None:
    """Import every module of ``fast``, so that each registers what it offers."""
    package = importlib.import_module("tinynet.torchcaffe.fast")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")


# ----------------------------------------------------------------------------------- for fast/


def stands_in_for(plain: type[Any]) -> Callable[[type[T]], type[T]]:
    """Class decorator: instantiate this subclass of ``plain`` wherever ``plain`` is asked for."""

    def add(faster: type[T]) -> type[T]:
        assert issubclass(faster, plain) and plain not in _STAND_INS, faster
        _STAND_INS[plain] = faster
        faster.__name__ = plain.__name__  # a script that prints a solver's type sees Caffe's
        return faster

    return add


def extension(name: str) -> Callable[[type[T]], type[T]]:
    """Class decorator: offer the class in ``caffe.extensions`` as a function called ``name``."""

    def add(offered: type[T]) -> type[T]:
        _EXTENSIONS[name] = offered
        return offered

    return add
