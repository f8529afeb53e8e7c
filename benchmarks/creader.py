"""C loops over an image: our own with a callback for each record, and libbpf's."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from types import TracebackType
from typing import Self

from benchmarks.compiling import build
from benchmarks.measuring import UnavailableError
from simkernel.contract.gate import GATE, gate_state

ON_RECORD = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint32)
"""What is called for each record: context, the record, its size."""


class CReader:
    """``creader.c``.

    Raises:
        UnavailableError: it cannot be built.
    """

    def __init__(self) -> None:
        library = ctypes.CDLL(str(build("creader", "-shared", "-fPIC")))
        self._read = library.read_image
        self._read.argtypes = [
            *(ctypes.c_char_p, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_void_p, ctypes.c_void_p),
            ctypes.POINTER(ctypes.c_uint64),
        ]
        self._read.restype = ctypes.c_uint64
        self._add_up = ctypes.cast(library.add_up, ctypes.c_void_p)

    def add_up(self, image: bytes, passes: int = 1) -> int:
        """Reads the image with a C callback, which adds up the first word of each record.

        Returns:
            the records of all passes.
        """
        return self._each(image, passes, self._add_up)

    def call(self, image: bytes, callback: Callable[[int | None, int, int], None], passes: int = 1) -> int:
        """Reads it with a Python callback, called with context, address and size of each record, as BCC does.

        Returns:
            the records of all passes.
        """
        wrapped = ON_RECORD(callback)
        return self._each(image, passes, ctypes.cast(wrapped, ctypes.c_void_p))

    def _each(self, image: bytes, passes: int, callback: ctypes.c_void_p) -> int:
        count, total = ctypes.c_uint64(), ctypes.c_uint64()
        self._read(image, len(image), passes, callback, ctypes.byref(total), ctypes.byref(count))
        return count.value


class LibbpfReader:
    """``libbpfreader.c``: libbpf's reader over a ring that holds one image. Use it as a context manager.

    Args:
        image: whole records.

    Raises:
        UnavailableError: no libbpf to build with, or the kernel does not let this user make its perf buffer.
    """

    def __init__(self, image: bytes) -> None:
        if gate_state() == "0":
            raise UnavailableError(f"{GATE}=0 leaves the real kernel alone")
        library = _libbpf_library()
        pages = 1 << max((len(image) - 1).bit_length() - os.sysconf("SC_PAGESIZE").bit_length() + 1, 0)
        self._read, self._close = library.read_ring, library.close_reader
        library.open_reader.restype = ctypes.c_void_p
        library.open_reader.argtypes = [ctypes.c_char_p, ctypes.c_uint64, ctypes.c_uint64]
        self._read.restype = ctypes.c_uint64
        self._read.argtypes = [ctypes.c_void_p, ctypes.c_uint64, ctypes.POINTER(ctypes.c_uint64)]
        self._close.restype, self._close.argtypes = None, [ctypes.c_void_p]
        self._reader: int | None = library.open_reader(image, len(image), pages)
        if self._reader is None:
            why = os.strerror(ctypes.get_errno())
            raise UnavailableError(f"libbpf cannot open a perf buffer of {pages} pages: {why}; it takes root")

    def read(self, passes: int = 1) -> int:
        """Reads the image. Returns the records of all passes."""
        if self._reader is None:
            raise ValueError("the reader is closed")
        count = ctypes.c_uint64()
        self._read(self._reader, passes, ctypes.byref(count))
        return count.value

    def close(self) -> None:
        """Frees the buffer. Idempotent."""
        reader, self._reader = self._reader, None
        if reader is not None:
            self._close(reader)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _libbpf_library() -> ctypes.CDLL:
    try:
        return ctypes.CDLL(str(build("libbpfreader", "-shared", "-fPIC", "-lbpf")), use_errno=True)
    except UnavailableError as refused:
        raise UnavailableError(f"{refused}; Debian has it in libbpf-dev") from refused
