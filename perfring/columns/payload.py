"""The payload of a tracepoint as a numpy dtype: its fields, where the kernel's format file says they lie."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from perfring.tracepoint import TracepointField, TracepointFormat

__all__ = ["dynamic_dtype", "payload_dtype"]


def payload_dtype(known: TracepointFormat) -> np.dtype[Any]:
    """The fixed part of the raw data, from its first byte to the end of its last field.

    Numbers are numbers, text of a fixed length is ``S16``, other arrays are sub-arrays, a struct by value is void. A
    field of no fixed length is here the u32 that tells where its data is.
    """
    fixed = [field for field in known.fields if not field.flexible]
    every = [*known.common, *fixed]
    return np.dtype(
        {
            "names": [field.name for field in fixed],
            "formats": [_dtype(field) for field in fixed],
            "offsets": [field.offset for field in fixed],
            "itemsize": max((field.offset + field.size for field in every), default=0),
        }
    )


def dynamic_dtype(field: TracepointField) -> np.dtype[Any]:
    """One element of a field of no fixed length; text is bytes."""
    return np.dtype("=u1") if field.item in ("", "s") else np.dtype(f"={field.item}")


def _dtype(field: TracepointField) -> Any:
    if field.dynamic:
        return "=u4"
    if not field.array:
        return f"={field.item}" if field.item else f"V{field.size}"
    if field.item == "s":
        return f"S{field.size}"
    element = np.dtype(f"={field.item}") if field.item else np.dtype("=u1")
    count = field.size // element.itemsize
    # What is over is padding that no element fills.
    return (element, (count,)) if count else f"V{field.size}"
