from __future__ import annotations

import json
from typing import Any

import pytest

import perfring
from perfring.decoding import Decoder
from perfring.errors import BadRecord
from perfring.fields import Namespace
from perfring.records import Record, Sample
from perfring.sideband import (
    RECORD_CLASSES,
    Comm,
    Fork,
    Lost,
    Mmap2,
    Read,
    SideBand,
    Switch,
    Throttle,
    UnknownRecord,
)
from tests.unit.encoder import PLAIN, Form, padded, read_values, record, trailer, u16, u32, u64, u64s

WHO = {"pid": 10, "tid": 11, "time": 1_000, "id": 7, "stream_id": 70, "sample_cpu": 3}
BEHIND = trailer(PLAIN, WHO)
MISC_13, MISC_14 = 1 << 13, 1 << 14
DEVICE = u32(8) + u32(1) + u64(99) + u64(5)
MAPPING = u32(20) + u32(21) + u64(0x7000) + u64(0x1000) + u64(0x2000)


def decode(image: bytes, form: Form = PLAIN) -> Record:
    decoder = Decoder({7: form.layout("known")}, default=PLAIN.layout("leader"))
    return decoder.decode(image, 0, cpu=1, position=640)


def side_band(record_type: int, payload: bytes, *, misc: int = 0) -> SideBand:
    made = decode(record(record_type, payload + BEHIND, misc=misc))
    assert isinstance(made, SideBand)
    return made


CASES: list[tuple[int, str, bytes, dict[str, Any]]] = [
    (1, "mmap", MAPPING + padded(b"/bin/a"), {"addr": 0x7000, "length": 0x1000, "pgoff": 0x2000, "filename": "/bin/a"}),
    (2, "lost", u64(7) + u64(3), {"lost_id": 7, "lost": 3}),
    (3, "comm", u32(20) + u32(21) + padded(b"name"), {"pid": 20, "tid": 21, "comm": "name"}),
    (
        *(4, "exit", u32(20) + u32(1) + u32(21) + u32(2) + u64(999)),
        {"pid": 20, "tid": 21, "ppid": 1, "ptid": 2, "time": 999},
    ),
    (5, "throttle", u64(999) + u64(7) + u64(71), {"time": 999, "id": 7, "stream_id": 71}),
    (6, "unthrottle", u64(999) + u64(7) + u64(71), {"time": 999, "id": 7, "stream_id": 71}),
    (
        *(7, "fork", u32(20) + u32(1) + u32(21) + u32(2) + u64(999)),
        {"pid": 20, "tid": 21, "ppid": 1, "ptid": 2, "time": 999},
    ),
    (
        *(10, "mmap2", MAPPING + DEVICE + u32(5) + u32(2) + padded(b"/bin/b")),
        {"maj": 8, "min": 1, "ino": 99, "ino_generation": 5, "prot": 5, "flags": 2, "filename": "/bin/b"},
    ),
    (11, "aux", u64(1) + u64(2) + u64(4), {"aux_offset": 1, "aux_size": 2, "flags": 4}),
    (12, "itrace_start", u32(20) + u32(21), {"pid": 20, "tid": 21}),
    (13, "lost_samples", u64(5), {"lost": 5}),
    (14, "switch", b"", {"pid": 10, "tid": 11}),
    (15, "switch_cpu_wide", u32(30) + u32(31), {"pid": 10, "next_prev_pid": 30, "next_prev_tid": 31}),
    (
        *(16, "namespaces", u32(20) + u32(21) + u64(2) + u64s([4, 100, 4, 101])),
        {"pid": 20, "tid": 21, "namespaces": (Namespace(4, 100), Namespace(4, 101))},
    ),
    (
        *(17, "ksymbol", u64(0xFFFF) + u32(64) + u16(2) + u16(1) + padded(b"bpf_prog_x")),
        {"addr": 0xFFFF, "length": 64, "symbol_type": 2, "flags": 1, "name": "bpf_prog_x", "unregister": True},
    ),
    (
        *(18, "bpf_event", u16(1) + u16(0) + u32(44) + b"tagbytes"),
        {"event_type": 1, "flags": 0, "program_id": 44, "tag": b"tagbytes"},
    ),
    (19, "cgroup", u64(12) + padded(b"/user.slice"), {"cgroup_id": 12, "path": "/user.slice"}),
    (
        *(20, "text_poke", u64(0x100) + u16(3) + u16(2) + b"oldnw" + bytes(7)),
        {"addr": 0x100, "old": b"old", "new": b"nw"},
    ),
    (21, "aux_output_hw_id", u64(9), {"hw_id": 9}),
]


def test_every_class_of_records_is_a_name_of_the_package() -> None:
    for made in (Record, Sample, SideBand, UnknownRecord, *RECORD_CLASSES.values()):
        assert getattr(perfring, made.__name__) is made
        assert made.__name__ in perfring.__all__


@pytest.mark.parametrize(("record_type", "kind", "payload", "expected"), CASES, ids=[case[1] for case in CASES])
def test_every_field_of_each_kind_is_decoded(
    record_type: int, kind: str, payload: bytes, expected: dict[str, Any]
) -> None:
    made = side_band(record_type, payload)
    assert {name: getattr(made, name) for name in expected} == expected
    assert (made.kind, made.type, made.event) == (kind, record_type, "known")


@pytest.mark.parametrize(("record_type", "kind", "payload", "expected"), CASES, ids=[case[1] for case in CASES])
def test_a_payload_cut_short_is_a_bad_record(record_type: int, kind: str, payload: bytes, expected: object) -> None:
    if record_type == 14:
        payload, cut = b"", BEHIND[8:]
    else:
        fixed = {1: 32, 3: 8, 10: 64, 17: 16, 19: 8}.get(record_type, len(payload))
        cut = payload[: fixed - 8] + BEHIND
    with pytest.raises(BadRecord):
        decode(record(record_type, cut))


def test_every_type_from_1_to_21_but_samples_has_a_class() -> None:
    assert sorted(RECORD_CLASSES) == [number for number in range(1, 22) if number != 9]


def test_the_trailer_says_who_and_when() -> None:
    lost = side_band(2, u64(7) + u64(3))
    assert (lost.pid, lost.tid, lost.time, lost.id) == (10, 11, 1_000, 7)


def test_where_it_came_from_is_kept() -> None:
    lost = side_band(2, u64(7) + u64(3), misc=2)
    assert (lost.cpu, lost.position, lost.misc, lost.size) == (1, 640, 2, 24 + len(BEHIND))


def test_a_richer_trailer_is_found_by_the_id_at_its_end() -> None:
    rich = Form(sample_type=PLAIN.sample_type | 1 << 6 | 1 << 7 | 1 << 9)
    lost = decode(record(2, u64(7) + u64(3) + trailer(rich, WHO)), rich)
    assert isinstance(lost, Lost)
    assert (lost.lost, lost.stream_id, lost.sample_cpu, lost.event) == (3, 70, 3, "known")
    assert (lost.pid, lost.tid, lost.time, lost.id) == (10, 11, 1_000, 7)


def test_the_id_of_a_trailer_without_identifier_is_found() -> None:
    form = Form(sample_type=2 | 4 | 1 << 6 | 1 << 9)
    lost = Decoder(default=form.layout()).decode(record(2, u64(8) + u64(3) + trailer(form, WHO)), 0, cpu=0, position=0)
    assert isinstance(lost, Lost)
    assert (lost.time, lost.id, lost.stream_id, lost.lost_id) == (1_000, 7, 70, 8)


def test_the_trailer_of_an_unknown_event_has_the_default_form() -> None:
    lost = decode(record(2, u64(8) + u64(3) + trailer(PLAIN, WHO | {"id": 8})))
    assert isinstance(lost, Lost)
    assert (lost.lost, lost.time, lost.id, lost.event) == (3, 1_000, 8, None)


def test_without_sample_id_all_the_payload_is_all() -> None:
    bare = Form(sample_type=2, sample_id_all=False).layout()
    lost = Decoder(default=bare).decode(record(2, u64(8) + u64(3)), 0, cpu=0, position=0)
    assert isinstance(lost, Lost)
    assert (lost.lost, lost.time, lost.id) == (3, None, None)


def test_a_name_that_is_no_utf8_survives() -> None:
    made = side_band(3, u32(1) + u32(1) + padded(b"\xff\xfe"))
    assert isinstance(made, Comm)
    assert made.comm.encode("utf-8", "surrogateescape") == b"\xff\xfe"


def test_what_follows_the_nul_is_padding() -> None:
    made = side_band(3, u32(1) + u32(1) + b"ab\0c\0\0\0\0")
    assert isinstance(made, Comm)
    assert made.comm == "ab"


@pytest.mark.parametrize(("misc", "expected"), [(0, False), (MISC_13, True)])
def test_a_comm_by_exec_is_marked(misc: int, expected: bool) -> None:
    made = side_band(3, u32(1) + u32(1) + padded(b"x"), misc=misc)
    assert isinstance(made, Comm)
    assert made.exec is expected


@pytest.mark.parametrize(
    ("misc", "expected"), [(0, (False, False)), (MISC_13, (True, False)), (MISC_13 | MISC_14, (True, True))]
)
def test_a_switch_says_its_direction_and_preemption(misc: int, expected: tuple[bool, bool]) -> None:
    made = side_band(14, b"", misc=misc)
    assert isinstance(made, Switch)
    assert (made.out, made.preempt) == expected


@pytest.mark.parametrize(
    ("misc", "expected"), [(0, (False, False)), (MISC_13, (True, False)), (1 << 12, (False, True))]
)
def test_a_mapping_says_whether_it_is_data_and_whether_some_are_missing(misc: int, expected: tuple[bool, bool]) -> None:
    made = side_band(10, MAPPING + DEVICE + u32(5) + u32(2) + padded(b"x"), misc=misc)
    assert isinstance(made, Mmap2)
    assert (made.data, made.parse_timeout) == expected


def test_a_build_id_takes_the_place_of_the_device() -> None:
    build_id = bytes(range(20))
    payload = MAPPING + bytes([20, 0, 0, 0]) + build_id + u32(5) + u32(2) + padded(b"x")
    made = side_band(10, payload, misc=MISC_14)
    assert isinstance(made, Mmap2)
    assert (made.build_id, made.ino, made.prot, made.filename) == (build_id, 0, 5, "x")


def test_a_short_build_id_has_its_own_length() -> None:
    payload = MAPPING + bytes([4, 0, 0, 0]) + b"abcd" + bytes(16) + u32(5) + u32(2) + padded(b"x")
    made = side_band(10, payload, misc=MISC_14)
    assert isinstance(made, Mmap2)
    assert made.build_id == b"abcd"


@pytest.mark.parametrize(
    ("record_type", "misc", "payload", "text"),
    [
        (10, MISC_14, MAPPING + bytes([21]) + bytes(23) + bytes(8) + padded(b"x"), "build id of 21 bytes"),
        (16, 0, u32(1) + u32(1) + u64(2) + bytes(16), "2 namespaces do not fit"),
        (16, 0, u32(1) + u32(1) + u64(2**64 - 1), "namespaces do not fit"),
        (20, 0, u64(1) + u16(8) + u16(1) + bytes(4), "8 old and 1 new bytes"),
    ],
)
def test_a_count_beyond_the_record_is_a_bad_record(record_type: int, misc: int, payload: bytes, text: str) -> None:
    with pytest.raises(BadRecord, match=text):
        side_band(record_type, payload, misc=misc)


def test_a_read_record_is_decoded_by_the_read_format_of_its_event() -> None:
    form = Form(sample_type=PLAIN.sample_type, read_format=1 | 4)
    values = read_values(form.read_format, {"enabled": 50, "counts": [(123, 7, 0)]})
    made = decode(record(8, u32(20) + u32(21) + values + BEHIND), form)
    assert isinstance(made, Read)
    assert made.values is not None
    assert (made.pid, made.values.value, made.values.id, made.values.time_enabled) == (20, 123, 7, 50)


def test_a_read_record_of_an_unknown_event_keeps_its_bytes() -> None:
    made = decode(record(8, u32(20) + u32(21) + u64(5) + trailer(PLAIN, WHO | {"id": 8})))
    assert isinstance(made, Read)
    assert (made.values, made.raw_values) == (None, u64(5))


def test_an_unknown_type_is_delivered_with_its_body_and_time() -> None:
    made = side_band(4000, b"whatever", misc=5)
    assert isinstance(made, UnknownRecord)
    assert (made.type, made.kind, made.misc, made.body, made.time) == (4000, "unknown", 5, b"whatever", 1_000)


@pytest.mark.parametrize("body", [b"", bytes(8), bytes(16)])
def test_an_unknown_type_too_short_for_a_trailer_is_no_error(body: bytes) -> None:
    made = decode(record(4000, body))
    assert isinstance(made, UnknownRecord)
    assert (made.body, made.time) == (body, None)


@pytest.mark.parametrize(
    ("misc", "mode"), [(0, "unknown"), (1, "kernel"), (2, "user"), (3, "hypervisor"), (5, "guest_user"), (7, "unknown")]
)
def test_the_cpu_mode_has_a_name(misc: int, mode: str) -> None:
    assert side_band(2, u64(7) + u64(3), misc=misc).cpu_mode == mode


def test_to_dict_of_a_fork_is_stable() -> None:
    fork = side_band(7, u32(20) + u32(1) + u32(21) + u32(2) + u64(999))
    assert fork.to_dict() == {
        "kind": "fork",
        "cpu": 1,
        "position": 640,
        "time": 999,
        "pid": 20,
        "tid": 21,
        "id": 7,
        "event": "known",
        "ppid": 1,
        "ptid": 2,
    }


@pytest.mark.parametrize(("record_type", "kind", "payload", "expected"), CASES, ids=[case[1] for case in CASES])
def test_to_dict_is_json(record_type: int, kind: str, payload: bytes, expected: object) -> None:
    shown = side_band(record_type, payload).to_dict()
    assert json.loads(json.dumps(shown)) == shown


def test_bytes_become_hex_and_named_tuples_objects() -> None:
    assert side_band(18, u16(1) + u16(0) + u32(44) + b"\x01" * 8).to_dict()["tag"] == "01" * 8
    namespaces = side_band(16, u32(1) + u32(1) + u64(1) + u64s([4, 100]))
    assert namespaces.to_dict()["namespaces"] == [{"dev": 4, "ino": 100}]


def test_to_dict_of_a_switch_says_its_direction() -> None:
    shown = side_band(15, u32(30) + u32(31), misc=MISC_13).to_dict()
    assert (shown["out"], shown["preempt"], shown["next_prev_pid"]) == (True, False, 30)


def test_repr_leaves_out_what_is_not_known() -> None:
    assert repr(Comm(cpu=0, position=8, pid=1, tid=2, comm="x")) == (
        "Comm(cpu=0, position=8, pid=1, tid=2, comm='x', exec=False)"
    )


def test_records_of_the_same_content_are_equal() -> None:
    assert Fork(pid=1, ppid=2) == Fork(pid=1, ppid=2)
    assert Fork(pid=1, ppid=2) != Fork(pid=1, ppid=3)
    assert side_band(5, u64s([1, 7, 3])) != side_band(6, u64s([1, 7, 3]))


def test_a_throttle_without_trailer_knows_its_event_from_the_body() -> None:
    bare = Form(sample_type=2, sample_id_all=False).layout()
    made = Decoder(default=bare).decode(record(5, u64s([999, 7, 71])), 0, cpu=0, position=0)
    assert isinstance(made, Throttle)
    assert (made.time, made.id, made.stream_id) == (999, 7, 71)
