"""BPF output on demand: a program that sends a payload of any size into a perf event array.

The program is a raw tracepoint that is attached to nothing; BPF_PROG_TEST_RUN runs it on the CPU asked
for, and it calls bpf_perf_event_output(2) for that CPU's slot. Opcodes and numbers as in linux/bpf.h.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from types import TracebackType

from perfring._libc import libc

MAP_CREATE, MAP_UPDATE_ELEM, PROG_LOAD, OBJ_PIN, PROG_TEST_RUN, OBJ_GET_INFO_BY_FD = 0, 2, 5, 6, 10, 15
MAP_TYPE_ARRAY, MAP_TYPE_PERF_EVENT_ARRAY = 2, 4
PROG_TYPE_RAW_TRACEPOINT = 17
RUN_ON_CPU = 1
MAP_LOOKUP, PERF_EVENT_OUTPUT = 1, 25
# A record holds 65516 bytes of BPF output when the sample has nothing but RAW: header 8, size 4, sum at most
# 65528 (K5). Longer payloads wrap the header's u16 size (measured on 6.18): 65517 gives a record of size 0,
# so head stays, and 65535 one of 16 bytes whose raw size lies. A test that wants a corrupt ring has it here.
LARGEST_RECORDED_PAYLOAD = 65516
LARGEST_PAYLOAD = 0xFFFF


def bpf(command: int, attr: bytes) -> tuple[int, bytes]:
    """bpf(2): its result, and the attr as the kernel left it."""
    buffer = ctypes.create_string_buffer(attr, len(attr))
    return libc().bpf(command, buffer), buffer.raw


def _address(buffer: ctypes.Array[ctypes.c_char]) -> int:
    return ctypes.addressof(buffer)


def create_map(kind: int, value_bytes: int, entries: int) -> int:
    return bpf(MAP_CREATE, struct.pack("=5I", kind, 4, value_bytes, entries, 0))[0]


def _insn(code: int, dst: int = 0, src: int = 0, off: int = 0, imm: int = 0) -> bytes:
    registers = src << 4 | dst if sys.byteorder == "little" else dst << 4 | src
    return struct.pack("=BBhi", code, registers, off, imm)


def _load_map(dst: int, fd: int) -> bytes:
    return _insn(0x18, dst, src=1, imm=fd) + _insn(0)


def _program(output_map: int, payload_map: int) -> bytes:
    """``r = lookup(payload, 0); return perf_event_output(ctx, output, this cpu, r, ctx[0] & 0xffff)``."""
    return b"".join(
        (
            _insn(0xBF, 6, 1),  # r6 = ctx
            _insn(0x79, 7, 6),  # r7 = ctx[0], the size
            _insn(0x62, 10, off=-4),  # the key on the stack: 0
            _insn(0xBF, 2, 10),
            _insn(0x07, 2, imm=-4),
            _load_map(1, payload_map),
            _insn(0x85, imm=MAP_LOOKUP),
            _insn(0x55, 0, off=1),  # the verifier wants the test: skip the exit unless r0 is 0
            _insn(0x95),
            _insn(0x57, 7, imm=LARGEST_PAYLOAD),
            _insn(0xBF, 1, 6),
            _load_map(2, output_map),
            _insn(0xB4, 3, imm=-1),  # BPF_F_CURRENT_CPU
            _insn(0xBF, 4, 0),
            _insn(0xBF, 5, 7),
            _insn(0x85, imm=PERF_EVENT_OUTPUT),
            _insn(0x95),
        )
    )


def load_program(instructions: bytes) -> int:
    """BPF_PROG_LOAD; the verifier's log is in the error."""
    code = ctypes.create_string_buffer(instructions, len(instructions))
    licence = ctypes.create_string_buffer(b"GPL")  # bpf_perf_event_output is for such programs only
    log = ctypes.create_string_buffer(1 << 16)
    attr = struct.pack(
        "=IIQQIIQII",
        PROG_TYPE_RAW_TRACEPOINT,
        len(instructions) // 8,
        _address(code),
        _address(licence),
        1,
        len(log),
        _address(log),
        0,
        0,
    )
    try:
        return bpf(PROG_LOAD, attr)[0]
    except OSError as refused:
        refused.add_note(log.value.decode(errors="replace"))
        raise


class BpfOutput:
    """A perf event array, and a program that writes into it.

    ``emit`` returns what bpf_perf_event_output did: 0, or a negative errno such as -ENOENT for a slot
    that is empty and -ENOSPC for a ring that is full.
    """

    def __init__(self, *, slots: int) -> None:
        self.map_fd = create_map(MAP_TYPE_PERF_EVENT_ARRAY, 4, slots)
        self._payload_fd = create_map(MAP_TYPE_ARRAY, LARGEST_PAYLOAD + 1, 1)
        self._program_fd = load_program(_program(self.map_fd, self._payload_fd))

    def emit(self, payload: bytes, *, cpu: int) -> int:
        assert len(payload) <= LARGEST_PAYLOAD
        self._set_payload(payload)
        context = ctypes.create_string_buffer(struct.pack("=Q", len(payload)), 8)
        attr = struct.pack(
            "=4I2Q4I2Q3I4x",
            *(self._program_fd, 0, 0, 0, 0, 0, 0, 0, len(context), 0, _address(context), 0, RUN_ON_CPU, cpu, 0),
        )
        answer = bpf(PROG_TEST_RUN, attr)[1]
        (result,) = struct.unpack_from("=i", answer, 4)
        return int(result)

    def _set_payload(self, payload: bytes) -> None:
        key = ctypes.create_string_buffer(4)
        value = ctypes.create_string_buffer(payload, LARGEST_PAYLOAD + 1)
        bpf(MAP_UPDATE_ELEM, struct.pack("=I4xQQQ", self._payload_fd, _address(key), _address(value), 0))

    def map_id(self) -> int:
        info = ctypes.create_string_buffer(80)
        bpf(OBJ_GET_INFO_BY_FD, struct.pack("=IIQ", self.map_fd, len(info), _address(info)))
        (number,) = struct.unpack_from("=I", info, 4)
        return int(number)

    def pin(self, path: str) -> None:
        name = ctypes.create_string_buffer(os.fsencode(path))
        bpf(OBJ_PIN, struct.pack("=QII", _address(name), self.map_fd, 0))

    def close(self) -> None:
        for fd in (self._program_fd, self._payload_fd, self.map_fd):
            os.close(fd)

    def __enter__(self) -> BpfOutput:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
