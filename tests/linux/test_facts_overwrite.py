"""K34: rings that are written backwards."""

from __future__ import annotations

from perfring import abi
from tests.linux._rig import HEADER, IN, Rig, getppid, getppid_samples, head, waking

TOP = 1 << 64


def test_k34_head_starts_at_0_and_goes_down(rig: Rig) -> None:
    fd = rig.open(getppid_samples(write_backward=True))
    mapping = rig.map(fd, writable=False)
    assert head(mapping) == 0
    getppid(2)
    assert head(mapping) == TOP - 32


def test_k34_the_newest_record_is_at_head(rig: Rig) -> None:
    fd = rig.open(getppid_samples(write_backward=True, sample_type=abi.PERF_SAMPLE_TIME))
    mapping = rig.map(fd, writable=False)
    getppid(3)
    ring = bytes(mapping.data)[head(mapping) % len(mapping.data) :]
    assert HEADER.unpack_from(ring) == (abi.PERF_RECORD_SAMPLE, 2, 16)
    newest, middle, oldest = (int.from_bytes(ring[at + 8 : at + 16], "little") for at in (0, 16, 32))
    assert newest > middle > oldest


def test_k34_mapped_read_only_it_overwrites(rig: Rig) -> None:
    fd = rig.open(getppid_samples(write_backward=True))
    mapping = rig.map(fd, writable=False)
    times = 3 * len(mapping.data) // 16
    getppid(times)
    assert head(mapping) == TOP - times * 16


def test_k34_mapped_writable_it_fills_up(rig: Rig) -> None:
    _, mapping = rig.ring(getppid_samples(write_backward=True))
    getppid(3 * len(mapping.data) // 16)
    assert head(mapping) == TOP - (len(mapping.data) - 16)


def test_k34_wakeups_count_the_same_distance(rig: Rig) -> None:
    fd = rig.open(waking(1024, write_backward=True))
    rig.map(fd, writable=False)
    getppid(64)
    assert rig.ask(fd) == 0
    getppid(1)
    assert rig.ask(fd) == IN
