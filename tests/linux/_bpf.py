"""BPF output on demand: a program that sends a payload of any size into a perf event array.

The program is a raw tracepoint that is attached to nothing; BPF_PROG_TEST_RUN runs it on the CPU asked
for, and it calls bpf_perf_event_output(2) for that CPU's slot. Opcodes and numbers as in linux/bpf.h.
"""

from __future__ import annotations

import ctypes
import os
import struct
from types import TracebackType

from perfring._libc import libc
from simkernel.contract import linux_bpf
from simkernel.contract.linux_bpf import ARRAY, PERF_EVENT_ARRAY, create_map, load_program, output_program

MAP_UPDATE_ELEM, OBJ_PIN, PROG_TEST_RUN, OBJ_GET_INFO_BY_FD = 2, 6, 10, 15
RUN_ON_CPU = 1
# A record holds 65516 bytes of BPF output when the sample has nothing but RAW: header 8, size 4, sum at most
# 65528 (K5). Longer payloads wrap the header's u16 size (measured on 6.18): 65517 gives a record of size 0,
# so head stays, and 65535 one of 16 bytes whose raw size lies. A test that wants a corrupt ring has it here.
LARGEST_RECORDED_PAYLOAD = linux_bpf.LARGEST_PAYLOAD
LARGEST_PAYLOAD = 0xFFFF


def bpf(command: int, attr: bytes) -> tuple[int, bytes]:
    """bpf(2): its result, and the attr as the kernel left it."""
    buffer = ctypes.create_string_buffer(attr, len(attr))
    return libc().bpf(command, buffer), buffer.raw


def _address(buffer: ctypes.Array[ctypes.c_char]) -> int:
    return ctypes.addressof(buffer)


class BpfOutput:
    """A perf event array, and a program that writes into it.

    ``emit`` returns what bpf_perf_event_output did: 0, or a negative errno such as -ENOENT for a slot
    that is empty and -ENOSPC for a ring that is full.
    """

    def __init__(self, *, slots: int) -> None:
        self.map_fd = create_map(PERF_EVENT_ARRAY, 4, slots)
        self._payload_fd = create_map(ARRAY, LARGEST_PAYLOAD + 1, 1)
        self._program_fd = load_program(output_program(self.map_fd, self._payload_fd))

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
