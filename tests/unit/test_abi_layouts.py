"""The tables of record layouts, against sizes and orders counted by hand from the header's comments."""

from __future__ import annotations

import struct

import pytest

from perfring import abi

EVERY_SAMPLE_ID_BIT = (
    abi.PERF_SAMPLE_TID
    | abi.PERF_SAMPLE_TIME
    | abi.PERF_SAMPLE_ID
    | abi.PERF_SAMPLE_STREAM_ID
    | abi.PERF_SAMPLE_CPU
    | abi.PERF_SAMPLE_IDENTIFIER
)
EVERY_SAMPLE_BIT = (1 << 25) - 1
TIMES = abi.PERF_FORMAT_TOTAL_TIME_ENABLED | abi.PERF_FORMAT_TOTAL_TIME_RUNNING

# Bytes of the body without what varies in length.
FIXED_BODY_BYTES = {
    "MMAP": 32,
    "LOST": 16,
    "COMM": 8,
    "EXIT": 24,
    "THROTTLE": 24,
    "UNTHROTTLE": 24,
    "FORK": 24,
    "READ": 8,
    "MMAP2": 64,
    "AUX": 24,
    "ITRACE_START": 8,
    "LOST_SAMPLES": 8,
    "SWITCH": 0,
    "SWITCH_CPU_WIDE": 8,
    "NAMESPACES": 16,
    "KSYMBOL": 16,
    "BPF_EVENT": 16,
    "CGROUP": 8,
    "TEXT_POKE": 12,
    "AUX_OUTPUT_HW_ID": 8,
    "CALLCHAIN_DEFERRED": 16,
}


def fixed_bytes(fields: tuple[abi.Field, ...]) -> int:
    total = 0
    for field in fields:
        if field.format in (abi.CSTRING, abi.TAIL, abi.READ_FORMAT) or isinstance(field.repeat, str):
            continue
        total += (1 if field.repeat is None else field.repeat) * struct.calcsize("=" + field.format)
    return total


def test_the_header_is_eight_bytes() -> None:
    assert abi.HEADER.size == 8


def test_every_record_type_but_the_sample_has_a_body() -> None:
    assert abi.RECORD_BODIES.keys() == abi.RECORD_NAMES.keys() - {abi.PERF_RECORD_SAMPLE}


@pytest.mark.parametrize(("record_type", "name"), abi.RECORD_NAMES.items())
def test_a_name_leads_back_to_its_number(record_type: int, name: str) -> None:
    assert getattr(abi, f"PERF_RECORD_{name}") == record_type


@pytest.mark.parametrize("name", FIXED_BODY_BYTES)
def test_a_body_has_this_many_fixed_bytes(name: str) -> None:
    fields = abi.body_fields(getattr(abi, f"PERF_RECORD_{name}"), 0)
    assert fields is not None
    assert fixed_bytes(fields) == FIXED_BODY_BYTES[name]


def test_every_fixed_body_was_counted() -> None:
    assert FIXED_BODY_BYTES.keys() == {abi.RECORD_NAMES[record_type] for record_type in abi.RECORD_BODIES}


def test_a_build_id_takes_the_place_of_device_and_inode() -> None:
    fields = abi.body_fields(abi.PERF_RECORD_MMAP2, abi.PERF_RECORD_MISC_MMAP_BUILD_ID)
    assert fields is not None
    assert fixed_bytes(fields) == FIXED_BODY_BYTES["MMAP2"]
    assert "build_id" in [field.name for field in fields]


def test_misc_of_another_record_type_changes_nothing() -> None:
    misc = abi.PERF_RECORD_MISC_SWITCH_OUT_PREEMPT  # the same bit as MMAP_BUILD_ID
    assert abi.body_fields(abi.PERF_RECORD_SWITCH, misc) == ()


@pytest.mark.parametrize("record_type", [abi.PERF_RECORD_SAMPLE, 0, 23])
def test_samples_and_unknown_types_have_no_fixed_body(record_type: int) -> None:
    assert abi.body_fields(record_type, 0) is None


def test_k35_the_trailer_is_in_its_own_order() -> None:
    names = [field.name for part in abi.sample_id_parts(EVERY_SAMPLE_ID_BIT) for field in part.fields]
    assert names == ["pid", "tid", "time", "id", "stream_id", "cpu", "res", "identifier"]


def test_k35_a_sample_starts_with_the_identifier() -> None:
    names = [field.name for part in abi.sample_parts(EVERY_SAMPLE_ID_BIT) for field in part.fields]
    assert names == ["identifier", "pid", "tid", "time", "id", "stream_id", "cpu", "res"]


def test_k35_aux_data_is_the_last_part_of_a_sample() -> None:
    assert abi.sample_parts(EVERY_SAMPLE_BIT)[-1].bits == abi.PERF_SAMPLE_AUX


def test_every_sample_bit_has_a_part() -> None:
    covered = 0
    for part in abi.SAMPLE_PARTS:
        covered |= part.bits
    assert covered == EVERY_SAMPLE_BIT


@pytest.mark.parametrize("bit", [abi.PERF_SAMPLE_WEIGHT, abi.PERF_SAMPLE_WEIGHT_STRUCT])
def test_either_kind_of_weight_is_one_word(bit: int) -> None:
    assert [field.format for part in abi.sample_parts(bit) for field in part.fields] == ["Q"]


@pytest.mark.parametrize(
    ("sample_type", "size"),
    [
        (0, 0),
        (abi.PERF_SAMPLE_IP | abi.PERF_SAMPLE_RAW, 0),
        (abi.PERF_SAMPLE_IDENTIFIER | abi.PERF_SAMPLE_TID | abi.PERF_SAMPLE_TIME, 24),
        (EVERY_SAMPLE_ID_BIT, 48),
    ],
)
def test_the_trailer_has_this_size(sample_type: int, size: int) -> None:
    assert abi.sample_id_size(sample_type) == size


def test_without_sample_id_all_there_is_no_trailer() -> None:
    assert abi.sample_id_size(EVERY_SAMPLE_ID_BIT, sample_id_all=False) == 0


def test_a_single_count_has_its_times_behind_the_value() -> None:
    everything = TIMES | abi.PERF_FORMAT_ID | abi.PERF_FORMAT_LOST
    assert abi.read_header_names(everything) == ()
    assert abi.read_counter_names(everything) == ("value", "time_enabled", "time_running", "id", "lost")


def test_a_group_has_its_times_in_front() -> None:
    everything = TIMES | abi.PERF_FORMAT_ID | abi.PERF_FORMAT_LOST | abi.PERF_FORMAT_GROUP
    assert abi.read_header_names(everything) == ("nr", "time_enabled", "time_running")
    assert abi.read_counter_names(everything) == ("value", "id", "lost")


@pytest.mark.parametrize(
    ("read_format", "counters", "size"),
    [
        (0, 1, 8),
        (0, 3, 8),
        (abi.PERF_FORMAT_ID, 1, 16),
        (abi.PERF_FORMAT_GROUP, 3, 32),
        (abi.PERF_FORMAT_GROUP | abi.PERF_FORMAT_ID | TIMES, 2, 56),
    ],
)
def test_a_read_has_this_size(read_format: int, counters: int, size: int) -> None:
    assert abi.read_format_size(read_format, counters=counters) == size
