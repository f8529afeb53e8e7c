"""BPF output on the real kernel: a program that an actor runs, and the perf event array it writes into.

The program is a raw tracepoint that is attached to nothing. BPF_PROG_TEST_RUN, called by the actor itself, runs it at
once and in the actor's own context, so that the sample tells the actor's pid and CPU. The payload waits in a map, for
it may be longer than any context. Opcodes and numbers as in ``linux/bpf.h``.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from typing import Final

from perfring._bpf import map_update
from perfring._libc import libc

__all__ = [
    "ARRAY",
    "LARGEST_PAYLOAD",
    "PERF_EVENT_ARRAY",
    "LinuxBpfOutput",
    "create_map",
    "load_program",
    "output_program",
]

LARGEST_PAYLOAD: Final = 65516
"""A sample of nothing but RAW then is the longest record, 65528 bytes (K5): header 8, size 4. Longer payloads wrap the
u16 size of the header, and the record lies."""

_MAP_CREATE, _MAP_UPDATE_ELEM, _PROG_LOAD = 0, 2, 5
ARRAY: Final = 2
"""BPF_MAP_TYPE_ARRAY."""
PERF_EVENT_ARRAY: Final = 4
"""BPF_MAP_TYPE_PERF_EVENT_ARRAY."""
_RAW_TRACEPOINT = 17
_MAP_LOOKUP, _PERF_EVENT_OUTPUT = 1, 25
_ROOM = 1 << 16


def _bpf(command: int, attr: bytes) -> int:
    return libc().bpf(command, ctypes.create_string_buffer(attr, len(attr)))


def _insn(code: int, dst: int = 0, src: int = 0, off: int = 0, imm: int = 0) -> bytes:
    registers = src << 4 | dst if sys.byteorder == "little" else dst << 4 | src
    return struct.pack("=BBhi", code, registers, off, imm)


def _load_map(dst: int, fd: int) -> bytes:
    return _insn(0x18, dst, src=1, imm=fd) + _insn(0)


def create_map(kind: int, value_bytes: int, entries: int) -> int:
    """BPF_MAP_CREATE with keys of 4 bytes: a new fd. Raises OSError: EPERM without CAP_BPF."""
    return _bpf(_MAP_CREATE, struct.pack("=5I", kind, 4, value_bytes, entries, 0))


def output_program(output: int, payload: int) -> bytes:
    """``p = lookup(payload, 0); return perf_event_output(ctx, output, this cpu, p, ctx[0] & 0xffff)``."""
    return b"".join(
        (
            _insn(0xBF, 6, 1),  # r6 = ctx
            _insn(0x79, 7, 6),  # r7 = ctx[0], the size
            _insn(0x62, 10, off=-4),  # the key on the stack: 0
            _insn(0xBF, 2, 10),
            _insn(0x07, 2, imm=-4),
            _load_map(1, payload),
            _insn(0x85, imm=_MAP_LOOKUP),
            _insn(0x55, 0, off=1),  # the verifier wants the test: skip the exit unless r0 is 0
            _insn(0x95),
            _insn(0x57, 7, imm=_ROOM - 1),
            _insn(0xBF, 1, 6),
            _load_map(2, output),
            _insn(0xB4, 3, imm=-1),  # BPF_F_CURRENT_CPU
            _insn(0xBF, 4, 0),
            _insn(0xBF, 5, 7),
            _insn(0x85, imm=_PERF_EVENT_OUTPUT),
            _insn(0x95),
        )
    )


def load_program(instructions: bytes) -> int:
    """BPF_PROG_LOAD of a raw tracepoint: a new fd. Raises OSError, with the verifier's log as a note."""
    code = ctypes.create_string_buffer(instructions, len(instructions))
    licence = ctypes.create_string_buffer(b"GPL")  # the kernel keeps bpf_perf_event_output for such programs
    log = ctypes.create_string_buffer(1 << 16)
    where = ctypes.addressof
    numbers = (_RAW_TRACEPOINT, len(instructions) // 8, where(code), where(licence), 1, len(log), where(log), 0, 0)
    try:
        return _bpf(_PROG_LOAD, struct.pack("=IIQQIIQII", *numbers))
    except OSError as refused:
        refused.add_note(log.value.decode(errors="replace"))
        raise


class LinuxBpfOutput:
    """A perf event array, and the program that writes into it.

    The array forgets its events when the *file* that put them there is closed, so `close` disconnects them all.

    Args:
        slots: one for each CPU: the highest id and one more.

    Attributes:
        program_fd: what BPF_PROG_TEST_RUN runs; its context is one u64, the length of the payload.

    Raises:
        OSError: EPERM, CAP_BPF and CAP_PERFMON are missing; EINVAL, the kernel is older than 5.10.
    """

    def __init__(self, slots: int) -> None:
        self._array_fd = create_map(PERF_EVENT_ARRAY, 4, slots)
        self._payload_fd = create_map(ARRAY, _ROOM, 1)
        self.program_fd = load_program(output_program(self._array_fd, self._payload_fd))

    def connect(self, fd: int, cpu: int) -> None:
        """What actors emit on this CPU goes to this event from now on. An `inherit` event is refused: EINVAL."""
        map_update(self._array_fd, cpu, fd)

    def set_payload(self, payload: bytes) -> None:
        """What the next run of the program sends."""
        key = ctypes.create_string_buffer(4)
        value = ctypes.create_string_buffer(payload, _ROOM)
        where = ctypes.addressof
        _bpf(_MAP_UPDATE_ELEM, struct.pack("=I4xQQQ", self._payload_fd, where(key), where(value), 0))

    def close(self) -> None:
        """Closes program and maps, once."""
        fds = self.program_fd, self._payload_fd, self._array_fd
        self.program_fd = self._payload_fd = self._array_fd = -1
        for fd in fds:
            if fd >= 0:
                os.close(fd)
