"""Reads what a BPF program puts out: python bpf_map.py MAP_ID [SECONDS]. Needs CAP_BPF and CAP_PERFMON."""

import sys

from perfring import BpfOutputEvents, Kernel, Sample, SessionBuilder


def read_payloads(map_id: int, seconds: float, kernel: Kernel | None = None) -> list[bytes]:
    builder = (
        SessionBuilder()
        .with_page_count(64)
        .with_max_latency(0.1)  # a payload may be 65520 bytes long: no watermark is safe for these in such a ring
        .with_bpf_output_events(BpfOutputEvents())
    )
    with builder.build(kernel) as session:
        session.attach_to_bpf_map(id=map_id)
        session.enable()
        return [record.raw or b"" for record in session.records(duration=seconds) if isinstance(record, Sample)]


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    for payload in read_payloads(int(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 1.0):
        print(payload[:16].hex(" "))
