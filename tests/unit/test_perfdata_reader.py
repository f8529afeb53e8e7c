"""Reading perf.data: files made of bytes, whole, foreign and damaged."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from perfring.errors import BadRecord, PerfDataError
from perfring.perfdata import PerfDataFile
from perfring.records import Record, Sample
from tests.unit import perfdata_encoder as encode
from tests.unit.encoder import PLAIN, Form, record, u32, u64
from tests.unit.perfdata_encoder import FINISHED_ROUND, a_comm, a_sample, attr, file, saved

FORMAT = """name: sys_enter_getppid
ID: 305
format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;

\tfield:int __syscall_nr;\toffset:8;\tsize:4;\tsigned:1;

print fmt: ""
"""
WITH_ID = Form(sample_type=1 << 0 | 1 << 1 | 1 << 2 | 1 << 6 | 1 << 7)
"""IP, TID, TIME, ID and CPU, as perf records two events of the same kind."""
RAW = Form(sample_type=1 << 16 | 1 << 1 | 1 << 2 | 1 << 10)


def read(folder: Path, data: bytes) -> tuple[list[Record], PerfDataFile, list[BadRecord]]:
    """The records, the file that was read, and what was bad in it."""
    bad: list[BadRecord] = []
    with PerfDataFile(saved(folder, data)) as found:
        return list(found.records(on_bad=bad.append)), found, bad


def times(records: list[Record]) -> list[int | None]:
    return [record.time for record in records]


def refused(folder: Path, data: bytes) -> str:
    """What a file is refused with."""
    with pytest.raises(PerfDataError) as caught, PerfDataFile(saved(folder, data)) as found:
        list(found.records())
    return str(caught.value)


def test_records_are_those_of_the_file(tmp_path: Path) -> None:
    records, found, bad = read(tmp_path, file(a_comm("hello", 5) + a_sample(6)))
    assert [(each.kind, each.time, each.tid) for each in records] == [("comm", 5, 1), ("sample", 6, 1)]
    assert (bad, found.problems, found.counts.samples) == ([], (), 1)


def test_a_stream_is_read_as_a_file_is() -> None:
    with PerfDataFile("a pipe", stream=io.BytesIO(file(a_sample(6)))) as found:
        assert (times(list(found.records())), found.path) == ([6], "a pipe")


def test_a_stream_that_is_none_is_refused_by_its_name() -> None:
    with pytest.raises(PerfDataError, match=r"^a pipe, byte 0: not a perf\.data file"):
        PerfDataFile("a pipe", stream=io.BytesIO(b"hello"))


def test_a_position_is_that_in_the_file(tmp_path: Path) -> None:
    data = file(a_comm("hello", 5) + a_sample(6))
    records, _, _ = read(tmp_path, data)
    assert data[records[1].position :].startswith(a_sample(6))


def test_without_rounds_all_is_in_the_order_of_the_times(tmp_path: Path) -> None:
    records, found, _ = read(tmp_path, file(a_sample(9) + a_sample(3) + a_sample(6)))
    assert times(records) == [3, 6, 9]
    assert found.counts.late == 0


def test_a_round_releases_what_the_one_before_had_seen(tmp_path: Path) -> None:
    data = file(a_sample(5) + FINISHED_ROUND + a_sample(8) + a_sample(4) + FINISHED_ROUND + a_sample(7))
    records, found, _ = read(tmp_path, data)
    assert times(records) == [4, 5, 7, 8]
    assert (found.counts.rounds, found.counts.late) == (2, 0)


def test_what_comes_behind_its_round_is_late_and_counted(tmp_path: Path) -> None:
    data = file(a_sample(5) + FINISHED_ROUND + a_sample(9) + FINISHED_ROUND + a_sample(2))
    records, found, _ = read(tmp_path, data)
    assert times(records) == [5, 2, 9]
    assert found.counts.late == 1


@pytest.mark.parametrize("form", [PLAIN, WITH_ID])
def test_events_are_told_apart_by_id_wherever_it_stands(tmp_path: Path, form: Form) -> None:
    events = [(attr(form), (7, 8)), (attr(form), (9,))]
    desc = encode.event_desc([(attr(form), "first", (7, 8)), (attr(form), "second", (9,))])
    written = b"".join(a_sample(each, event=each, form=form, sample_cpu=3) for each in (7, 8, 9))
    written += a_comm("x", 10, event=9, form=form)
    records, _, _ = read(tmp_path, file(written, events=events, features={encode.EVENT_DESC: desc}))
    assert [each.event for each in records] == ["first", "first", "second", "second"]


def test_a_sample_of_no_known_event_is_bad_and_the_rest_is_read(tmp_path: Path) -> None:
    events = [(attr(), (7,)), (attr(), (8,))]
    records, found, bad = read(tmp_path, file(a_sample(1) + a_sample(2, event=99) + a_sample(3), events=events))
    assert times(records) == [1, 3]
    assert "event id 99" in str(bad[0])
    assert (found.counts.bad_records, found.counts.skipped_bytes) == (1, 32)


def test_of_a_single_event_every_record_is_its(tmp_path: Path) -> None:
    form = Form(sample_type=1 << 1 | 1 << 2)
    records, _, bad = read(tmp_path, file(a_sample(1, form=form), events=[(attr(form), ())]))
    assert (times(records), bad) == ([1], [])


def test_two_events_without_any_id_are_refused(tmp_path: Path) -> None:
    form = Form(sample_type=1 << 1 | 1 << 2)
    text = refused(tmp_path, file(a_sample(1, form=form), events=[(attr(form), ()), (attr(form), ())]))
    assert "no id" in text


def test_the_cpu_is_that_of_the_sample_or_of_the_index(tmp_path: Path) -> None:
    indexed, _, _ = read(tmp_path, file(encode.id_index([(7, 5, 0)]) + a_sample(1)))
    told, _, _ = read(tmp_path, file(a_sample(1, form=WITH_ID, sample_cpu=3), events=[(attr(WITH_ID), (7,))]))
    neither, _, _ = read(tmp_path, file(a_sample(1)))
    assert [each[0].cpu for each in (indexed, told, neither)] == [5, 3, -1]


def test_what_perf_made_itself_is_marked_and_counted_apart(tmp_path: Path) -> None:
    records, found, _ = read(tmp_path, file(a_comm("old", 0, event=0) + a_comm("new", 4)))
    assert [each.synthesized for each in records] == [True, False]
    assert (found.counts.synthesized, found.counts.records.total()) == (1, 1)


def test_a_tracepoint_is_decoded_by_the_format_in_the_file(tmp_path: Path) -> None:
    raw = bytes(8) + (110).to_bytes(4, "little") + bytes(8)
    written = a_sample(1, form=RAW, raw=raw)
    events = [(attr(RAW, type_=2, config=305), (7,))]
    tracing = encode.tracing_data("syscalls", [FORMAT])
    records, _, _ = read(tmp_path, file(written, events=events, features={encode.TRACING_DATA: tracing}))
    (found,) = records
    assert isinstance(found, Sample)
    assert (found.event, found.fields) == ("syscalls:sys_enter_getppid", {"__syscall_nr": 110})


def test_features_are_told(tmp_path: Path) -> None:
    features = {
        encode.HOSTNAME: encode.text("here"),
        encode.NRCPUS: u32(4) + u32(3),
        encode.CMDLINE: encode.texts(["perf", "record"]),
        encode.SAMPLE_TIME: u64(5) + u64(9),
        encode.BUILD_ID: encode.build_id("/bin/x", b"\x12" * 20),
    }
    _, found, _ = read(tmp_path, file(a_sample(1), features=features))
    told = found.features
    assert (told.hostname, told.cpus, told.command, told.times) == ("here", (4, 3), ("perf", "record"), (5, 9))
    assert found.build_ids == {"/bin/x": b"\x12" * 20}


def test_losses_that_were_recorded_are_counted(tmp_path: Path) -> None:
    lost = record(2, u64(7) + u64(30) + u32(1) + u32(1) + u64(3) + u64(7))
    _, found, _ = read(tmp_path, file(lost + a_sample(4)))
    assert found.counts.lost == 30


def test_aux_data_is_passed_over_and_counted(tmp_path: Path) -> None:
    aux = record(71, u64(24) + bytes(32)) + b"\xff" * 24
    records, found, bad = read(tmp_path, file(a_sample(1) + aux + a_sample(2)))
    assert (times(records), found.counts.aux_bytes, bad) == ([1, 2], 24, [])


def test_aux_data_beyond_the_end_ends_the_reading(tmp_path: Path) -> None:
    records, found, bad = read(tmp_path, file(a_sample(1) + record(71, u64(1 << 60) + bytes(32)) + a_sample(2)))
    assert (times(records), found.counts.bad_records) == ([1], 1)
    assert bad[0].skipped == 32


# The pipe form.


def test_the_pipe_form_has_the_same_records(tmp_path: Path) -> None:
    desc = encode.feature_record(encode.EVENT_DESC, encode.event_desc([(attr(), "clock", (7,))]))
    written = encode.attr_record(attr(), (7,)) + desc + a_sample(1) + FINISHED_ROUND + a_sample(2)
    records, found, bad = read(tmp_path, encode.piped(written))
    assert [(each.event, each.time) for each in records] == [("clock", 1), ("clock", 2)]
    assert (bad, len(found.events)) == ([], 1)


def test_tracing_data_of_the_pipe_form_stands_between_the_records(tmp_path: Path) -> None:
    tracing = encode.tracing_data("syscalls", [FORMAT])
    tracing += bytes(-len(tracing) % 8)
    head = encode.attr_record(attr(RAW, type_=2, config=305), (7,)) + record(66, u32(len(tracing)) + u32(0)) + tracing
    records, _, _ = read(tmp_path, encode.piped(head + a_sample(1, form=RAW, raw=bytes(20))))
    assert records[0].event == "syscalls:sys_enter_getppid"


def test_the_pipe_form_can_be_read_twice(tmp_path: Path) -> None:
    path = saved(tmp_path, encode.piped(encode.attr_record(attr(), (7,)) + a_sample(1)))
    with PerfDataFile(path) as found:
        assert [times(list(found.records())) for _ in range(2)] == [[1], [1]]
        assert len(found.events) == 1


def test_an_attr_behind_the_first_record_is_bad(tmp_path: Path) -> None:
    head = encode.attr_record(attr(), (7,))
    records, _, bad = read(tmp_path, encode.piped(head + a_sample(1) + head + a_sample(2)))
    assert times(records) == [1, 2]
    assert "behind the first" in str(bad[0])


def test_a_pipe_without_an_attr_is_refused(tmp_path: Path) -> None:
    assert "no event" in refused(tmp_path, encode.piped(a_sample(1)))


# What is refused.


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"", "it is empty: what recorded it was ended"),
        (b"PAR1\x15", "name what perf record, or perfring record -o FILE.data, wrote"),
        (b"\x7fELF" + bytes(200), "ELF"),
        (b"PERFILE2", "cut off"),
        (b"PERFILE2"[::-1] + bytes(100), "byte order"),
        (b"PERFFILE" + bytes(100), "2.6.36"),
        (b"PERFILE2" + u64(72) + bytes(100), "header of 72 bytes"),
        (file(a_sample(1))[:150], "cut off"),
        (file(record(81, bytes(16))), "without -z"),
        (file(record(83, bytes(16))), "without -z"),
        (file(b"", features={24: b""}), "--threads"),
        (file(b"", events=[(attr(size=112)[:4] + u32(4096) + attr()[8:], (7,))]), "4096 bytes"),
        (file(b"", events=[(attr(Form(sample_type=1 << 63)), (7,))]), "newer kernel"),
    ],
    ids=[
        *("empty", "parquet", "elf", "short", "endian", "old", "header size", "truncated", "compressed", "compressed2"),
        *("directory", "attr size", "sample type"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(tmp_path: Path, data: bytes, named: str) -> None:
    text = refused(tmp_path, data)
    assert named in text
    assert text.startswith(f"{tmp_path}/x.data, byte ")


def test_an_error_has_path_and_offset(tmp_path: Path) -> None:
    with pytest.raises(PerfDataError) as caught:
        PerfDataFile(saved(tmp_path, b"PERFILE2" + u64(72) + bytes(100)))
    assert (caught.value.path, caught.value.offset) == (f"{tmp_path}/x.data", 8)


def test_a_directory_and_a_fifo_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for name, word in ((tmp_path, "directory"), (tmp_path / "fifo", "regular")):
        with pytest.raises(PerfDataError, match=word):
            PerfDataFile(str(name))


# What is damaged, and read all the same.


def test_of_a_cut_file_what_there_is_is_read(tmp_path: Path) -> None:
    data = file(a_sample(1) + a_sample(2), features={encode.HOSTNAME: encode.text("here")})
    end = data.index(a_sample(2)) + 8
    records, found, bad = read(tmp_path, data[:end])
    assert (times(records), len(bad)) == ([1], 1)
    assert "cut off" in str(found.problems[0])


def test_a_recording_that_was_killed_is_read_to_its_end(tmp_path: Path) -> None:
    records, found, _ = read(tmp_path, file(a_sample(1) + a_sample(2), data_size=0))
    assert times(records) == [1, 2]
    assert "did not end well" in str(found.problems[0])


def test_a_size_that_cannot_be_gives_up_the_rest(tmp_path: Path) -> None:
    records, found, bad = read(tmp_path, file(a_sample(1) + u32(9) + b"\0\0\7\0" + a_sample(2)))
    assert times(records) == [1]
    assert (found.counts.bad_records, found.counts.skipped_bytes) == (1, 40)
    assert bad[0].position == 104 + 8 + 128 + 32


def test_a_feature_that_makes_no_sense_is_a_problem_and_no_more(tmp_path: Path) -> None:
    features = {encode.EVENT_DESC: u32(1 << 31) + u32(112), encode.HOSTNAME: encode.text("here")}
    records, found, _ = read(tmp_path, file(a_sample(1), features=features))
    assert (times(records), found.features.hostname) == ([1], "here")
    assert f"feature {encode.EVENT_DESC}" in str(found.problems[0])


def test_a_format_that_makes_no_sense_leaves_its_samples_raw(tmp_path: Path) -> None:
    tracing = encode.tracing_data("syscalls", ["nonsense"])
    events = [(attr(RAW, type_=2, config=305), (7,))]
    data = file(a_sample(1, form=RAW, raw=bytes(20)), events=events, features={encode.TRACING_DATA: tracing})
    records, found, _ = read(tmp_path, data)
    assert isinstance(records[0], Sample)
    assert (records[0].fields, records[0].raw) == (None, bytes(20))
    assert "nonsense" in str(found.problems[0])


def test_a_format_that_makes_no_sense_leaves_the_others(tmp_path: Path) -> None:
    tracing = encode.tracing_data("syscalls", ["nonsense", FORMAT])
    events = [(attr(RAW, type_=2, config=305), (7,))]
    data = file(a_sample(1, form=RAW, raw=bytes(20)), events=events, features={encode.TRACING_DATA: tracing})
    records, found, _ = read(tmp_path, data)
    assert (records[0].event, len(found.problems)) == ("syscalls:sys_enter_getppid", 1)


def test_more_names_of_events_than_there_can_be_are_a_problem(tmp_path: Path) -> None:
    desc = u32(1 << 15) + u32(0) + (u32(0) + u32(0)) * (1 << 15)
    _, found, _ = read(tmp_path, file(a_sample(1), features={encode.EVENT_DESC: desc}))
    assert "32768 events" in str(found.problems[0])


def _patched(offset: int, value: int) -> Callable[[bytes], bytes]:
    return lambda data: data[:offset] + struct.pack("=Q", value) + data[offset + 8 :]


@pytest.mark.parametrize("offset", range(16, 104, 8))
@pytest.mark.parametrize("value", [0, 1, 1 << 24, 1 << 40, (1 << 64) - 1])
def test_no_number_in_the_header_makes_it_ask_for_more_than_there_is(tmp_path: Path, offset: int, value: int) -> None:
    data = _patched(offset, value)(file(a_sample(1), features={encode.HOSTNAME: encode.text("here")}))
    try:
        read(tmp_path, data)
    except PerfDataError as error:
        assert error.path in str(error)  # noqa: PT017 - either is right, and nothing else
