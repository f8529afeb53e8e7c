"""PerfEventAttr against literal bytes and against the C struct."""

from __future__ import annotations

import struct
import sys

import pytest

from perfring.abi import PerfEventAttr, PerfEventAttrFields
from tests.unit.test_abi_constants import run_c

LITTLE = sys.byteorder == "little"

# What the header calls a field in C, where the Python name is another.
C_NAMES = {"reserved_1": "__reserved_1", "reserved_2": "__reserved_2"}
PYTHON_ONLY = {"flags", "extra"}

# In every literal below, and not 1 where the other fields are.
SIZE = slice(4, 8)

# Newer than the headers that distributions of 2023 install.
NEWER = {
    "aux_action", "aux_start_paused", "aux_pause", "aux_resume",
    "config3", "config4", "defer_callchain", "defer_output", "reserved_1",
}  # fmt: skip
FIELDS = sorted(set(PerfEventAttrFields.__annotations__) - PYTHON_ONLY - NEWER - {"size"})


def test_an_attr_packs_into_these_bytes() -> None:
    attr = PerfEventAttr(
        type=1, config=9, sample_type=0x10006, watermark=True, wakeup_watermark=4096, use_clockid=True, clockid=4
    )
    flags = (1 << 14 | 1 << 25) if LITTLE else (1 << 49 | 1 << 38)
    expected = struct.pack("=IIQQQQQI", 1, 144, 9, 0, 0x10006, 0, flags, 4096) + bytes(40)
    assert attr.pack() == (expected + struct.pack("=i", 4)).ljust(144, b"\0")


@pytest.mark.skipif(not LITTLE, reason="the literal is little-endian")
def test_an_attr_of_version_0_is_these_64_bytes() -> None:
    attr = PerfEventAttr(
        type=2, size=64, config=0x123, sample_period=1, disabled=True, precise_ip=2, sample_id_all=True
    )
    assert attr.pack().hex() == (
        "02000000400000002301000000000000010000000000000000000000000000000000000000000000"
        "010005000000000000000000000000000000000000000000"
    )


@pytest.mark.parametrize("name", FIELDS)
def test_a_field_lands_where_c_puts_it(name: str, c_images: dict[str, bytes]) -> None:
    attr = PerfEventAttr(size=128)
    setattr(attr, name, 1)
    ours = bytearray(attr.pack())
    ours[SIZE] = bytes(4)
    assert ours == c_images[name]


@pytest.mark.parametrize(
    ("name", "offset"), [("aux_action", 116), ("sig_data", 120), ("config3", 128), ("config4", 136)]
)
def test_a_field_newer_than_most_headers_is_at_this_offset(name: str, offset: int) -> None:
    attr = PerfEventAttr(size=144)
    setattr(attr, name, 1)
    assert int.from_bytes(attr.pack()[offset : offset + 4 if name == "aux_action" else offset + 8], sys.byteorder) == 1


@pytest.mark.parametrize(("name", "bit"), [("sigtrap", 37), ("defer_callchain", 38), ("defer_output", 39)])
def test_a_flag_newer_than_most_headers_is_this_bit(name: str, bit: int) -> None:
    attr = PerfEventAttr()
    setattr(attr, name, True)
    assert attr.flags == 1 << (bit if LITTLE else 63 - bit)


@pytest.mark.parametrize(("name", "bit"), [("aux_start_paused", 0), ("aux_pause", 1), ("aux_resume", 2)])
def test_an_aux_flag_is_this_bit_of_aux_action(name: str, bit: int) -> None:
    attr = PerfEventAttr()
    setattr(attr, name, True)
    assert (attr.aux_action, attr.flags) == (1 << (bit if LITTLE else 31 - bit), 0)


@pytest.fixture(scope="module")
def c_images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """For each field, the bytes of a C struct in which that field is 1 and the rest 0."""
    prints = [
        f"    {{ struct perf_event_attr a = {{0}}; a.{C_NAMES.get(name, name)} = 1;"
        " for (int i = 0; i < 128; i += 4)"
        f' printf("{name}.%d %u\\n", i, *(unsigned *)((char *)&a + i)); }}'
        for name in FIELDS
    ]
    words = run_c(tmp_path_factory.mktemp("attr"), prints)
    return {name: b"".join(struct.pack("=I", words[f"{name}.{i}"]) for i in range(0, 128, 4)) for name in FIELDS}


def test_the_newest_struct_is_144_bytes() -> None:
    assert PerfEventAttr().size == len(PerfEventAttr().pack()) == 144


@pytest.mark.parametrize(("size", "length"), [(0, 64), (64, 64), (136, 136), (144, 144), (200, 200), (70000, 65536)])
def test_pack_gives_as_many_bytes_as_size_says(size: int, length: int) -> None:
    assert len(PerfEventAttr(type=1, size=size).pack()) == length


@pytest.mark.parametrize("size", [1, 7])
def test_pack_always_holds_type_and_size(size: int) -> None:
    assert PerfEventAttr(type=1, size=size).pack() == struct.pack("=II", 1, size)


def test_a_size_that_cuts_off_a_field_is_refused() -> None:
    with pytest.raises(ValueError, match="size=64 cuts off config2=5"):
        PerfEventAttr(size=64, config2=5).pack()


def test_extra_bytes_follow_the_newest_field() -> None:
    assert PerfEventAttr(size=152, extra=b"\1" * 8).pack()[144:] == b"\1" * 8


def test_extra_bytes_beyond_size_are_refused() -> None:
    with pytest.raises(ValueError, match="extra"):
        PerfEventAttr(extra=b"\1").pack()


def test_unpack_is_the_inverse_of_pack() -> None:
    attr = PerfEventAttr(type=5, size=160, bp_addr=0x1000, bp_len=4, clockid=-3, precise_ip=3, extra=b"\2" * 16)
    assert PerfEventAttr.unpack(attr.pack()) == attr


def test_unpack_takes_an_old_struct() -> None:
    assert PerfEventAttr.unpack(struct.pack("=IIQ", 1, 64, 9).ljust(64, b"\0")) == PerfEventAttr(
        type=1, config=9, size=64
    )


@pytest.mark.parametrize(("data", "problem"), [(b"\0" * 7, "got 7"), (struct.pack("=II", 1, 64), "only 8 were given")])
def test_unpack_refuses_what_is_too_short(data: bytes, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        PerfEventAttr.unpack(data)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("sample_period", "sample_freq"),
        ("wakeup_events", "wakeup_watermark"),
        ("config1", "bp_addr"),
        ("kprobe_func", "uprobe_path"),
        ("config2", "bp_len"),
        ("kprobe_addr", "probe_offset"),
    ],
)
def test_two_names_of_a_union_are_one_value(one: str, other: str) -> None:
    attr = PerfEventAttr()
    setattr(attr, one, 7)
    assert getattr(attr, other) == 7


def test_one_value_under_two_names_is_refused() -> None:
    with pytest.raises(ValueError, match="wakeup_events and wakeup_watermark are one field"):
        PerfEventAttr(wakeup_events=1, wakeup_watermark=2)


@pytest.mark.parametrize(
    ("name", "value"),
    [("type", 2**32), ("config", -1), ("sample_max_stack", 2**16), ("clockid", 2**31), ("precise_ip", 4), ("mmap", 2)],
)
def test_a_value_that_does_not_fit_is_refused_by_name_and_value(name: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"{name}={value} does not fit"):
        setattr(PerfEventAttr(), name, value)


def test_a_value_that_is_no_int_is_refused() -> None:
    with pytest.raises(TypeError, match=r"config must be an int, not 1\.5"):
        PerfEventAttr(config=1.5)  # type: ignore[arg-type]


def test_an_unknown_keyword_is_refused() -> None:
    with pytest.raises(TypeError, match="no field 'wakeup_watermrak'"):
        PerfEventAttr(wakeup_watermrak=1)  # type: ignore[call-arg]


def test_an_unknown_attribute_is_refused() -> None:
    with pytest.raises(AttributeError):
        PerfEventAttr().wakeup_watermrak = 1  # type: ignore[attr-defined]


def test_flags_is_the_word_the_flags_are_in() -> None:
    attr = PerfEventAttr(disabled=True)
    assert attr.flags == (1 if LITTLE else 1 << 63)


def test_a_single_flag_given_with_flags_is_set_in_it() -> None:
    attr = PerfEventAttr(mmap=True, flags=PerfEventAttr(comm=True).flags)
    assert (attr.mmap, attr.comm) == (True, True)


def test_clearing_a_flag_leaves_the_others() -> None:
    attr = PerfEventAttr(mmap=True, comm=True)
    attr.mmap = False
    assert (attr.mmap, attr.comm) == (False, True)


def test_copy_changes_only_the_copy() -> None:
    attr = PerfEventAttr(config=1)
    assert (attr.copy(config=2).config, attr.config) == (2, 1)


def test_a_copy_is_equal() -> None:
    attr = PerfEventAttr(type=1, extra=b"x")
    assert attr.copy() == attr


def test_attrs_with_another_flag_differ() -> None:
    assert PerfEventAttr(comm=True) != PerfEventAttr()


def test_an_attr_cannot_be_a_key() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(PerfEventAttr())


def test_repr_shows_what_is_not_default() -> None:
    assert repr(PerfEventAttr(type=1, config=9)) == "PerfEventAttr(type=1, config=9)"


def test_repr_names_a_union_by_what_is_meant() -> None:
    attr = PerfEventAttr(watermark=True, wakeup_watermark=8, freq=True, sample_freq=99)
    assert repr(attr) == "PerfEventAttr(sample_freq=99, freq=True, watermark=True, wakeup_watermark=8)"


def test_repr_rebuilds_the_attr() -> None:
    attr = PerfEventAttr(type=5, bp_addr=16, bp_len=8, aux_action=1 << 5, reserved_1=1, size=152, extra=b"y")
    assert eval(repr(attr)) == attr


@pytest.mark.parametrize("name", sorted(PerfEventAttrFields.__annotations__))
def test_every_keyword_is_an_attribute(name: str) -> None:
    attr = PerfEventAttr()
    setattr(attr, name, b"z" if name == "extra" else 1)
    assert getattr(attr, name) == (b"z" if name == "extra" else 1)
