"""What all events of a session share, put onto an event's own attr; what contradicts it is refused.

One ring holds the records of many events, and one reader takes them apart. That works only when every one of them

* can be told apart and put in time order: IDENTIFIER, TID and TIME in each sample, ``sample_id_all`` in the rest, and
  one clock (K35, K36), which the kernel demands of redirected events anyway (K25);
* leaves the wakeups to the leader: with the ``watermark`` flag (K10), or with the session's own ``wakeup_events`` (K9);
* goes in the ring's direction (K25), starts disabled, and is inherited by children or not as the session says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfring import abi
from perfring.abi.sizes import record_bytes
from perfring.errors import Unsupported
from perfring.plan import EventKind, EventSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from perfring.abi import PerfEventAttr
    from perfring.plan import SessionPlan
    from perfring.tracefs import TracepointFormat

__all__ = ["CommonAttr"]

_IDENTITY = abi.PERF_SAMPLE_IDENTIFIER | abi.PERF_SAMPLE_TID | abi.PERF_SAMPLE_TIME
_READ_FORMAT = abi.PERF_FORMAT_ID | abi.PERF_FORMAT_LOST
_AUX = ("aux_output", "aux_watermark", "aux_sample_size", "aux_action")
# These happen in the kernel by nature, so that with exclude_kernel not one of them is ever recorded: measured on 6.18.
_KERNEL_ONLY = {
    abi.PERF_COUNT_SW_CONTEXT_SWITCHES: "context-switches: take KernelEvents(context_switch=True) instead",
    abi.PERF_COUNT_SW_CPU_MIGRATIONS: "cpu-migrations",
    abi.PERF_COUNT_SW_CGROUP_SWITCHES: "cgroup-switches",
}
_PROBE_FIELDS = frozenset(("__probe_ip", "__probe_func"))


@dataclass(frozen=True, kw_only=True, slots=True)
class CommonAttr:
    """The part of every attr that is the session's to decide; the attributes are those of `SessionPlan`."""

    wakeup_watermark: int | None
    wakeup_events: int | None
    clock_id: int
    inherit: bool
    enable_on_exec: bool
    user_only: bool
    overwrite: bool

    @classmethod
    def of(cls, plan: SessionPlan) -> CommonAttr:
        """That of a plan: for events that join the session later."""
        return cls(
            wakeup_watermark=plan.wakeup_watermark,
            wakeup_events=plan.wakeup_events,
            clock_id=plan.clock_id,
            inherit=plan.inherit,
            enable_on_exec=plan.enable_on_exec,
            user_only=plan.user_only,
            overwrite=plan.overwrite,
        )

    def leader(self) -> EventSpec:
        """The SW_DUMMY event that each ring is mapped from; it writes nothing, and so asks for no rights (K31)."""
        attr = abi.PerfEventAttr(
            type=abi.PERF_TYPE_SOFTWARE, config=abi.PERF_COUNT_SW_DUMMY, exclude_kernel=True, exclude_hv=True
        )
        return EventSpec(name="leader", kind=EventKind.LEADER, attr=self._shared(attr))

    def onto(self, spec: EventSpec) -> EventSpec:
        """The event with its attr completed.

        Raises:
            ValueError: the attr contradicts the session; the text names event, field and what to do instead.
            Unsupported: it asks for an AUX ring.
        """
        for why in self._contradictions(spec):
            raise ValueError(f"event {spec.name!r}: {why}")
        return EventSpec(
            name=spec.name, kind=spec.kind, attr=self._shared(spec.attr), filter=spec.filter, format=spec.format
        )

    def _shared(self, attr: PerfEventAttr) -> PerfEventAttr:
        shared = attr.copy(
            size=abi.PerfEventAttr().size,
            disabled=True,
            sample_id_all=True,
            use_clockid=True,
            clockid=self.clock_id,
            sample_type=attr.sample_type | _IDENTITY,
            read_format=attr.read_format | _READ_FORMAT,
            write_backward=self.overwrite,
            watermark=self.wakeup_watermark is not None,
            wakeup_events=self.wakeup_events or self.wakeup_watermark or 0,
            # BPF_MAP_UPDATE_ELEM refuses an event that is inherited.
            inherit=self.inherit and not _is_software(attr, abi.PERF_COUNT_SW_BPF_OUTPUT),
            enable_on_exec=self.enable_on_exec,
        )
        if self.user_only:
            shared.exclude_kernel = True
            shared.exclude_callchain_kernel = bool(attr.sample_type & abi.PERF_SAMPLE_CALLCHAIN)
        return shared

    def _contradictions(self, spec: EventSpec) -> Iterator[str]:
        attr = spec.attr
        _refuse_aux(spec)
        yield from self._wrong_for_session(attr)
        if attr.read_format & abi.PERF_FORMAT_GROUP:
            yield "read_format has PERF_FORMAT_GROUP, but a session opens no groups"
        if not record_bytes(attr):
            yield "it only counts, and would never write a record: set sample_period, freq or a side-band flag"
        if self.user_only:
            yield from _never_in_user_space(spec)

    def _wrong_for_session(self, attr: PerfEventAttr) -> Iterator[str]:
        if attr.use_clockid and attr.clockid != self.clock_id:
            yield f"clockid is {attr.clockid}, but all events of a session use clock {self.clock_id} (K25, K36)"
        if attr.wakeup_events or attr.watermark:
            yield (
                f"wakeup_events (or wakeup_watermark) is {attr.wakeup_events}, but wakeups are the session's (K10): "
                "use with_wakeup_watermark() or with_wakeup_events() of the builder"
            )
        for flag, ours, method in (
            ("write_backward", self.overwrite, "with_overwrite()"),
            ("inherit", self.inherit, "with_inherit(True)"),
            ("enable_on_exec", self.enable_on_exec, "with_enable_on_exec()"),
        ):
            if getattr(attr, flag) and not ours:
                yield f"{flag} is set, but not for the session: use {method} of the builder"


def _is_software(attr: PerfEventAttr, config: int) -> bool:
    return attr.type == abi.PERF_TYPE_SOFTWARE and attr.config == config


def _refuse_aux(spec: EventSpec) -> None:
    asked = [name for name in _AUX if getattr(spec.attr, name)]
    if spec.attr.sample_type & abi.PERF_SAMPLE_AUX:
        asked.append("PERF_SAMPLE_AUX")
    if asked:
        raise Unsupported(f"event {spec.name!r}: {', '.join(asked)} asks for an AUX ring, and perfring reads none")


def _never_in_user_space(spec: EventSpec) -> Iterator[str]:
    attr = spec.attr
    if attr.exclude_user:
        yield "exclude_user is set, and with user_only() nothing would be left to record"
    if attr.type == abi.PERF_TYPE_SOFTWARE and attr.config in _KERNEL_ONLY:
        yield f"user_only() records nothing of the kernel, and so none of {_KERNEL_ONLY[attr.config]}"
    if spec.format is not None and not _hit_from_user_space(spec.format):
        yield (
            "user_only() records nothing of the kernel, and so no tracepoint but those of the system 'syscalls' and "
            "user-space probes"
        )


def _hit_from_user_space(format_: TracepointFormat) -> bool:
    """Whether the tracepoint's registers are those of user space. A probe may be in either."""
    return format_.system == "syscalls" or any(field.name in _PROBE_FIELDS for field in format_.fields)
