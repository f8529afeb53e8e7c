"""K29, K30: what perf_event_open(2) accepts and refuses."""

from __future__ import annotations

import struct
from errno import E2BIG, EBADF, EINVAL, ENOENT, ESRCH
from typing import Any

from perfring import abi
from simkernel.contract.rig import Rig, expect, refused, require
from simkernel.contract.suite import check

_UNKNOWN = 200
"""An attr.size beyond that of every kernel so far."""


@check("K29", size=[0, 64, 72, 80, 96, 104, 112, 120])
def check_the_published_sizes_are_accepted(rig: Rig, size: int) -> None:
    attr = rig.software(size=size)
    rig.open(attr)
    expect(attr.size, size, "attr.size after opening")


@check("K29", size=[1, 63, 4097, 0xFFFF_FFFF])
def check_other_sizes_are_refused_and_the_kernels_own_is_written_back(rig: Rig, size: int) -> None:
    attr = rig.software(size=size)
    with refused(f"attr.size {size}", E2BIG):
        rig.open(attr)
    require(attr.size in range(120, 4096, 8), f"attr.size is {attr.size} after E2BIG, which is no size of a kernel")


@check("K29")
def check_a_larger_struct_is_accepted_when_the_rest_is_0(rig: Rig) -> None:
    rig.open(rig.software(size=_UNKNOWN))


@check("K29")
def check_bytes_the_kernel_does_not_know_are_refused(rig: Rig) -> None:
    attr = rig.software(size=_UNKNOWN, extra=bytes(_UNKNOWN - abi.PERF_ATTR_SIZE_VER9 - 1) + b"\1")
    with refused("an unknown byte that is not 0", E2BIG):
        rig.open(attr)
    require(attr.size < _UNKNOWN, f"attr.size is {attr.size} after E2BIG, and should be the kernel's own")


@check("K29")
def check_a_refusal_for_another_reason_leaves_the_size(rig: Rig) -> None:
    attr = rig.software(size=72, sample_type=1 << 40)
    with refused("an unknown bit of sample_type", EINVAL):
        rig.open(attr)
    expect(attr.size, 72, "attr.size after EINVAL")


_BAD: dict[str, tuple[int, dict[str, Any]]] = {
    "unknown type": (ENOENT, {"type": 99}),
    "unknown software config": (ENOENT, {"config": 12}),
    "unknown tracepoint": (EINVAL, {"type": abi.PERF_TYPE_TRACEPOINT, "config": 999_999}),
    "unknown sample_type": (EINVAL, {"sample_type": 1 << 25}),
    "unknown read_format": (EINVAL, {"read_format": 1 << 5}),
    "unknown flag": (EINVAL, {"reserved_1": 1 << 23}),
    "reserved_2": (EINVAL, {"reserved_2": 1}),
    "frequency above the sysctl": (EINVAL, {"freq": True, "sample_freq": 1_000_000_000}),
    "period with the top bit": (EINVAL, {"sample_period": 1 << 63}),
    "user stack that is not a multiple of 8": (
        EINVAL,
        {"sample_type": abi.PERF_SAMPLE_STACK_USER, "sample_stack_user": 12},
    ),
    "user registers, but none named": (EINVAL, {"sample_type": abi.PERF_SAMPLE_REGS_USER}),
    "clockid that is not a clock": (EINVAL, {"use_clockid": True, "clockid": 99}),
    "remove_on_exec with enable_on_exec": (EINVAL, {"remove_on_exec": True, "enable_on_exec": True}),
    "group with inherit read in samples": (
        EINVAL,
        {
            "inherit": True,
            "read_format": abi.PERF_FORMAT_GROUP,
            "sample_type": abi.PERF_SAMPLE_READ,
        },
    ),
    "two kinds of weight": (EINVAL, {"sample_type": abi.PERF_SAMPLE_WEIGHT | abi.PERF_SAMPLE_WEIGHT_STRUCT}),
}


@check("K30", case=_BAD)
def check_a_bad_attr_is_refused(rig: Rig, case: tuple[int, dict[str, Any]]) -> None:
    expected, changes = case
    with refused(f"an attr with {changes}", expected):
        rig.open(rig.software(**changes))


_CALLS: dict[str, tuple[int, dict[str, Any]]] = {
    "unknown flag": (EINVAL, {"flags": 1 << 9}),
    "no such cpu": (EINVAL, {"cpu": 1 << 20}),
    "cpu below -1": (EINVAL, {"cpu": -2}),
    "any task on any cpu": (EINVAL, {"pid": -1, "cpu": -1}),
    "no such task": (ESRCH, {"pid": (1 << 31) - 1}),
    "group fd that is not open": (EBADF, {"group_fd": 1 << 20}),
    "cgroup without a cpu": (EINVAL, {"flags": abi.PERF_FLAG_PID_CGROUP}),
}


@check("K30", case=_CALLS)
def check_a_bad_call_is_refused(rig: Rig, case: tuple[int, dict[str, Any]]) -> None:
    expected, changes = case
    with refused(f"a call with {changes}", expected):
        rig.open(rig.software(), **changes)


@check("K30")
def check_a_task_that_has_exited_cannot_be_watched(rig: Rig) -> None:
    rig.actor.exit()
    with refused("an event of a task that has exited", ESRCH):
        rig.open(rig.software())


@check("K30", config=range(11))
def check_every_software_event_opens(rig: Rig, config: int) -> None:
    rig.open(rig.software(config))


@check("K30")
def check_a_group_fd_must_be_a_perf_event(rig: Rig) -> None:
    with refused("a group_fd that is an eventfd", EBADF):
        rig.open(rig.software(), group_fd=rig.waker().fileno())


@check("K30")
def check_a_member_of_a_group_leads_none(rig: Rig) -> None:
    leader = rig.open(rig.software())
    member = rig.open(rig.software(), group_fd=leader)
    with refused("a group whose leader is a member of another", EINVAL):
        rig.open(rig.software(), group_fd=member)


@check("K30")
def check_a_group_is_of_one_task(rig: Rig) -> None:
    leader = rig.open(rig.software(), rig.another_actor())
    with refused("a group of two tasks", EINVAL):
        rig.open(rig.software(), group_fd=leader)


@check("K30")
def check_a_group_is_of_one_cpu(rig: Rig) -> None:
    leader = rig.open(rig.software(), pid=-1, cpu=rig.cpus[0])
    with refused("a group of two CPUs", EINVAL):
        rig.open(rig.software(), pid=-1, cpu=rig.second_cpu, group_fd=leader)


@check("K30")
def check_a_group_has_one_clock(rig: Rig) -> None:
    leader = rig.open(rig.software(use_clockid=True, clockid=abi.CLOCK_MONOTONIC))
    with refused("a group of two clocks", EINVAL):
        rig.open(rig.software(), group_fd=leader)


@check("K30")
def check_only_a_leader_is_pinned_or_exclusive(rig: Rig) -> None:
    leader = rig.open(rig.software())
    for changes in ({"pinned": True}, {"exclusive": True}):
        with refused(f"a member of a group with {changes}", EINVAL):
            rig.open(rig.software(**changes), group_fd=leader)


# An NMI may read these two; the others serve events that no NMI can overflow, and a tracepoint it can.
_NMI_SAFE = abi.CLOCK_MONOTONIC, abi.CLOCK_MONOTONIC_RAW
_OTHERS = abi.CLOCK_REALTIME, abi.CLOCK_BOOTTIME, abi.CLOCK_TAI


@check("K30", "K36", clockid=_NMI_SAFE)
def check_a_sample_has_its_time_by_the_clock_of_its_event(rig: Rig, clockid: int) -> None:
    ring = rig.ring(rig.samples(sample_type=abi.PERF_SAMPLE_TIME, use_clockid=True, clockid=clockid))
    before = rig.kernel.clock_ns(clockid)
    rig.actor.getppid()
    (time,) = ring.drain()[0].unpack("Q")
    require(before <= time <= rig.kernel.clock_ns(clockid), f"a sample has time {time} of a clock that read {before}")


@check("K30", "K36", clockid=_OTHERS)
def check_a_software_event_takes_any_clock(rig: Rig, clockid: int) -> None:
    trailer = {"comm": True, "sample_type": abi.PERF_SAMPLE_TIME, "sample_id_all": True}
    ring = rig.ring(rig.software(use_clockid=True, clockid=clockid, **trailer))
    before = rig.kernel.clock_ns(clockid)
    rig.actor.rename("now")
    (time,) = struct.unpack("=Q", ring.drain()[0].body[-8:])
    require(before <= time <= rig.kernel.clock_ns(clockid), f"a COMM has time {time} of a clock that read {before}")


@check("K30", clockid=_OTHERS)
def check_a_tracepoint_does_not(rig: Rig, clockid: int) -> None:
    with refused(f"a tracepoint with clock {clockid}", EINVAL):
        rig.open(rig.samples(use_clockid=True, clockid=clockid))
