"""K4, K34: rings that are mapped read-only, and rings that are written backwards."""

from __future__ import annotations

from perfring import abi
from simkernel.contract.raw import HEADER, POLLIN
from simkernel.contract.rig import Rig, expect, require
from simkernel.contract.suite import check

_TOP = 1 << 64


@check("K4")
def check_read_only_there_is_no_space_check(rig: Rig) -> None:
    ring = rig.ring(rig.samples(), writable=False)
    times = 3 * ring.size // 16
    rig.actor.getppid(times)
    expect(ring.head, times * 16, "head of an overwriting ring that went round three times")


@check("K4")
def check_writable_the_same_ring_fills_up(rig: Rig) -> None:
    ring = rig.ring(rig.samples())
    rig.actor.getppid(3 * ring.size // 16)
    expect(ring.head, ring.size - 16, "head of a ring that refuses what does not fit")


@check("K4")
def check_the_oldest_records_are_overwritten(rig: Rig) -> None:
    ring = rig.ring(rig.samples(sample_type=abi.PERF_SAMPLE_TIME), writable=False)
    rig.actor.getppid(ring.size // 16)
    oldest = bytes(ring.mapping.data[:16])
    rig.actor.getppid()
    newest = bytes(ring.mapping.data[:16])
    require(
        oldest[:8] == newest[:8] and oldest[8:] != newest[8:], "the oldest record was not overwritten by the newest"
    )


@check("K4")
def check_what_is_overwritten_is_not_lost(rig: Rig) -> None:
    ring = rig.ring(rig.samples(read_format=abi.PERF_FORMAT_LOST), writable=False)
    times = 2 * ring.size // 16
    rig.actor.getppid(times)
    expect(rig.counts(ring.fd), (times, 0), "count and losses of an overwriting ring")


@check("K4")
def check_a_record_wraps_in_an_overwriting_ring_too(rig: Rig) -> None:
    ring = rig.ring(rig.samples(24), writable=False)
    times = ring.size // 24 + 1
    rig.actor.getppid(times)
    before, last = (record.unpack("IIQ") for record in ring.walk((times - 2) * 24, times * 24))
    expect(last[:2], (rig.actor.pid,) * 2, "pid and tid of a record that straddles the end")
    require(last[2] >= before[2], "the time of a record that straddles the end is not its own")


@check("K4")
def check_an_overwriting_ring_wakes(rig: Rig) -> None:
    ring = rig.ring(rig.waking(1024), writable=False)
    rig.actor.getppid(2 * ring.size // 16)
    expect([ring.ask(), ring.ask()], [POLLIN, 0], "two polls of an overwriting ring")


@check("K4")
def check_a_watermark_of_the_whole_ring_wakes_an_overwriting_reader(rig: Rig) -> None:
    ring = rig.ring(rig.waking(1 << 20), writable=False)
    rig.actor.getppid(ring.size // 16)
    expect(ring.ask(), 0, "readiness at the size of the ring")
    rig.actor.getppid()
    expect(ring.ask(), POLLIN, "readiness above the size of the ring")


@check("K4")
def check_a_later_writable_mapping_does_not_bring_the_space_check(rig: Rig) -> None:
    fd = rig.open(rig.samples())
    rig.map(fd, writable=False)
    ring = rig.map(fd)
    rig.actor.getppid(2 * ring.size // 16)
    expect(ring.head, 2 * ring.size, "head of a ring whose first mapping is read-only")


@check("K23", "K4")
def check_a_paused_overwriting_ring_stands_still(rig: Rig) -> None:
    ring = rig.ring(rig.samples(), writable=False)
    rig.actor.getppid(3)
    rig.pause(ring, True)
    rig.actor.getppid(3)
    expect(ring.head, 48, "head of an overwriting ring that was paused after three records")


@check("K34")
def check_backward_head_starts_at_0_and_goes_down(rig: Rig) -> None:
    ring = rig.ring(rig.samples(write_backward=True), writable=False)
    expect(ring.head, 0, "head of a new backward ring")
    rig.actor.getppid(2)
    expect(ring.head, _TOP - 32, "head of a backward ring after two records of 16 bytes")


@check("K34")
def check_backward_the_newest_record_is_at_head(rig: Rig) -> None:
    ring = rig.ring(rig.samples(write_backward=True, sample_type=abi.PERF_SAMPLE_TIME), writable=False)
    rig.actor.getppid(3)
    records = ring.walk(ring.head, 0)
    times = [record.unpack("Q")[0] for record in records]
    require(
        len(times) == 3 and times == sorted(times, reverse=True), f"times from head on are {times}, not newest first"
    )
    expect(HEADER.unpack_from(ring.mapping.data, ring.size - 16)[::2], (abi.PERF_RECORD_SAMPLE, 16), "oldest record")


@check("K34")
def check_backward_mapped_read_only_it_overwrites(rig: Rig) -> None:
    ring = rig.ring(rig.samples(write_backward=True), writable=False)
    times = 3 * ring.size // 16
    rig.actor.getppid(times)
    expect(ring.head, _TOP - times * 16, "head of a backward ring that went round three times")
    expect(len(ring.walk(ring.head, ring.head + ring.size)), ring.size // 16, "records from head on")


@check("K34")
def check_backward_mapped_writable_it_fills_up(rig: Rig) -> None:
    ring = rig.ring(rig.samples(write_backward=True))
    rig.actor.getppid(3 * ring.size // 16)
    expect(ring.head, _TOP - (ring.size - 16), "head of a backward ring that refuses what does not fit")


@check("K34")
def check_backward_wakeups_count_the_same_distance(rig: Rig) -> None:
    ring = rig.ring(rig.waking(1024, write_backward=True), writable=False)
    rig.actor.getppid(64)
    expect(ring.ask(), 0, "readiness of a backward ring at its watermark")
    rig.actor.getppid()
    expect(ring.ask(), POLLIN, "readiness of a backward ring above its watermark")
