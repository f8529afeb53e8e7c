"""ioctl(2) on a perf fd (K38): one method for each request, each with its own refusals."""

from __future__ import annotations

import errno
import struct
from typing import TYPE_CHECKING, Final, NoReturn

from perfring.abi import (
    PERF_EVENT_IOC_DISABLE,
    PERF_EVENT_IOC_ENABLE,
    PERF_EVENT_IOC_ID,
    PERF_EVENT_IOC_MODIFY_ATTRIBUTES,
    PERF_EVENT_IOC_PAUSE_OUTPUT,
    PERF_EVENT_IOC_PERIOD,
    PERF_EVENT_IOC_QUERY_BPF,
    PERF_EVENT_IOC_REFRESH,
    PERF_EVENT_IOC_RESET,
    PERF_EVENT_IOC_SET_BPF,
    PERF_EVENT_IOC_SET_FILTER,
    PERF_EVENT_IOC_SET_OUTPUT,
    PERF_IOC_FLAG_GROUP,
    PerfEventAttr,
)
from simkernel import validation
from simkernel.filters import FilterError, parse_filter
from simkernel.perffile import PerfFile
from simkernel.readiness import os_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from simkernel.event import PerfEvent
    from simkernel.machine import Machine
    from simkernel.perf import Perf
    from simkernel.readiness import File

__all__ = ["Argument", "PerfIoctls"]

Argument = int | bytes | bytearray | memoryview

_MOST_PROGRAMS: Final = 64
_LONGEST_FILTER: Final = 4096


def _refuse(code: int) -> NoReturn:
    raise os_error(code)


class PerfIoctls:
    """The requests.

    Args:
        machine: the machine.
        perf: the events.
        file_of: the file behind a descriptor, or None.
    """

    def __init__(self, machine: Machine, perf: Perf, file_of: Callable[[int], File | None]) -> None:
        self._machine = machine
        self._perf = perf
        self._file_of = file_of
        self._requests: dict[int, Callable[[PerfEvent, Argument], None]] = {
            PERF_EVENT_IOC_ENABLE: self._enable,
            PERF_EVENT_IOC_DISABLE: self._disable,
            PERF_EVENT_IOC_RESET: self._reset,
            PERF_EVENT_IOC_REFRESH: self._refresh,
            PERF_EVENT_IOC_PERIOD: self._period,
            PERF_EVENT_IOC_ID: self._id,
            PERF_EVENT_IOC_SET_OUTPUT: self._set_output,
            PERF_EVENT_IOC_SET_FILTER: self._set_filter,
            PERF_EVENT_IOC_PAUSE_OUTPUT: self._pause_output,
            PERF_EVENT_IOC_QUERY_BPF: self._query_bpf,
            PERF_EVENT_IOC_SET_BPF: self._set_bpf,
            PERF_EVENT_IOC_MODIFY_ATTRIBUTES: self._modify_attributes,
        }

    def __call__(self, event: PerfEvent, request: int, argument: Argument) -> int:
        """Carries out a request; one that there is not is ENOTTY."""
        carry_out = self._requests.get(request)
        if carry_out is None:
            _refuse(errno.ENOTTY)
        carry_out(event, argument)
        return 0

    def _members(self, event: PerfEvent, argument: Argument) -> Iterator[PerfEvent]:
        """The event, or its group, each with its children."""
        whole_group = _number(argument) & PERF_IOC_FLAG_GROUP
        for member in (event.leader, *event.leader.siblings) if whole_group else (event,):
            yield member
            yield from tuple(member.children)

    def _enable(self, event: PerfEvent, argument: Argument) -> None:
        for member in self._members(event, argument):
            self._perf.counting.enable(member)

    def _disable(self, event: PerfEvent, argument: Argument) -> None:
        for member in self._members(event, argument):
            self._perf.counting.disable(member)

    def _reset(self, event: PerfEvent, argument: Argument) -> None:
        """The value alone: times and losses stay, and so does what children that are gone have left."""
        for member in self._members(event, argument):
            member.update_times()
            member.count = 0
            if member.ring is not None and member.file is not None and member.file.maps:
                member.ring.buffer.update_page(0, member.enabled_ns, member.running_ns)

    def _refresh(self, event: PerfEvent, argument: Argument) -> None:
        if event.attr.inherit or not event.sampling:
            _refuse(errno.EINVAL)
        event.limit = max(event.limit + _signed(_number(argument), 32), 0)
        self._perf.counting.enable(event)

    def _period(self, event: PerfEvent, argument: Argument) -> None:
        (value,) = struct.unpack("=Q", _bytes(argument, 8))
        if not event.sampling or not value:
            _refuse(errno.EINVAL)
        if value > self._machine.settings.max_sample_rate if event.freq else value >> 63:
            _refuse(errno.EINVAL)
        # Not passed on to children that were inherited before, unlike the other requests. On Linux a parent and a child
        # that switch on one CPU swap their events, so there either may be the one that was changed.
        self._perf.counting.set_period(event, value)

    def _id(self, event: PerfEvent, argument: Argument) -> None:
        _write(argument, struct.pack("=Q", event.first.id))

    def _set_output(self, event: PerfEvent, argument: Argument) -> None:
        number = _signed(_number(argument), 64)
        if number == -1:
            self._perf.set_output(event, None)
            return
        target = self._file_of(number)
        if not isinstance(target, PerfFile):
            _refuse(errno.EBADF)
        self._perf.set_output(event, target.event)

    def _set_filter(self, event: PerfEvent, argument: Argument) -> None:
        text = _bytes(argument, 0).split(b"\0")[0]
        point = self._machine.tracepoints.with_id(event.attr.config) if event.is_tracepoint else None
        if len(text) >= _LONGEST_FILTER or point is None:
            _refuse(errno.EINVAL)
        if event.filter is not None:
            _refuse(errno.EEXIST)  # an event takes one filter in its life (measured on 6.18)
        try:
            event.filter = parse_filter(text.decode("utf-8", "surrogateescape"), point)
        except FilterError as error:
            _refuse(error.errno)
        event.filter_text = text.decode("utf-8", "surrogateescape")

    def _pause_output(self, event: PerfEvent, argument: Argument) -> None:
        if event.ring is None or not event.ring.buffer.data_size:
            _refuse(errno.EINVAL)
        event.ring.buffer.pause(_number(argument) & 0xFFFFFFFF != 0)

    def _query_bpf(self, event: PerfEvent, argument: Argument) -> None:
        """There are no programs on simulated tracepoints: the answer is an empty list."""
        if not event.is_tracepoint:
            _refuse(errno.EINVAL)
        room, _ = struct.unpack("=II", _bytes(argument, 8)[:8])
        if room > _MOST_PROGRAMS:
            _refuse(errno.E2BIG)
        _write(argument, struct.pack("=II", room, 0))

    def _set_bpf(self, _event: PerfEvent, argument: Argument) -> None:
        if self._file_of(_number(argument)) is None:
            _refuse(errno.EBADF)
        _refuse(errno.EINVAL)  # no simulated file is a BPF program

    def _modify_attributes(self, event: PerfEvent, argument: Argument) -> None:
        raw = _bytes(argument, 8)
        attr = PerfEventAttr.unpack(raw)
        copy = validation.copy_attr(self._machine, attr)
        validation.check_attr(self._machine, copy)
        # The kernel has changed the type of cpu-clock and task-clock to their own PMU's.
        _refuse(errno.EINVAL if copy.type != event.attr.type or event.is_clock else errno.EOPNOTSUPP)


def _number(argument: Argument) -> int:
    if not isinstance(argument, int):
        raise TypeError(f"this request takes a number, not {type(argument).__name__}")
    return argument


def _signed(number: int, bits: int) -> int:
    number %= 1 << bits
    return number - (1 << bits) if number >> (bits - 1) else number


def _bytes(argument: Argument, least: int) -> bytes:
    """What a pointer points at: a number is an address, and no address is one of the program's."""
    if isinstance(argument, int):
        _refuse(errno.EFAULT)
    raw = bytes(argument)
    if len(raw) < least:
        raise ValueError(f"the buffer has {len(raw)} bytes: this request needs at least {least}")
    return raw


def _write(argument: Argument, data: bytes) -> None:
    if isinstance(argument, int):
        _refuse(errno.EFAULT)
    if isinstance(argument, bytes):
        raise TypeError("this request writes its answer: pass a bytearray, not bytes")
    view = memoryview(argument).cast("B")
    if len(view) < len(data):
        raise ValueError(f"the buffer has {len(view)} bytes: this request needs at least {len(data)}")
    view[: len(data)] = data
