"""What a `LinuxActor` runs: takes orders over a socket, one line of JSON each, and answers ``[result, error]``.

Run as a script by a bare interpreter; it imports nothing of the project.
"""

from __future__ import annotations

import json
import mmap
import os
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable
from typing import Any, NoReturn


def prepare() -> None:
    import ctypes

    # PR_SET_CHILD_SUBREAPER: the children of those that are gone are reaped here, where SIGCHLD is ignored.
    ctypes.CDLL(None).prctl(36, ctypes.c_long(1))
    rename("actor")


def pin(cpu: int) -> None:
    os.sched_setaffinity(0, {cpu})


def getppid(times: int) -> None:
    call = os.getppid
    for _ in range(times):
        call()


def rename(comm: str) -> None:
    # Writing /proc/self/comm does what prctl(PR_SET_NAME) does, and needs no ctypes in this process.
    with open("/proc/self/comm", "w") as file:
        file.write(comm or "\0")  # to write nothing would be no call at all


def map_executable(path: str, length: int) -> None:
    with open(path, "rb") as file:
        _keep.append(mmap.mmap(file.fileno(), length, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_EXEC))


def touch_pages(n: int) -> None:
    memory = mmap.mmap(-1, n * mmap.PAGESIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for page in range(n):
        memory[page * mmap.PAGESIZE] = 1
    _keep.append(memory)


def spend(ns: int) -> None:
    end = time.thread_time_ns() + ns
    while time.thread_time_ns() < end:
        pass


def emit(bpf_call: int, length: int, program_fd: int) -> int:
    """BPF_PROG_TEST_RUN in this task, on the CPU it is on; what bpf_perf_event_output said."""
    import ctypes

    context = ctypes.create_string_buffer(struct.pack("=Q", length), 8)
    words = (program_fd, 0, 0, 0, 0, 0, 0, 0, len(context), 0, ctypes.addressof(context), 0, 0, 0, 0)
    attr = ctypes.create_string_buffer(struct.pack("=4I2Q4I2Q3I4x", *words), 80)
    long = ctypes.c_long  # what syscall(2) takes; ctypes would pass ints
    failed = ctypes.CDLL(None, use_errno=True).syscall(long(bpf_call), long(10), attr, long(len(attr)))
    os.close(program_fd)
    if failed:
        raise OSError(ctypes.get_errno(), "BPF_PROG_TEST_RUN")
    return int(struct.unpack_from("=i", attr, 4)[0])


def switch() -> None:
    time.sleep(1e-6)


def fork(control: socket.socket, child_fd: int) -> int:
    pid = os.fork()
    if not pid:
        control.close()
        serve(socket.socket(fileno=child_fd))
    os.close(child_fd)
    return pid


def exec_(control: socket.socket, path: str, interpreter: str, script: str) -> None:
    # argv[0] tells the interpreter where its library is, while the kernel names the process after the path.
    os.set_inheritable(control.fileno(), True)
    os.execv(path, [interpreter, "-I", "-S", script, str(control.fileno()), "answer"])


def exit_(status: int) -> NoReturn:
    os._exit(status)


_NEEDS_CONTROL = (fork, exec_)
_keep: list[object] = []
_ORDERS: dict[str, Callable[..., Any]] = {
    "prepare": prepare,
    "pin": pin,
    "getppid": getppid,
    "rename": rename,
    "map_executable": map_executable,
    "touch_pages": touch_pages,
    "spend": spend,
    "emit": emit,
    "switch": switch,
    "fork": fork,
    "exec": exec_,
    "exit": exit_,
}


def carry_out(control: socket.socket, order: str, arguments: list[Any]) -> tuple[object, list[object] | None]:
    action = _ORDERS[order]
    if action in _NEEDS_CONTROL:
        arguments = [control, *arguments]
    try:
        return action(*arguments), None
    except OSError as error:
        return None, [error.errno, error.strerror]


def serve(control: socket.socket) -> NoReturn:
    waiting = b""
    while True:
        received, fds, _, _ = socket.recv_fds(control, 1 << 16, 1)
        if not received:
            os._exit(0)
        waiting += received
        if waiting.endswith(b"\n"):
            order, *arguments = json.loads(waiting)
            waiting = b""
            control.sendall(json.dumps(carry_out(control, order, [*arguments, *fds])).encode() + b"\n")


if __name__ == "__main__":
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # forked actors leave no zombies
    connection = socket.socket(fileno=int(sys.argv[1]))
    if len(sys.argv) > 2:
        connection.sendall(b"[null, null]\n")  # the answer to the order that executed this program
    serve(connection)
