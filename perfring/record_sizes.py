"""How small and how large the records in a ring can be, over all events that write into it: what the rule judges by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfring import abi
from perfring.abi.sizes import MAX_TRACE_BYTES, SampleLimits, lost_record_bytes, record_bytes
from perfring.geometry import MAX_RECORD_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfring.kernel import Kernel
    from perfring.plan import EventSpec
    from perfring.tracefs import TracepointFormat

__all__ = ["RecordSizes"]

_SYSCTL = "/proc/sys/kernel/"


@dataclass(frozen=True, slots=True)
class RecordSizes:
    """What can come into a ring, in bytes.

    Attributes:
        smallest: the smallest record of any event.
        largest: the largest one.
        largest_name: the event that may write it.
        lost: the largest PERF_RECORD_LOST (K44).
    """

    smallest: int
    largest: int
    largest_name: str
    lost: int

    @classmethod
    def of(cls, specs: Sequence[EventSpec], kernel: Kernel) -> RecordSizes:
        """Those of at least one event, each of which writes something.

        Args:
            specs: with their final sample_type.
            kernel: asked for the limits of call chains.
        """
        limits = SampleLimits(
            max_stack=_sysctl(kernel, "perf_event_max_stack", abi.PERF_MAX_STACK_DEPTH),
            max_contexts=_sysctl(kernel, "perf_event_max_contexts_per_stack", abi.PERF_MAX_CONTEXTS_PER_STACK),
        )
        ranges = {spec.name: _range(spec, limits) for spec in specs}
        largest_name = max(ranges, key=lambda name: ranges[name][1])
        return cls(
            smallest=min(least for least, _ in ranges.values()),
            largest=ranges[largest_name][1],
            largest_name=largest_name,
            lost=max(lost_record_bytes(spec.attr) for spec in specs),
        )


def _range(spec: EventSpec, limits: SampleLimits) -> tuple[int, int]:
    sizes = record_bytes(spec.attr, limits=limits)
    if spec.format is not None:
        sizes[abi.PERF_RECORD_SAMPLE] = _with_known_payload(sizes[abi.PERF_RECORD_SAMPLE], spec.format)
    return min(least for least, _ in sizes.values()), max(most for _, most in sizes.values())


def _with_known_payload(sample: tuple[int, int], format_: TracepointFormat) -> tuple[int, int]:
    """A tracepoint without strings or arrays of open length always writes the same: far less than the 8192 it might.

    What it writes is a C struct, which may be padded at its end: up to a multiple of 8, and the format does not say so.
    """
    fields = (*format_.common, *format_.fields)
    if sample[1] >= MAX_RECORD_BYTES or any(field.dynamic or not field.size for field in fields):
        return sample
    end = max(field.offset + field.size for field in fields)
    any_payload = (_raw_bytes(0), _raw_bytes(MAX_TRACE_BYTES))
    return sample[0] - any_payload[0] + _raw_bytes(end), sample[1] - any_payload[1] + _raw_bytes(-(-end // 8) * 8)


def _raw_bytes(payload: int) -> int:
    """PERF_SAMPLE_RAW: a u32 with the size, the payload, and padding to a multiple of 8."""
    return (4 + payload + 7) // 8 * 8


def _sysctl(kernel: Kernel, name: str, otherwise: int) -> int:
    try:
        return int(kernel.read_text(_SYSCTL + name))
    except (OSError, ValueError):
        return otherwise
