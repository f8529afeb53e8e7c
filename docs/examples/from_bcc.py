"""The reading half of a BCC program: its map's descriptor and a callback. Needs CAP_BPF and CAP_PERFMON."""

from collections.abc import Callable

from perfring import BpfOutputEvents, Kernel, Record, SessionBuilder


def follow(map_fd: int, on_event: Callable[[Record], object], seconds: float, kernel: Kernel | None = None) -> int:
    builder = SessionBuilder().with_page_count(64).with_max_latency(0.1).with_bpf_output_events(BpfOutputEvents())
    with builder.build(kernel) as session:
        session.on("bpf-output", on_event)
        session.attach_to_bpf_map(map_fd)
        session.enable()
        session.parse_for_duration(seconds)
        return session.statistics().lost
