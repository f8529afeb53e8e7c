"""Smallest and largest records, with numbers worked out by hand."""

from __future__ import annotations

import pytest

from perfring import abi
from perfring.abi import PerfEventAttr

COMMON = abi.PERF_SAMPLE_IDENTIFIER | abi.PERF_SAMPLE_TID | abi.PERF_SAMPLE_TIME  # a trailer of 24 bytes
DUMMY = PerfEventAttr(
    type=abi.PERF_TYPE_SOFTWARE, config=abi.PERF_COUNT_SW_DUMMY, sample_type=COMMON, sample_id_all=True
)
CLOCK = DUMMY.copy(config=abi.PERF_COUNT_SW_CPU_CLOCK, sample_period=1)
TRACEPOINT = CLOCK.copy(type=abi.PERF_TYPE_TRACEPOINT)
BPF = DUMMY.copy(config=abi.PERF_COUNT_SW_BPF_OUTPUT)


def sample(attr: PerfEventAttr, **limits: int) -> tuple[int, int]:
    return abi.record_bytes(attr, limits=abi.SampleLimits(**limits))[abi.PERF_RECORD_SAMPLE]


def test_a_dummy_event_writes_nothing() -> None:
    assert abi.record_bytes(DUMMY.copy(sample_period=1)) == {}
    assert (abi.min_record_bytes(DUMMY), abi.max_record_bytes(DUMMY)) == (0, 0)


def test_an_event_that_counts_writes_nothing() -> None:
    assert abi.record_bytes(CLOCK.copy(sample_period=0)) == {}


def test_a_sample_has_no_trailer() -> None:
    assert sample(CLOCK) == (32, 32)


def test_a_sampling_event_may_be_throttled() -> None:
    assert abi.record_bytes(CLOCK)[abi.PERF_RECORD_THROTTLE] == (56, 56)


@pytest.mark.parametrize(
    ("flag", "record", "least", "most"),
    [
        ("comm", "COMM", 48, 56),
        ("mmap", "MMAP", 72, 4160),
        ("mmap2", "MMAP2", 104, 4192),
        ("mmap_data", "MMAP", 72, 4160),
        ("task", "FORK", 56, 56),
        ("task", "EXIT", 56, 56),
        ("comm", "FORK", 56, 56),
        ("mmap2", "EXIT", 56, 56),
        ("context_switch", "SWITCH", 32, 32),
        ("context_switch", "SWITCH_CPU_WIDE", 40, 40),
        ("namespaces", "NAMESPACES", 160, 160),
        ("ksymbol", "KSYMBOL", 56, 560),
        ("bpf_event", "BPF_EVENT", 48, 48),
        ("cgroup", "CGROUP", 48, 4136),
        ("text_poke", "TEXT_POKE", 48, 65528),
        ("inherit_stat", "READ", 48, 48),
        ("defer_output", "CALLCHAIN_DEFERRED", 48, 32 + 16 + 8 * 135),
    ],
)
def test_a_flag_brings_records_of_this_size(flag: str, record: str, least: int, most: int) -> None:
    attr = DUMMY.copy()
    setattr(attr, flag, True)
    assert abi.record_bytes(attr)[getattr(abi, f"PERF_RECORD_{record}")] == (least, most)


def test_a_flag_brings_no_records_of_another_kind() -> None:
    assert abi.record_bytes(DUMMY.copy(context_switch=True)).keys() == {
        abi.PERF_RECORD_SWITCH,
        abi.PERF_RECORD_SWITCH_CPU_WIDE,
    }


def test_without_sample_id_all_the_trailer_is_missing() -> None:
    bare = DUMMY.copy(comm=True, sample_id_all=False)
    assert abi.record_bytes(bare)[abi.PERF_RECORD_COMM] == (24, 32)


@pytest.mark.parametrize(
    ("bits", "changes", "least", "most"),
    [
        (abi.PERF_SAMPLE_RAW, {}, 40, 40),
        (abi.PERF_SAMPLE_CALLCHAIN, {}, 40, 32 + 8 * 136),
        (abi.PERF_SAMPLE_CALLCHAIN, {"sample_max_stack": 10}, 40, 32 + 8 * 19),
        (abi.PERF_SAMPLE_STACK_USER, {"sample_stack_user": 8192}, 40, 32 + 16 + 8192),
        (abi.PERF_SAMPLE_REGS_USER, {"sample_regs_user": 0b1011}, 40, 32 + 8 + 24),
        (abi.PERF_SAMPLE_REGS_INTR, {"sample_regs_intr": 1}, 40, 32 + 8 + 8),
        (abi.PERF_SAMPLE_READ, {"read_format": abi.PERF_FORMAT_ID}, 48, 48),
        (abi.PERF_SAMPLE_BRANCH_STACK, {}, 40, 32 + 8 + 64 * 24),
        (abi.PERF_SAMPLE_WEIGHT_STRUCT, {}, 40, 40),
        (abi.PERF_SAMPLE_AUX, {"aux_sample_size": 12}, 40, 32 + 8 + 16),
    ],
)
def test_a_sample_bit_adds_this_much(bits: int, changes: dict[str, int], least: int, most: int) -> None:
    attr = CLOCK.copy(sample_type=COMMON | bits)
    for name, value in changes.items():
        setattr(attr, name, value)
    assert sample(attr) == (least, most)


def test_a_longer_stack_limit_makes_longer_chains() -> None:
    chained = CLOCK.copy(sample_type=COMMON | abi.PERF_SAMPLE_CALLCHAIN)
    assert sample(chained, max_stack=1024)[1] - sample(chained)[1] == 8 * (1024 - 127)


def test_the_event_cannot_ask_for_more_than_the_stack_limit() -> None:
    chained = CLOCK.copy(sample_type=COMMON | abi.PERF_SAMPLE_CALLCHAIN, sample_max_stack=500)
    assert sample(chained) == sample(chained.copy(sample_max_stack=0))


def test_a_group_read_grows_with_the_group() -> None:
    grouped = CLOCK.copy(sample_type=COMMON | abi.PERF_SAMPLE_READ, read_format=abi.PERF_FORMAT_GROUP)
    assert sample(grouped, group_size=3) == (32 + 32, 32 + 32)


def test_a_tracepoint_carries_up_to_8192_bytes() -> None:
    assert sample(TRACEPOINT.copy(sample_type=COMMON | abi.PERF_SAMPLE_RAW)) == (40, 32 + 8200)


def test_k5_bpf_output_fills_a_whole_record() -> None:
    assert sample(BPF.copy(sample_type=COMMON | abi.PERF_SAMPLE_RAW)) == (40, 65528)


def test_bpf_output_needs_no_period() -> None:
    assert abi.PERF_RECORD_SAMPLE in abi.record_bytes(BPF)


def test_the_extremes_are_taken_over_all_record_types() -> None:
    attr = DUMMY.copy(comm=True, mmap2=True, context_switch=True)
    assert (abi.min_record_bytes(attr), abi.max_record_bytes(attr)) == (32, 4192)


@pytest.mark.parametrize(("sample_type", "size"), [(0, 24), (COMMON, 48), ((1 << 25) - 1, 72)])
def test_k44_lost_is_24_bytes_and_the_trailer(sample_type: int, size: int) -> None:
    assert abi.lost_record_bytes(DUMMY.copy(sample_type=sample_type)) == size


@pytest.mark.parametrize(("name", "value"), [("max_stack", -1), ("max_contexts", -1), ("group_size", 0)])
def test_a_limit_that_makes_no_sense_is_refused(name: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"{name}={value}"):
        abi.SampleLimits(**{name: value})


def test_every_size_is_a_multiple_of_eight() -> None:
    attr = CLOCK.copy(sample_type=(1 << 25) - 1, mmap2=True, ksymbol=True, cgroup=True, text_poke=True, namespaces=True)
    assert all(size % 8 == 0 for sizes in abi.record_bytes(attr).values() for size in sizes)
