"""The reading half of a libbpf program: a pinned map. Needs CAP_BPF and CAP_PERFMON."""

from collections.abc import Iterator

from perfring import BpfOutputEvents, Kernel, Sample, SessionBuilder


def follow_pinned(path: str, seconds: float, kernel: Kernel | None = None) -> Iterator[tuple[int, bytes]]:
    builder = SessionBuilder().with_page_count(64).with_max_latency(0.1).with_bpf_output_events(BpfOutputEvents())
    with builder.build(kernel) as session:
        session.attach_to_bpf_map(path=path)
        session.enable()
        for batch in session.batches(duration=seconds):
            for record in batch:
                if isinstance(record, Sample):
                    yield record.cpu, record.raw or b""
