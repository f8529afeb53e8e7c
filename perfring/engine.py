"""Which engine takes records apart into columns: compiled, or in Python; the two give the same.

The environment variable ``PERFRING_ENGINE`` chooses: ``compiled`` must be there, ``python`` does without it; unset
takes the compiled one where it was built. `perfring doctor` says which is in use.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from perfring.errors import Unsupported

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

__all__ = ["ENGINES", "Core", "core", "engine_name", "is_built", "using", "why_python"]

ENGINES: Final = ("compiled", "python")
_VARIABLE: Final = "PERFRING_ENGINE"
_INTERFACE: Final = 3
"""Of the compiled functions: as in _core.c. An editable install may find a library that was built of older sources."""


class Core(Protocol):
    """What is compiled: ``perfring._core``, whose ``INTERFACE`` is ours.

    Buffers are contiguous; each function checks the sizes that it is given.
    """

    def load_acquire(self, words: Any, offset: int) -> int:
        """The u64 at a byte offset; what is read later is not older."""
        ...

    def store_release(self, words: Any, offset: int, value: int) -> None:
        """Writes the u64; what was read before is not newer."""
        ...

    def take_items(self, data: Any, starts: Any, at: int, item: int, pool: list[bytearray]) -> tuple[Any, Any, int]:
        """Copies the items of parts that have their count in front: see `perfring.columns.gather`."""
        ...

    def take_text(self, data: Any, starts: Any, at: int, trailer: int, pool: list[bytearray]) -> tuple[Any, Any, int]:
        """Copies names."""
        ...

    def take_rows(self, data: Any, starts: Any, size: int, into: Any) -> None:
        """Copies ``size`` bytes from each start."""
        ...

    def take_spans(self, data: Any, starts: Any, shift: int, edges: Any, item: int, into: Any) -> None:
        """Copies items from behind each start."""
        ...

    def catalogue(self, *tables: Any) -> Any:
        """What is known of the records, as `walk` takes it: see `perfring.columns.catalogue`."""
        ...

    def walk(self, data: Any, length: int, catalogue: Any, pool: list[bytearray]) -> tuple[Any, ...]:
        """Finds the records of an image: see `perfring.columns.walk`."""
        ...

    def take_buffer(self, pool: list[bytearray], size: int) -> bytearray:
        """See `perfring.columns.memory`."""
        ...


_chosen: list[str] = []


def core() -> Core | None:
    """The compiled functions, or None where the engine in Python is in use.

    Raises:
        Unsupported: ``PERFRING_ENGINE`` asks for what is not there, or for what does not exist.
    """
    name = _chosen[-1] if _chosen else _asked()
    if name == "python":
        return None
    found = _load()
    if found is None and name == "compiled":
        raise Unsupported(
            f"{_VARIABLE} is 'compiled', but this perfring was installed without its compiled part: install it anew "
            f"where there is a C compiler (PERFRING_BUILD=compiled pip install ... says what is missing), or unset "
            f"{_VARIABLE}"
        )
    return found


def is_built() -> bool:
    """Whether the compiled engine is there."""
    return _load() is not None


def engine_name() -> str:
    """One of `ENGINES`: which is in use."""
    return "python" if core() is None else "compiled"


def why_python() -> str:
    """Why the engine in Python is in use; "" when it is not."""
    if engine_name() == "compiled":
        return ""
    if is_built():
        return f"{_VARIABLE} says so"
    if _find() is not None:
        return "the compiled one was built of other sources than these: install perfring anew"
    return "the compiled one was not built: there was no C compiler, or PERFRING_BUILD said so"


@contextmanager
def using(name: str) -> Iterator[None]:
    """Chooses an engine for the length of a block, whatever the environment says: for tests and benchmarks.

    Raises:
        Unsupported: not one of `ENGINES`.
    """
    _chosen.append(_checked(name, "the engine"))
    try:
        yield
    finally:
        _chosen.pop()


@cache
def _asked() -> str:
    name = os.environ.get(_VARIABLE, "")
    return _checked(name, _VARIABLE) if name else ""


def _checked(name: str, what: str) -> str:
    if name not in ENGINES:
        raise Unsupported(f"{what} is {name!r}: it must be one of {', '.join(ENGINES)}")
    return name


@cache
def _load() -> Core | None:
    found = _find()
    return cast("Core", found) if getattr(found, "INTERFACE", 1) == _INTERFACE else None


def _find() -> ModuleType | None:
    try:
        return import_module("perfring._core")
    except ImportError:
        return None
