"""K20, K38 to K41: signals, ioctl(2), read(2) and write(2) on an event."""

from __future__ import annotations

import struct
import sys
from errno import EBADF, EEXIST, EFAULT, EINVAL, ENOSPC, ENOTTY, EOPNOTSUPP

from perfring import abi
from simkernel.contract.raw import RawRing
from simkernel.contract.rig import Rig, expect, refused, require, types
from simkernel.contract.suite import check

# linux/fcntl.h and asm-generic/siginfo.h; other systems have no fcntl, or other numbers.
_F_SETFL, _F_SETOWN, _F_SETSIG = 4, 8, 10
_O_ASYNC = 0o20000
_REALTIME = 40
_POLL_IN, _POLL_HUP = 1, 6


def _signalling(rig: Rig, fd: int) -> None:
    """Has overflows of this event queue a realtime signal."""
    rig.kernel.fcntl(fd, _F_SETOWN, rig.arm.own_pid)
    rig.kernel.fcntl(fd, _F_SETSIG, _REALTIME)
    rig.kernel.fcntl(fd, _F_SETFL, _O_ASYNC)


def _codes(rig: Rig, fd: int) -> list[int]:
    sent = rig.kernel.take_signals()
    require(all(each.fd == fd for each in sent), f"signals {sent} of another fd than {fd}")
    return [each.code for each in sent]


@check("K20")
def check_every_sample_signals_whatever_the_watermark(rig: Rig) -> None:
    ring = rig.ring(rig.waking(4000))
    _signalling(rig, ring.fd)
    rig.actor.getppid(3)
    expect(_codes(rig, ring.fd), [_POLL_IN] * 3, "signals of three samples far below the watermark")


@check("K20")
def check_without_a_ring_samples_signal_all_the_same(rig: Rig) -> None:
    fd = rig.open(rig.samples())
    _signalling(rig, fd)
    rig.actor.getppid()
    expect(_codes(rig, fd), [_POLL_IN], "signals of a sample of an event without a ring")


@check("K20")
def check_without_o_async_nothing_signals(rig: Rig) -> None:
    rig.ring(rig.samples())
    rig.actor.getppid(3)
    expect(rig.kernel.take_signals(), [], "signals that nobody asked for")


@check("K20")
def check_signals_are_taken_once(rig: Rig) -> None:
    ring = rig.ring(rig.waking(4000))
    _signalling(rig, ring.fd)
    rig.actor.getppid()
    expect([len(_codes(rig, ring.fd)), len(_codes(rig, ring.fd))], [1, 0], "signals taken, and those taken afterwards")


@check("K39")
def check_after_n_overflows_the_event_is_disabled_and_one_signal_says_hup(rig: Rig) -> None:
    ring = rig.ring(rig.samples(disabled=True))
    _signalling(rig, ring.fd)
    rig.control(ring.fd, abi.PERF_EVENT_IOC_REFRESH, 3)
    rig.actor.getppid(5)
    expect(ring.head, 48, "head after REFRESH(3) and five calls")
    # 6.18 sends one more POLL_IN for each overflow, the last one's behind its POLL_HUP.
    codes = _codes(rig, ring.fd)
    expect((codes[:1], codes.count(_POLL_HUP)), ([_POLL_IN], 1), "the first signal, and how many said POLL_HUP")
    require(_POLL_HUP in codes[-2:], f"POLL_HUP is not of the last overflow: {codes}")


@check("K39")
def check_refresh_adds_to_what_is_left(rig: Rig) -> None:
    ring = rig.ring(rig.samples(disabled=True))
    rig.control(ring.fd, abi.PERF_EVENT_IOC_REFRESH, 1)
    rig.control(ring.fd, abi.PERF_EVENT_IOC_REFRESH, 2)
    rig.actor.getppid(5)
    expect(ring.head, 48, "head after REFRESH(1), REFRESH(2) and five calls")


@check("K38", name=["REFRESH", "PERIOD"])
def check_refresh_and_period_are_for_sampling_events(rig: Rig, name: str) -> None:
    fd = rig.open(rig.software(abi.PERF_COUNT_SW_CPU_CLOCK))
    argument = 1 if name == "REFRESH" else struct.pack("=Q", 5)
    with refused(f"{name} of an event that does not sample", EINVAL):
        rig.kernel.ioctl(fd, getattr(abi, f"PERF_EVENT_IOC_{name}"), argument)


@check("K38", period=[0, 1 << 63, (1 << 64) - 1])
def check_a_period_of_0_or_with_the_top_bit_is_refused(rig: Rig, period: int) -> None:
    fd = rig.open(rig.samples())
    with refused(f"a period of {period}", EINVAL):
        rig.kernel.ioctl(fd, abi.PERF_EVENT_IOC_PERIOD, struct.pack("=Q", period))


@check("K38")
def check_a_new_period_is_used(rig: Rig) -> None:
    ring = rig.ring(rig.samples(sample_period=1))
    rig.control(ring.fd, abi.PERF_EVENT_IOC_PERIOD, struct.pack("=Q", 4))
    rig.actor.getppid(40)
    # The period that was running may still end.
    require(9 * 16 <= ring.head <= 11 * 16, f"head is {ring.head} after 40 calls with a new period of 4, not about 160")


@check("K38", name=["PERIOD", "ID", "SET_FILTER", "QUERY_BPF", "MODIFY_ATTRIBUTES"])
def check_a_null_pointer_is_refused(rig: Rig, name: str) -> None:
    fd = rig.open(rig.samples())
    with refused(f"{name} with NULL", EFAULT):
        rig.kernel.ioctl(fd, getattr(abi, f"PERF_EVENT_IOC_{name}"), 0)


@check("K38", name=["ENABLE", "DISABLE", "RESET"])
def check_enable_disable_and_reset_take_any_argument(rig: Rig, name: str) -> None:
    fd = rig.open(rig.software())
    for argument in (0, 1, 2):
        rig.control(fd, getattr(abi, f"PERF_EVENT_IOC_{name}"), argument)


@check("K38", pages=[None, 0])
def check_pausing_needs_a_data_area(rig: Rig, pages: int | None) -> None:
    fd = rig.open(rig.software())
    if pages is not None:
        rig.map(fd, pages)
    with refused("PAUSE_OUTPUT without data pages", EINVAL):
        rig.kernel.ioctl(fd, abi.PERF_EVENT_IOC_PAUSE_OUTPUT, 1)


@check("K38", text=[b"nosuchfield == 1\0", b"\0", b"0\0"])
def check_a_filter_the_kernel_cannot_read_is_refused(rig: Rig, text: bytes) -> None:
    fd = rig.open(rig.samples())
    with refused(f"the filter {text!r}", EINVAL):
        rig.kernel.ioctl(fd, abi.PERF_EVENT_IOC_SET_FILTER, text)


@check("K38")
def check_filters_are_for_tracepoints(rig: Rig) -> None:
    fd = rig.open(rig.software())
    with refused("a filter of a software event", EINVAL):
        rig.kernel.ioctl(fd, abi.PERF_EVENT_IOC_SET_FILTER, b"common_pid != 0\0")


@check("K38", passes=[True, False])
def check_a_filter_is_obeyed(rig: Rig, passes: bool) -> None:
    ring = rig.ring(rig.samples())
    text = f"common_pid {'==' if passes else '!='} {rig.actor.pid}\0".encode()
    rig.control(ring.fd, abi.PERF_EVENT_IOC_SET_FILTER, text)
    rig.actor.getppid(3)
    expect(ring.head, 48 if passes else 0, f"head after three calls, with the filter {text!r}")


@check("K38")
def check_a_second_filter_is_refused(rig: Rig) -> None:
    fd = rig.open(rig.samples())
    rig.control(fd, abi.PERF_EVENT_IOC_SET_FILTER, b"common_pid != 0\0")
    with refused("a second filter", EEXIST):
        rig.kernel.ioctl(fd, abi.PERF_EVENT_IOC_SET_FILTER, b"common_pid != 1\0")


@check("K38")
def check_bpf_queries_are_for_tracepoints(rig: Rig) -> None:
    fd = rig.open(rig.software())
    with refused("QUERY_BPF of a software event", EINVAL):
        rig.kernel.ioctl(fd, abi.PERF_EVENT_IOC_QUERY_BPF, bytearray(8))


@check("K38")
def check_modify_attributes_is_for_breakpoints(rig: Rig) -> None:
    fd = rig.open(attr := rig.samples())
    with refused("MODIFY_ATTRIBUTES of a tracepoint", EOPNOTSUPP):
        rig.kernel.ioctl(fd, abi.PERF_EVENT_IOC_MODIFY_ATTRIBUTES, attr.pack())


@check("K38", request=[0x2450, 0x5401, 0x541B])
def check_an_unknown_request_is_refused(rig: Rig, request: int) -> None:
    fd = rig.open(rig.software())
    with refused(f"the request {request:#x}", ENOTTY):
        rig.kernel.ioctl(fd, request)


@check("K38")
def check_write_is_refused(rig: Rig) -> None:
    fd = rig.open(rig.software())
    with refused("write(2)", EINVAL):
        rig.kernel.write(fd, b"x")


@check("K38")
def check_each_event_has_an_id_of_its_own(rig: Rig) -> None:
    fds = [rig.open(rig.software(read_format=abi.PERF_FORMAT_ID)) for _ in range(3)]
    ids = [rig.id_of(fd) for fd in fds]
    expect(len({*ids, 0}), 4, "different ids of three events, and 0")
    expect([rig.counts(fd)[1] for fd in fds], ids, "ids that read(2) tells")


@check("K38", call=["ioctl", "read", "write", "close", "mmap"])
def check_a_closed_fd_is_refused(rig: Rig, call: str) -> None:
    fd = rig.open(rig.software())
    rig.close_fd(fd)
    arguments: dict[str, tuple[int | bytes, ...]] = {
        "ioctl": (abi.PERF_EVENT_IOC_ENABLE,),
        "read": (8,),
        "write": (b"x",),
        "close": (),
        "mmap": (2 * rig.kernel.page_size,),
    }
    with refused(f"{call} of a closed fd", EBADF):
        getattr(rig.kernel, call)(fd, *arguments[call])


@check("K40")
def check_a_disabled_event_emits_no_side_band(rig: Rig) -> None:
    ring = rig.ring(rig.software(comm=True, disabled=True))
    rig.actor.rename("silent")
    expect(ring.head, 0, "head of a disabled event after a renaming")
    rig.control(ring.fd, abi.PERF_EVENT_IOC_ENABLE)
    rig.actor.rename("heard")
    expect(types(ring.drain()), [abi.PERF_RECORD_COMM], "records after it was enabled")


@check("K40")
def check_a_disabled_event_neither_counts_nor_samples(rig: Rig) -> None:
    ring = rig.ring(rig.samples())
    rig.actor.getppid(2)
    rig.control(ring.fd, abi.PERF_EVENT_IOC_DISABLE)
    rig.actor.getppid(3)
    rig.control(ring.fd, abi.PERF_EVENT_IOC_ENABLE)
    rig.actor.getppid()
    expect((ring.head, rig.counts(ring.fd)), (48, (3,)), "head and count around a pause of the event")


def _family(rig: Rig, ring: RawRing) -> list[tuple[int, int]]:
    """Type and pid of each FORK and EXIT while a child comes and goes, and then its parent."""
    child = rig.actor.fork()
    child.exit()
    rig.arm.settle(lambda: _is_gone(rig, child.pid), "the child is gone")
    rig.actor.exit()
    names = {rig.actor.pid: 0, child.pid: 1}
    return [(record.type, names[record.unpack("I")[0]]) for record in ring.drain()]


def _is_gone(rig: Rig, pid: int) -> bool:
    try:
        rig.close_fd(rig.open(rig.software(), pid=pid))
    except ProcessLookupError:
        return True
    return False


@check("K40")
def check_without_inherit_a_childs_fork_is_recorded_and_its_exit_is_not(rig: Rig) -> None:
    ring = rig.ring(rig.software(task=True))
    want = [(abi.PERF_RECORD_FORK, 1), (abi.PERF_RECORD_EXIT, 0)]
    expect(_family(rig, ring), want, "FORK and EXIT of the parent (0) and a child (1) without inherit")


@check("K40")
def check_with_inherit_a_childs_exit_is_recorded(rig: Rig) -> None:
    ring = rig.ring(rig.software(task=True, inherit=True), cpu=rig.cpus[0])
    want = [(abi.PERF_RECORD_FORK, 1), (abi.PERF_RECORD_EXIT, 1), (abi.PERF_RECORD_EXIT, 0)]
    expect(_family(rig, ring), want, "FORK and EXIT of the parent (0) and a child (1) with inherit")


@check("K41", read_format=range(32))
def check_a_buffer_one_byte_short_is_refused(rig: Rig, read_format: int) -> None:
    fd = rig.open(rig.samples(read_format=read_format))
    needed = abi.read_format_size(read_format)
    expect(len(rig.kernel.read(fd, needed)), needed, f"bytes of a read with read_format {read_format:#x}")
    with refused("read(2) into a buffer one byte short", ENOSPC):
        rig.kernel.read(fd, needed - 1)


@check("K41")
def check_read_tells_no_more_than_was_asked_for(rig: Rig) -> None:
    fd = rig.open(rig.samples())
    rig.actor.getppid(7)
    expect(rig.kernel.read(fd, 4096), (7).to_bytes(8, sys.byteorder), "a read of an event that counted 7")


@check("K38")
def check_reset_sets_the_count_to_0(rig: Rig) -> None:
    fd = rig.open(rig.samples())
    rig.actor.getppid(7)
    rig.control(fd, abi.PERF_EVENT_IOC_RESET)
    rig.actor.getppid(2)
    expect(rig.counts(fd), (2,), "count after RESET and two calls")
