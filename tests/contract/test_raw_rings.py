"""The plain reader that outcomes are made of."""

from __future__ import annotations

from simkernel.contract.program import Program
from simkernel.contract.trace import SimBench


def looked(text: str) -> dict[str, object]:
    seen = SimBench().run(Program.parse(text))[-1]["ok"]
    assert isinstance(seen, dict)
    return seen


OVERWRITING = """
actor a
e = open tracepoint:getppid pid=a sample_period=1 sample_type=TID|TIME|ID|CPU write_backward=1
m = map e pages=1 writable=0
getppid a {hits}
look m
"""


def test_an_overwritten_backward_ring_shows_what_is_whole() -> None:
    records = looked(OVERWRITING.format(hits=222))["records"]
    assert isinstance(records, list)
    assert [record["size"] for record in records] == [40] * (4096 // 40)


def test_it_is_shown_oldest_first() -> None:
    records = looked(OVERWRITING.format(hits=222))["records"]
    assert isinstance(records, list)
    assert {record["time"] for record in records} == {"t"}


def test_of_an_overwritten_forward_ring_nothing_can_be_told() -> None:
    assert looked(OVERWRITING.replace("write_backward=1", "").format(hits=222)) == {"garbled": True}
