from __future__ import annotations

import json
import sys
from dataclasses import replace
from typing import Any

import pytest

from perfring import abi
from perfring.abi import PerfEventAttr
from perfring.decoding import Decoder
from perfring.errors import BadRecord, RawDataError
from perfring.fields import Branch, Count, Frame, Registers, UserStack, WeightParts, frames_of, parse_read
from perfring.layout import EventLayout
from perfring.records import Sample
from perfring.tracepoint import TracepointFormat, parse_format
from tests.unit.encoder import PLAIN, Form, read_values, record, sample, u32, u64, u64s

WHO = {"id": 7, "pid": 10, "tid": 11, "time": 1_000}
little_endian = pytest.mark.skipif(sys.byteorder != "little", reason="the bytes are those of a little-endian machine")

LITERAL = bytes.fromhex(
    "09000000 0200 4800"  # PERF_RECORD_SAMPLE, user, 72 bytes
    "0700000000000000"  # id 7
    "efbeadde00000000"  # ip
    "0a000000 0b000000"  # pid 10, tid 11
    "e803000000000000"  # time 1000
    "03000000 00000000"  # cpu 3
    "0200000000000000 feffffffffffffff 0010400000000000"  # two words of call chain
)
LITERAL_FORM = Form(sample_type=1 << 16 | 1 | 2 | 4 | 1 << 7 | 1 << 5)
LITERAL_VALUES = WHO | {"ip": 0xDEADBEEF, "sample_cpu": 3, "callchain": (2**64 - 2, 0x401000)}

FORMAT = parse_format(
    """\
name: sys_enter_getppid
ID: 300
format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
\tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;
\tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;
\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;

\tfield:int __syscall_nr;\toffset:8;\tsize:4;\tsigned:1;

print fmt: ""
""",
    system="syscalls",
)


def decode(form: Form, values: dict[str, Any], *, misc: int = 0, format: TracepointFormat | None = None) -> Sample:
    layout = form.layout()
    layout.format = format
    made = Decoder(default=layout).decode(sample(form, WHO | values, misc=misc), 0, cpu=1, position=640)
    assert isinstance(made, Sample)
    return made


def asking_for(bit: int, **more: Any) -> Form:
    return replace(PLAIN, sample_type=PLAIN.sample_type | bit, **more)


@little_endian
def test_the_encoder_writes_the_literal_bytes() -> None:
    assert sample(LITERAL_FORM, LITERAL_VALUES, misc=2) == LITERAL


@little_endian
def test_the_decoder_reads_the_literal_bytes() -> None:
    made = Decoder(default=LITERAL_FORM.layout()).decode(LITERAL, 0, cpu=1, position=0)
    assert {name: getattr(made, name) for name in LITERAL_VALUES} == LITERAL_VALUES
    assert (made.type, made.kind, made.size, made.cpu_mode) == (9, "sample", 72, "user")


def test_a_sample_knows_where_it_came_from() -> None:
    made = decode(PLAIN, {})
    assert (made.cpu, made.position, made.event, made.layout.kind) == (1, 640, "event", "custom")


def test_a_field_that_was_not_asked_for_is_none() -> None:
    made = decode(Form(sample_type=1), {"ip": 5})
    assert (made.ip, made.time, made.pid, made.id, made.raw, made.read, made.weight_parts) == (5, *[None] * 6)


def test_the_id_without_identifier_is_found() -> None:
    assert decode(Form(sample_type=1 << 6 | 4), {}).id == 7


@pytest.mark.parametrize("length", [4, 12, 28])
def test_raw_data_is_kept_whole(length: int) -> None:
    assert decode(asking_for(1 << 10), {"raw": b"r" * length}).raw == b"r" * length


def test_registers_are_found_by_number() -> None:
    made = decode(asking_for(1 << 12, regs_user=0b1010), {"user_regs": (2, [55, 66])})
    assert made.user_regs == Registers(abi=2, mask=0b1010, values=(55, 66))
    assert made.user_regs.by_number() == {1: 55, 3: 66}


def test_no_registers_of_a_kernel_thread() -> None:
    made = decode(asking_for(1 << 18, regs_intr=0b1010), {"intr_regs": (0, [])})
    assert made.intr_regs == Registers(abi=0, mask=0b1010, values=())
    assert made.intr_regs.by_number() == {}


def test_the_user_stack_is_used_up_to_its_dynamic_size() -> None:
    made = decode(asking_for(1 << 13), {"user_stack": (b"stack..." * 2, 5)})
    assert made.user_stack == UserStack(b"stack...stack...", 5)
    assert made.user_stack.used == b"stack"


def test_an_empty_user_stack_has_no_dynamic_size() -> None:
    assert decode(asking_for(1 << 13), {"user_stack": (b"", 0)}).user_stack == UserStack(b"", 0)


def test_branches_come_with_index_and_counters() -> None:
    form = asking_for(1 << 11, branch_type=1 << 17 | 1 << 19)
    stack = decode(form, {"branch_stack": {"index": 9, "entries": [(1, 2, 3, 4), (5, 6, 7, 8)]}}).branch_stack
    assert stack is not None
    assert stack.hardware_index == 9
    assert stack.entries == (Branch(1, 2, 3, 4), Branch(5, 6, 7, 8))


def test_branches_without_extras_are_three_words() -> None:
    stack = decode(asking_for(1 << 11), {"branch_stack": {"entries": [(1, 2, 3)]}}).branch_stack
    assert stack is not None
    assert (stack.hardware_index, stack.entries) == (None, (Branch(1, 2, 3, None),))


@little_endian
def test_the_bits_of_a_branch_have_names() -> None:
    flags = 1 | 0 << 1 | 1 << 2 | 0 << 3 | 300 << 4 | 15 << 20 | 2 << 24 | 3 << 26 | 5 << 30
    branch = Branch(0, 0, flags)
    assert (branch.mispredicted, branch.predicted, branch.in_transaction, branch.abort) == (True, False, True, False)
    assert (branch.cycles, branch.type, branch.speculation, branch.new_type, branch.privilege) == (300, 15, 2, 3, 5)


def test_the_parts_of_a_weight() -> None:
    made = decode(asking_for(1 << 24), {"weight": 0x1111_2222_3333_4444})
    assert made.weight_parts == WeightParts(var1_dw=0x3333_4444, var2_w=0x2222, var3_w=0x1111)


def test_the_counts_of_a_group_come_with_the_sample() -> None:
    form = asking_for(1 << 4, read_format=4 | 8)
    made = decode(form, {"read": {"counts": [(5, 7, 0), (6, 8, 0)]}})
    assert made.read is not None
    assert made.read.counts == (Count(5, 7), Count(6, 8))


@pytest.mark.parametrize(("misc", "expected"), [(0, False), (1 << 14, True)])
def test_an_exact_ip_is_marked(misc: int, expected: bool) -> None:
    assert decode(PLAIN, {}, misc=misc).exact_ip is expected


RAW = b"\0" * 8 + u32(110)


def test_the_fields_of_a_tracepoint_are_decoded() -> None:
    made = decode(asking_for(1 << 10), {"raw": RAW}, format=FORMAT)
    assert made.fields == {"__syscall_nr": 110}
    assert made.fields is made.fields


def test_without_a_format_there_are_no_fields() -> None:
    assert decode(asking_for(1 << 10), {"raw": RAW}).fields is None


def test_one_field_is_decoded_alone() -> None:
    made = decode(asking_for(1 << 10), {"raw": RAW}, format=FORMAT)
    assert (made.field("__syscall_nr"), made.field("common_pid")) == (110, 0)


def test_a_field_that_there_is_not_is_told_with_those_that_there_are() -> None:
    made = decode(asking_for(1 << 10), {"raw": RAW}, format=FORMAT)
    with pytest.raises(KeyError, match="__syscall_nr"):
        made.field("nr")


def test_a_sample_without_a_format_has_no_field() -> None:
    with pytest.raises(TypeError, match=r"no field .nr.: it is no tracepoint"):
        decode(asking_for(1 << 10), {"raw": RAW}).field("nr")


def test_raw_data_that_does_not_fit_its_format_is_an_error_only_when_asked() -> None:
    made = decode(asking_for(1 << 10), {"raw": b"abcd"}, format=FORMAT)
    with pytest.raises(RawDataError):
        _ = made.fields
    assert made.to_dict()["raw"] == "61626364"


def test_to_dict_has_what_was_asked_for_and_no_more() -> None:
    assert decode(asking_for(1), {"ip": 5}).to_dict() == {
        "kind": "sample",
        "cpu": 1,
        "position": 640,
        "time": 1_000,
        "pid": 10,
        "tid": 11,
        "id": 7,
        "event": "event",
        "ip": 5,
    }


def test_to_dict_of_a_tracepoint_has_fields_in_place_of_raw() -> None:
    shown = decode(asking_for(1 << 10), {"raw": RAW}, format=FORMAT).to_dict()
    assert shown["fields"] == {"__syscall_nr": 110}
    assert "raw" not in shown


def test_to_dict_is_json() -> None:
    form = asking_for(1 << 4 | 1 << 11 | 1 << 13)
    shown = decode(
        form,
        {"read": {"counts": [(5, 0, 0)]}, "branch_stack": {"entries": [(1, 2, 3)]}, "user_stack": (b"\xab" * 8, 8)},
    ).to_dict()
    assert json.loads(json.dumps(shown)) == shown
    assert (shown["user_stack"]["data"], shown["read"]["counts"][0]["value"]) == ("ab" * 8, 5)


def test_repr_shows_the_fields() -> None:
    shown = repr(decode(asking_for(1), {"ip": 5}))
    assert shown == "Sample(cpu=1, position=640, time=1000, pid=10, tid=11, id=7, event='event', ip=5)"


def test_samples_of_the_same_content_are_equal() -> None:
    assert decode(asking_for(1), {"ip": 5}) == decode(asking_for(1), {"ip": 5})
    assert decode(asking_for(1), {"ip": 5}) != decode(asking_for(1), {"ip": 6})
    assert decode(asking_for(1), {"ip": 5}) != decode(asking_for(8), {"addr": 5})


@pytest.mark.parametrize(
    ("bit", "body", "text"),
    [
        (1 << 5, u64(2) + u64(1), "a call chain of 16 bytes where 8 are left"),
        (1 << 5, u64(2**64 - 1), "a call chain"),
        (1 << 10, u32(8) + bytes(4), "raw data of 8 bytes where 4 are left"),
        (1 << 11, u64(1) + bytes(16), "a branch stack of 24 bytes where 16 are left"),
        (1 << 13, u64(16) + bytes(8), "a user stack of 16 bytes where 8 are left"),
        (1 << 13, u64(8) + bytes(8) + u64(9), "9 bytes of a user stack of 8"),
        (1 << 20, u64(16) + bytes(8), "AUX data of 16 bytes where 8 are left"),
        (1 << 20, u64(15) + bytes(8), "AUX data"),
        (1 << 4, b"", "do not fit"),
        (1, b"", "requires"),
        (0, u64(0), "requires"),
        (1 << 5, u64(0) + u64(0), "end at byte 40 of 48"),
    ],
)
def test_fields_that_do_not_fill_the_record_are_a_bad_record(bit: int, body: bytes, text: str) -> None:
    form = asking_for(bit)
    image = record(9, sample(PLAIN, WHO)[8:] + body)
    with pytest.raises(BadRecord, match=text):
        Decoder(default=form.layout()).decode(image, 0, cpu=0, position=0)


def test_a_sample_type_that_is_not_known_is_refused() -> None:
    with pytest.raises(ValueError, match="0x2000000 of 'new' has bits beyond"):
        EventLayout(PerfEventAttr(type=1, sample_type=1 << 25), name="new", kind="custom")


def test_a_read_format_that_is_not_known_is_refused() -> None:
    with pytest.raises(ValueError, match="0x20 has bits beyond"):
        EventLayout(PerfEventAttr(type=1, read_format=1 << 5), name="new", kind="custom")
    with pytest.raises(ValueError, match="0x20 has bits beyond"):
        parse_read(1 << 5, u64(0))


def test_the_counts_of_one_event() -> None:
    values = parse_read(1 | 2 | 4 | 16, u64s([5, 60, 50, 7, 2]))
    assert (values.value, values.time_enabled, values.time_running, values.id, values.lost) == (5, 60, 50, 7, 2)


def test_the_counts_of_a_group() -> None:
    values = parse_read(1 | 2 | 4 | 8 | 16, u64s([2, 60, 50, 5, 7, 2, 6, 8, 3]))
    assert values.counts == (Count(5, 7, 2), Count(6, 8, 3))
    assert (values.time_enabled, values.time_running, values.value) == (60, 50, 5)


@pytest.mark.parametrize("read_format", range(32))
def test_every_read_format_reads_what_was_written(read_format: int) -> None:
    counts = [(5, 7, 2), (6, 8, 3)][: 1 + bool(read_format & 8)]
    data = read_values(read_format, {"enabled": 60, "running": 50, "counts": counts})
    values = parse_read(read_format, data)
    shown = [
        (c.value, c.id if read_format & 4 else 7 + i, c.lost if read_format & 16 else 2 + i)
        for i, c in enumerate(values.counts)
    ]
    assert shown == counts
    assert values.time_enabled == (60 if read_format & 1 else None)
    assert values.time_running == (50 if read_format & 2 else None)


@pytest.mark.parametrize(
    ("read_format", "data"),
    [(0, b""), (0, bytes(16)), (0, bytes(7)), (8, b""), (8, u64(2**63)), (8, u64(0) + bytes(4))],
)
def test_counts_of_the_wrong_length_are_refused(read_format: int, data: bytes) -> None:
    with pytest.raises(ValueError, match=r"calls for|do not fit|no room"):
        parse_read(read_format, data)


# Call chains.


def test_frames_are_the_call_chain_without_its_marks() -> None:
    chain = (abi.PERF_CONTEXT_KERNEL, 0x10, 0x20, abi.PERF_CONTEXT_USER, 0x100, 0x200)
    assert [*frames_of(chain)] == [
        Frame(0x10, "kernel", is_return=False),
        Frame(0x20, "kernel", is_return=True),
        Frame(0x100, "user", is_return=False),
        Frame(0x200, "user", is_return=True),
    ]


def test_a_return_address_is_looked_up_before_itself() -> None:
    assert [frame.call_site for frame in frames_of((abi.PERF_CONTEXT_USER, 0x100, 0x200))] == [0x100, 0x1FF]


@pytest.mark.parametrize(
    ("mark", "mode"),
    [
        (abi.PERF_CONTEXT_HV, "hypervisor"),
        (abi.PERF_CONTEXT_GUEST, "guest"),
        (abi.PERF_CONTEXT_GUEST_KERNEL, "guest_kernel"),
        (abi.PERF_CONTEXT_GUEST_USER, "guest_user"),
        (abi.PERF_CONTEXT_MAX, "unknown"),
    ],
)
def test_each_mark_has_a_word(mark: int, mode: str) -> None:
    assert [*frames_of((mark, 5))] == [Frame(5, mode, is_return=False)]


def test_the_number_of_a_deferred_chain_is_no_frame() -> None:
    chain = (abi.PERF_CONTEXT_KERNEL, 0x10, abi.PERF_CONTEXT_USER_DEFERRED, 7)
    assert [*frames_of(chain)] == [Frame(0x10, "kernel", is_return=False)]


def test_a_sample_has_the_frames_of_its_call_chain() -> None:
    made = decode(asking_for(abi.PERF_SAMPLE_CALLCHAIN), {"callchain": (abi.PERF_CONTEXT_USER, 5)})
    assert made.frames == (Frame(5, "user", is_return=False),)


def test_a_sample_without_a_call_chain_has_no_frames() -> None:
    assert decode(PLAIN, {}).frames is None
