from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from perfring import tracefs
from perfring.errors import PermissionDenied, RawDataError, TracepointNotFound
from tests.unit._files import FileKernel, file_kernel

if TYPE_CHECKING:
    from pyfakefs.fake_filesystem import FakeFilesystem

ROOT = "/sys/kernel/tracing"
MOUNTED = f"42 23 0:13 / {ROOT} rw,relatime - tracefs nodev rw\n"

COMMON = """\
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
\tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;
\tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;
\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;

"""
COMMON_BYTES = struct.pack("=HBBi", 7, 1, 2, -3)


def format_text(*fields: str, event: str = "tried") -> str:
    lines = "".join(f"\tfield:{field}\n" for field in fields)
    return f'name: {event}\nID: 7\nformat:\n{COMMON}{lines}\nprint fmt: "x=%d", REC->x\n'


def tried(*fields: str) -> tracefs.TracepointFormat:
    return tracefs.parse_format(format_text(*fields), system="sys")


def decoded(field: str, data: bytes) -> tracefs.Value:
    """What a tracepoint with this one field, called x, makes of the data behind the common fields."""
    return tried(field).decode(COMMON_BYTES + data)["x"]


@pytest.fixture
def mounted(fs: FakeFilesystem) -> None:
    """A tracefs with three tracepoints."""
    for name in ("sched/sched_switch", "sched/sched_waking", "block/block_rq_issue"):
        text = format_text("int x; offset:8; size:4; signed:1;", event=name.split("/")[1])
        fs.create_file(f"{ROOT}/events/{name}/format", contents=text)
        fs.create_file(f"{ROOT}/events/{name.split('/')[0]}/{name.split('/')[1]}/id")
    for name in ("enable", "header_page", "sched/enable", "sched/filter"):
        fs.create_file(f"{ROOT}/events/{name}")
    fs.create_file("/proc/self/mountinfo", contents=MOUNTED)


@pytest.mark.parametrize(
    ("field", "data", "value"),
    [
        ("int x; offset:8; size:4; signed:1;", b"\xff\xff\xff\xff", -1),
        ("u32 x; offset:8; size:4; signed:0;", b"\xff\xff\xff\xff", 0xFFFFFFFF),
        ("umode_t x; offset:8; size:8; signed:0;", b"\1\0\0\0\0\0\0\x80", 1 << 63 | 1),
        ("const char * x; offset:8; size:8; signed:0;", b"\x10" + bytes(7), 16),
        ("void __seg_gs * x; offset:8; size:8; signed:0;", b"\x10" + bytes(7), 16),
        ("enum zone_type x; offset:8; size:1; signed:0;", b"\xfe", 254),
        ("short x; offset:10; size:2; signed:1;", b"??\xfe\xff", -2),
        ("char x; offset:8; size:1; signed:1;", b"\xff", -1),
        ("bool x; offset:8; size:1; signed:0;", b"\2", True),
        ("char x[6]; offset:8; size:6; signed:0;", b"ab\0cd\0", "ab"),
        ("char x[2]; offset:8; size:2; signed:1;", b"ab", "ab"),
        ("char x[TASK_COMM_LEN]; offset:8; size:3; signed:1;", b"a\xff\0", "a\udcff"),
        ("u8 x[3]; offset:8; size:3; signed:0;", b"\0\1\2", b"\0\1\2"),
        ("unsigned char x[2]; offset:8; size:2; signed:0;", b"\0\1", b"\0\1"),
        ("s8 x[2]; offset:8; size:2; signed:1;", b"\xff\1", (-1, 1)),
        ("u32 x[2]; offset:8; size:8; signed:0;", b"\1\0\0\0\2\0\0\0", (1, 2)),
        ("long x[1]; offset:8; size:8; signed:1;", b"\xff" * 8, (-1,)),
        ("my_u16 x[2]; offset:8; size:4; signed:0;", b"\1\0\2\0", (1, 2)),
        ("void * x[1]; offset:8; size:8; signed:0;", b"\1" + bytes(7), (1,)),
        ("struct in6_addr x; offset:8; size:16; signed:0;", bytes(range(16)), bytes(range(16))),
        ("struct pair x[2]; offset:8; size:6; signed:0;", b"abcdef", b"abcdef"),
        ("unsigned long x[]; offset:8; size:0; signed:0;", b"\1" + bytes(7) + b"\2" + bytes(7) + b"pad", (1, 2)),
    ],
)
def test_each_c_type_becomes_its_python_value(field: str, data: bytes, value: tracefs.Value) -> None:
    found = decoded(field, data)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("field", "data", "value"),
    [
        ("__data_loc char[] x; offset:8; size:4; signed:0;", struct.pack("=HH4s", 12, 4, b"abc"), "abc"),
        ("__data_loc char[] x; offset:8; size:4; signed:0;", struct.pack("=HH4s", 12, 2, b"abc"), "ab"),
        ("__data_loc char[] x; offset:8; size:4; signed:0;", struct.pack("=HH", 0, 0), ""),
        ("__rel_loc char[] x; offset:8; size:4; signed:0;", struct.pack("=HH4s", 1, 3, b"?bc"), "bc"),
        ("__data_loc u8[] x; offset:8; size:4; signed:0;", struct.pack("=HH2s", 12, 2, b"\0\1"), b"\0\1"),
        ("__data_loc u64[] x; offset:8; size:4; signed:0;", struct.pack("=HHQQ", 12, 16, 5, 6), (5, 6)),
        ("__data_loc int[] x; offset:8; size:4; signed:1;", struct.pack("=HHi", 12, 4, -5), (-5,)),
        ("__data_loc cpumask_t x; offset:8; size:4; signed:0;", struct.pack("=HHQ", 12, 8, 3), (3,)),
        ("__data_loc struct odd[] x; offset:8; size:4; signed:0;", struct.pack("=HH3s", 12, 3, b"abc"), b"abc"),
    ],
)
def test_what_has_no_fixed_length_is_found_behind_the_fields(field: str, data: bytes, value: tracefs.Value) -> None:
    assert decoded(field, data + b"padding") == value


def test_fields_come_in_the_order_of_their_offsets() -> None:
    found = tried("char b; offset:9; size:1; signed:0;", "char a; offset:8; size:1; signed:0;")
    assert found.decode(COMMON_BYTES + b"\1\2") == {"a": 1, "b": 2}
    assert list(found.decode(COMMON_BYTES + b"\1\2")) == ["a", "b"]


def test_common_fields_are_kept_apart() -> None:
    found = tried("int x; offset:8; size:4; signed:1;")
    common = {"common_type": 7, "common_flags": 1, "common_preempt_count": 2, "common_pid": -3}
    assert found.decode_common(COMMON_BYTES) == common
    assert "common_pid" not in found.decode(COMMON_BYTES + bytes(4))


def test_one_field_is_read_without_the_ones_behind_it() -> None:
    found = tried("int x; offset:8; size:4; signed:1;", "u64 far; offset:800; size:8; signed:0;")
    assert found.value(COMMON_BYTES + b"\5\0\0\0", "x") == 5
    assert found.value(COMMON_BYTES, "common_pid") == -3


def test_a_field_that_does_not_exist_is_named_with_those_that_do() -> None:
    with pytest.raises(KeyError, match=r"sys:tried has no field 'y'; it has common_type, .*x"):
        tried("int x; offset:8; size:4; signed:1;").value(bytes(12), "y")


@pytest.mark.parametrize("raw_type", [bytes, bytearray, memoryview])
def test_any_buffer_can_be_decoded(raw_type: type[bytes] | type[bytearray] | type[memoryview]) -> None:
    found = tried("__data_loc char[] x; offset:8; size:4; signed:0;")
    assert found.decode(raw_type(COMMON_BYTES + struct.pack("=HH3s", 12, 3, b"abc"))) == {"x": "abc"}


@pytest.mark.parametrize("length", range(12))
def test_raw_data_that_is_too_short_names_the_field(length: int) -> None:
    found = tried("char a; offset:8; size:1; signed:0;", "u16 x; offset:10; size:2; signed:0;")
    with pytest.raises(RawDataError, match=f"which has {length}$") as caught:
        found.decode(bytes(length))
    assert caught.value.field == ("a" if length < 9 else "x")


@pytest.mark.parametrize(("start", "length"), [(12, 5), (17, 0), (0xFFFF, 0xFFFF)])
def test_a_string_that_points_outside_names_the_field(start: int, length: int) -> None:
    with pytest.raises(RawDataError, match="sys:tried: the field 'x' is bytes") as caught:
        decoded("__data_loc char[] x; offset:8; size:4; signed:0;", struct.pack("=HH4s", start, length, b"abcd"))
    assert caught.value.tracepoint == "sys:tried"


def test_name_id_and_print_format_are_read() -> None:
    found = tried()
    assert (found.name, found.id, found.print_format) == ("sys:tried", 7, '"x=%d", REC->x')


@pytest.mark.parametrize("text", ["", "name: a\n", "ID: 7\n", "name: a\nID: x\n"])
def test_what_is_no_format_file_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a tracepoint's format file"):
        tracefs.parse_format(text, system="sys")


def test_a_broken_field_is_refused_with_its_line() -> None:
    with pytest.raises(ValueError, match=r"not a field of a tracepoint's format: .*size:x"):
        tried("int x; offset:8; size:x;")


def test_fields_that_overlap_are_refused() -> None:
    with pytest.raises(ValueError, match="'y' at 10 lies inside the one before it"):
        tried("int x; offset:8; size:4; signed:1;", "int y; offset:10; size:4; signed:1;")


@pytest.mark.usefixtures("mounted")
def test_a_tracepoint_is_found_by_name() -> None:
    found = tracefs.read_format(file_kernel(), "sched:sched_switch")
    assert (found.name, found.id) == ("sched:sched_switch", 7)


@pytest.mark.usefixtures("mounted")
def test_all_names_are_listed_without_the_control_files() -> None:
    names = ("block:block_rq_issue", "sched:sched_switch", "sched:sched_waking")
    assert tracefs.tracepoint_names(file_kernel()) == names


@pytest.mark.usefixtures("mounted")
@pytest.mark.parametrize("name", ["sched:sched_swich", "proc:sched_switch"])
def test_an_unknown_tracepoint_is_named_with_what_is_alike(name: str) -> None:
    with pytest.raises(TracepointNotFound, match=f"no tracepoint '{name}'.*did you mean sched:sched_switch") as caught:
        tracefs.read_format(file_kernel(), name)
    assert caught.value.suggestions[0] == "sched:sched_switch"


@pytest.mark.usefixtures("mounted")
def test_an_unknown_tracepoint_like_nothing_points_to_the_list() -> None:
    with pytest.raises(TracepointNotFound, match=f"see the names below {ROOT}/events"):
        tracefs.read_format(file_kernel(), "zzz:qqqqqqq")


@pytest.mark.parametrize("name", ["foo", "a:b:c", "../x:y", "x:..", "a:b/../c", ":", "a:", "", "a:b\n", "é:b"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="should look like 'sched:sched_switch'") as caught:
        tracefs.read_format(file_kernel(), name)
    assert repr(name) in str(caught.value)


def test_without_tracefs_the_error_holds_the_command_that_mounts_it(fs: FakeFilesystem) -> None:
    fs.create_dir(ROOT)
    with pytest.raises(TracepointNotFound, match="sudo mount -t tracefs nodev /sys/kernel/tracing"):
        tracefs.read_format(file_kernel(), "sched:sched_switch")


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("42 23 0:13 / /mnt/my\\040trace rw - tracefs nodev rw\n", "/mnt/my trace"),
        ("42 23 0:13 / /mnt/debug rw shared:7 - debugfs none rw\n", "/mnt/debug/tracing"),
    ],
)
def test_a_mount_at_an_unusual_place_is_found(fs: FakeFilesystem, line: str, path: str) -> None:
    fs.create_dir(f"{path}/events")
    fs.create_file("/proc/self/mountinfo", contents=f"1 1 0:1 / / rw - ext4 /dev/vda rw\n{line}")
    assert tracefs.find_mount(file_kernel()) == tracefs.Mount(path, readable=True)


def test_the_old_place_below_debugfs_is_found(fs: FakeFilesystem) -> None:
    fs.create_dir("/sys/kernel/debug/tracing/events")
    assert tracefs.find_tracefs(file_kernel()) == "/sys/kernel/debug/tracing"


@pytest.mark.usefixtures("mounted")
def test_a_tracefs_that_may_not_be_read_is_not_called_unmounted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FileKernel, "list_dir", _refuse)
    with pytest.raises(PermissionDenied, match=r"remount,mode=0755,gid=\$\(id -g\) /sys/kernel/tracing"):
        tracefs.find_tracefs(file_kernel())


def test_a_closed_directory_that_is_no_mount_is_called_unmounted(
    fs: FakeFilesystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    fs.create_dir(ROOT)
    monkeypatch.setattr(FileKernel, "list_dir", _refuse)
    assert tracefs.find_mount(file_kernel()) is None


@pytest.mark.usefixtures("mounted")
def test_a_format_that_may_not_be_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FileKernel, "read_text", _refuse)
    with pytest.raises(PermissionDenied, match="sched_switch/format is not readable"):
        tracefs.read_format(file_kernel(), "sched:sched_switch")


def _refuse(_self: FileKernel, path: str) -> str:
    raise PermissionError(13, "Permission denied", path)
