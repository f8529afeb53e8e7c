"""Writing perf.data: literal bytes, whole files after every commit, and disks that are full."""

from __future__ import annotations

import resource
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from perfring.abi import PerfEventAttr
from perfring.errors import PerfDataError
from perfring.perfdata import FileEvent, FileFeatures, PerfDataFile, PerfDataWriter, Place
from perfring.perfdata.buildids import decode_build_ids, elf_build_id, encode_build_ids, note_build_id
from perfring.perfdata.tracing import decode_tracing_data, encode_tracing_data
from tests.unit import perfdata_encoder as encode
from tests.unit.encoder import u32, u64
from tests.unit.perfdata_encoder import a_sample
from tests.unit.test_perfdata_reader import FORMAT

ATTR = PerfEventAttr(type=1, config=9, sample_period=1, sample_type=1 << 16 | 1 << 1 | 1 << 2, sample_id_all=True)
EVENT = FileEvent(attr=ATTR, name="event", ids=(7,))


def times(path: Path) -> list[int | None]:
    with PerfDataFile(str(path)) as found:
        read = [record.time for record in found.records()]
        assert not found.problems
        return read


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """What a full disk is like: the kernel refuses to let a file grow beyond it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_file_has_the_bytes_that_the_format_asks_for(tmp_path: Path) -> None:
    with PerfDataWriter(str(tmp_path / "x"), [EVENT]) as writer:
        writer.add(a_sample(5))
        writer.close()
    data = (tmp_path / "x").read_bytes()
    desc = encode.event_desc([(encode.attr(), "event", (7,))])
    start = 104 + 8 + 128 + len(desc) + -len(desc) % 8
    expected = b"PERFILE2" + u64(104) + u64(128) + u64(112) + u64(128) + u64(start) + u64(40) + u64(0) * 2
    expected += u64(1 << encode.EVENT_DESC) + u64(0) * 3 + u64(7) + encode.attr() + u64(104) + u64(8)
    expected += desc + bytes(-len(desc) % 8) + encode.FINISHED_ROUND + a_sample(5) + u64(240) + u64(len(desc))
    assert data == expected


def test_what_is_written_is_read(tmp_path: Path) -> None:
    features = FileFeatures(hostname="here", cpus=(4, 3), command=("perfring", "record"), memory_kib=5, arch="x")
    events = [EVENT, FileEvent(attr=ATTR, name="second", ids=(9, 8), places={8: Place(3, 44), 9: Place(2, 44)})]
    with PerfDataWriter(str(tmp_path / "x"), events, features=features) as writer:
        writer.add(a_sample(5, event=8))
        writer.close(times=(5, 5), build_ids=encode_build_ids([("/bin/x", b"\1" * 20)]))
    with PerfDataFile(str(tmp_path / "x")) as found:
        (record,) = found.records()
        told = found.features
        assert (record.event, record.cpu) == ("second", 3)
        assert (told.hostname, told.cpus, told.command, told.times) == ("here", (4, 3), ("perfring", "record"), (5, 5))
        assert found.build_ids == {"/bin/x": b"\1" * 20}
        assert [(event.attr, event.ids) for event in found.events] == [
            (ATTR.copy(size=112), (7,)),
            (ATTR.copy(size=112), (9, 8)),
        ]


def test_after_each_commit_the_file_is_whole(tmp_path: Path) -> None:
    with PerfDataWriter(str(tmp_path / "x"), [EVENT]) as writer:
        for number in range(1, 5):
            writer.add(a_sample(number))
            writer.commit()
            assert times(tmp_path / "x") == list(range(1, number + 1))


def test_what_was_not_committed_is_not_in_the_file(tmp_path: Path) -> None:
    with PerfDataWriter(str(tmp_path / "x"), [EVENT]) as writer:
        writer.add(a_sample(1))
        writer.commit()
        writer.add(a_sample(2))
    assert times(tmp_path / "x") == [1]


def test_a_process_that_dies_within_a_commit_leaves_what_there_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x"
    writer = PerfDataWriter(str(path), [EVENT])
    writer.add(a_sample(1))
    writer.commit()
    whole, seen = writer._write, []

    def write(data: bytes, offset: int) -> None:
        whole(data, offset)
        seen.append(times(path))

    monkeypatch.setattr(writer, "_write", write)
    writer.add(a_sample(2))
    writer.close()
    # Each pair: header without features, records and table, header; the second is of what comes at the end.
    assert seen == [[1], [1], [1, 2], [1, 2], [1, 2], [1, 2]]


def test_a_new_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with PerfDataWriter(str(path), [EVENT]):
        assert path.stat().st_mode & 0o777 == 0o600


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with files_of_at_most(6000), PerfDataWriter(str(path), [EVENT]) as writer:
        writer.add(a_sample(1))
        writer.commit()
        writer.add(a_sample(2) * 200)
        with pytest.raises(OSError) as caught:
            writer.commit()
    assert (caught.value.filename, times(path)) == (str(path), [1])


def test_what_a_full_disk_refused_can_come_later(tmp_path: Path) -> None:
    with PerfDataWriter(str(tmp_path / "x"), [EVENT]) as writer:
        with files_of_at_most(6000):
            writer._reserved = 0
            writer.add(a_sample(1) * 200)
            with pytest.raises(OSError):
                writer.commit()
        assert writer.pending == 6400
        writer.close()
    assert times(tmp_path / "x") == [1] * 200


def test_a_disk_without_room_for_the_header_is_said_at_once(tmp_path: Path) -> None:
    with files_of_at_most(200), pytest.raises(OSError, match="too large") as caught:
        PerfDataWriter(str(tmp_path / "x"), [EVENT])
    assert caught.value.filename == str(tmp_path / "x")


def test_no_room_is_left_reserved_behind_the_file(tmp_path: Path) -> None:
    with PerfDataWriter(str(tmp_path / "x"), [EVENT]) as writer:
        writer.close()
    assert (tmp_path / "x").stat().st_size < 1000


def test_closing_twice_is_closing_once(tmp_path: Path) -> None:
    writer = PerfDataWriter(str(tmp_path / "x"), [EVENT])
    writer.close()
    writer.close()
    assert times(tmp_path / "x") == []


@pytest.mark.parametrize(("config4", "size"), [(0, 112), (1, 144)])
def test_attrs_are_as_short_as_they_can_be(tmp_path: Path, config4: int, size: int) -> None:
    event = FileEvent(attr=ATTR.copy(config4=config4), name="e", ids=(7,))
    with PerfDataWriter(str(tmp_path / "x"), [event]) as writer:
        writer.close()
    with PerfDataFile(str(tmp_path / "x")) as found:
        assert found.events[0].attr == event.attr.copy(size=size)


def test_no_event_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="events is empty"):
        PerfDataWriter(str(tmp_path / "x"), [])
    assert not (tmp_path / "x").exists()


def test_what_is_no_regular_file_is_refused() -> None:
    with pytest.raises(PerfDataError, match="regular"):
        PerfDataWriter("/dev/null", [EVENT])


# Build ids and tracing data, both ways.


def test_build_ids_have_the_bytes_that_perf_writes() -> None:
    written = encode_build_ids([("/bin/x", b"\1" * 20), ("[kernel.kallsyms]", b"\2" * 8)])
    expected = encode.build_id("/bin/x", b"\1" * 20) + encode.build_id("[kernel.kallsyms]", b"\2" * 8, kernel=True)
    assert written == expected
    assert decode_build_ids(expected) == [("/bin/x", b"\1" * 20), ("[kernel.kallsyms]", b"\2" * 8)]


@pytest.mark.parametrize("wide", [True, False])
def test_the_build_id_of_an_elf_file_is_found(tmp_path: Path, wide: bool) -> None:
    note = u32(4) + u32(3) + u32(3) + b"GNU\0" + b"\1\2\3\0"
    at = 64 + 56 if wide else 52 + 32
    if wide:
        head = b"\x7fELF\2".ljust(32, b"\0") + struct.pack("=QQIHHHHHH", 64, 0, 0, 64, 56, 1, 0, 0, 0)
        segment = struct.pack("=IIQQQQQQ", 4, 4, at, 0, 0, len(note), 0, 4)
    else:
        head = b"\x7fELF\1".ljust(28, b"\0") + struct.pack("=IIIHHHHHH", 52, 0, 0, 52, 32, 1, 0, 0, 0)
        segment = struct.pack("=IIIIIIII", 4, at, 0, 0, len(note), 0, 4, 4)
    (tmp_path / "elf").write_bytes(head + segment + note)
    assert elf_build_id(str(tmp_path / "elf")) == b"\1\2\3"


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"\x7fELF\2" + b"\xff" * 200, b"#!/bin/sh\n"])
def test_what_is_no_elf_file_has_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    assert elf_build_id(str(tmp_path / "x")) is None
    assert elf_build_id(str(tmp_path / "missing")) is None


def test_notes_before_the_build_id_are_passed_over() -> None:
    other = u32(5) + u32(2) + u32(9) + b"Linux\0\0\0" + b"ab\0\0"
    assert note_build_id(other + u32(4) + u32(2) + u32(3) + b"GNU\0" + b"\7\7\0\0") == b"\7\7"
    assert note_build_id(other) is None


def test_tracing_data_is_what_trace_cmd_would_read() -> None:
    written = encode_tracing_data({"syscalls": [FORMAT.encode()]}, heads=(b"ab", b""))
    theirs = encode.tracing_data("syscalls", [FORMAT])
    assert written == theirs.replace(u32(1) + u64(3) + b"own" + u32(1), u32(0) + u32(1))
    assert list(decode_tracing_data(theirs)) == list(decode_tracing_data(written)) == [305]
