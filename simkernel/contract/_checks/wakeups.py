"""K7 to K10, K12, K13: when the kernel wakes the reader."""

from __future__ import annotations

from typing import Any

from perfring import abi
from simkernel.contract.raw import POLLIN, RawRing
from simkernel.contract.rig import Rig, expect, require
from simkernel.contract.suite import check


def _multiples(step: int, above: int, count: int, size: int) -> list[int]:
    """Where records of ``size`` bytes first exceed each multiple of ``step``, from ``above`` on."""
    return [(above + step * turn) // size * size + size for turn in range(count)]


@check("K7", watermark=[16, 40, 100, 160])
def check_the_cursor_moves_by_the_watermark_and_the_test_is_strict(rig: Rig, watermark: int) -> None:
    ring = rig.ring(rig.waking(watermark))
    want = [at for at in _multiples(watermark, watermark, 400 // watermark, 16) if at <= 400]
    expect(rig.wakes(ring, 25), want, f"head at each wakeup, with a watermark of {watermark}")


@check("K7")
def check_bytes_written_count_and_not_bytes_unread(rig: Rig) -> None:
    ring, woke_at = rig.ring(rig.waking(112, 56)), []
    for _ in range(12):
        woke_at += rig.wakes(ring, 1)
        ring.free()
    expect(woke_at, [168, 280, 392, 504, 616], "head at each wakeup of a reader that drains after each record")


@check("K7")
def check_the_cursor_moves_once_per_record_however_long_it_is(rig: Rig) -> None:
    long = rig.software(abi.PERF_COUNT_SW_BPF_OUTPUT, sample_period=1, sample_type=abi.PERF_SAMPLE_RAW)
    ring = rig.ring(rig.waking(100))
    output = rig.redirected(long.copy(watermark=True, wakeup_watermark=1), ring)
    rig.arm.connect_bpf_output(output.fd, rig.cpus[0])
    rig.actor.emit(bytes(308))
    expect((ring.head, ring.ask()), (320, POLLIN), "head and readiness after one record of 320 bytes")
    want = [336, 352]  # 336 > 100 + 100, 352 > 200 + 100; 368 is not above 300 + 100
    expect(rig.wakes(ring, 4), want, "head at the wakeups after a record of three watermarks")


@check("K7")
def check_the_watermark_belongs_to_the_ring_and_counts_what_all_events_write(rig: Rig) -> None:
    ring = rig.ring(rig.software(watermark=True, wakeup_watermark=100))
    rig.redirected(rig.waking(1), ring)
    expect(rig.wakes(ring, 14), [112, 208], "head at each wakeup of a ring that another event writes into")


@check("K7")
def check_side_band_crosses_the_watermark_too(rig: Rig) -> None:
    ring = rig.ring(rig.software(comm=True, watermark=True, wakeup_watermark=40))
    answers = []
    for name in ("one", "two", "three", "four"):
        rig.actor.rename(name)
        answers.append(ring.ask())
    expect(answers, [0, POLLIN, 0, POLLIN], "readiness after each COMM of 24 bytes, with a watermark of 40")


_HALF: dict[str, dict[str, Any]] = {
    "watermark of 0": {"watermark": True},
    "without the flag": {},
    "with many wakeup_events": {"wakeup_events": 1 << 30},
}


@check("K8", fields=_HALF)
def check_the_default_is_half_a_ring(rig: Rig, fields: dict[str, Any]) -> None:
    ring = rig.ring(rig.samples(**fields))
    half = ring.size // 2
    rig.actor.getppid(half // 16)
    expect((ring.head, ring.ask()), (half, 0), "head and readiness at half a ring")
    rig.actor.getppid()
    expect(ring.ask(), POLLIN, "readiness above half a ring")


@check("K8")
def check_more_than_the_ring_is_cut_down_to_the_ring(rig: Rig) -> None:
    ring, woke_at = rig.ring(rig.waking(2**32 - 1, 56)), []
    for _ in range(ring.size // 560 + 2):
        rig.actor.getppid(10)
        if ring.ask():
            woke_at.append(ring.head)
        ring.free()
    want = ring.size // 560 * 560 + 560
    expect(woke_at[:1], [want], "the first wakeup that a reader on a timer sees with a watermark of 4 GiB")


@check("K8")
def check_the_watermark_is_of_the_event_that_was_mapped(rig: Rig) -> None:
    ring = rig.ring(rig.waking(1600, disabled=True))
    rig.redirected(rig.waking(16), ring)
    expect(rig.wakes(ring, 101), [1616], "head at the wakeups of a ring whose watermark is 1600")


@check("K8")
def check_a_new_ring_begins_a_new_count(rig: Rig) -> None:
    ring = rig.ring(rig.waking(40))
    rig.actor.getppid(2)
    ring.mapping.close()
    again = rig.map(ring.fd)
    expect((again.ask(), rig.wakes(again, 3)), (0, [48]), "readiness and wakeups of a ring mapped anew")


@check("K9", n=[1, 2, 3])
def check_every_nth_sample_wakes(rig: Rig, n: int) -> None:
    ring = rig.ring(rig.samples(wakeup_events=n), pages=8)
    want = [16 * sample for sample in range(n, 14, n)]
    expect(rig.wakes(ring, 13), want, f"head at each wakeup with wakeup_events = {n}")


@check("K9")
def check_side_band_is_no_sample_and_does_not_count(rig: Rig) -> None:
    ring = rig.ring(rig.software(comm=True, wakeup_events=1), pages=8)
    for number in range(5):
        rig.actor.rename(f"name-{number}")
    expect(ring.ask(), 0, "readiness after side-band alone, with wakeup_events = 1")
    require(ring.head > 0, "the renamings left no COMM")


@check("K9")
def check_the_count_is_the_rings_and_each_event_has_its_own_n(rig: Rig) -> None:
    ring = rig.ring(rig.samples(wakeup_events=2, disabled=True), pages=8)
    other = rig.redirected(rig.samples(wakeup_events=3, disabled=True), ring)
    expect([_once(rig, ring, other), _once(rig, ring, ring)], [0, POLLIN], "one sample of n = 3, then one of n = 2")


def _once(rig: Rig, ring: RawRing, event: RawRing) -> int:
    rig.control(event.fd, abi.PERF_EVENT_IOC_ENABLE)
    rig.actor.getppid()
    rig.control(event.fd, abi.PERF_EVENT_IOC_DISABLE)
    return ring.ask()


@check("K9")
def check_such_a_wakeup_moves_the_cursor_on_by_one(rig: Rig) -> None:
    ring = rig.ring(rig.samples(wakeup_events=1))
    half = ring.size // 2
    rig.actor.getppid(half // 16)  # as many wakeups, and so the cursor stands at half // 16
    rig.control(ring.fd, abi.PERF_EVENT_IOC_DISABLE)
    rig.redirected(rig.waking(1), ring)
    ring.ask()
    want = half + half // 16 + 16
    expect(rig.wakes(ring, half // 256 + 1), [want], "the first wakeup by bytes after those by samples")


@check("K9")
def check_the_flag_takes_the_count_out(rig: Rig) -> None:
    ring = rig.ring(rig.waking(1000), pages=8)
    expect(rig.wakes(ring, 62), [], "wakeups below a watermark of 1000 bytes")


@check("K10")
def check_a_redirected_event_without_the_flag_defeats_the_watermark(rig: Rig) -> None:
    ring = rig.ring(rig.software(watermark=True, wakeup_watermark=4000), pages=2)
    rig.redirected(rig.samples(wakeup_events=1), ring)
    expect(rig.wakes(ring, 3), [16, 32, 48], "wakeups by an event with wakeup_events = 1 and without the flag")


_QUIET: dict[str, dict[str, Any]] = {
    "watermark of 1": {"watermark": True, "wakeup_watermark": 1},
    "watermark of 0": {"watermark": True},
    "no wakeup_events": {},
}


@check("K10", fields=_QUIET)
def check_a_redirected_event_with_the_flag_or_without_wakeup_events_does_not(rig: Rig, fields: dict[str, Any]) -> None:
    ring = rig.ring(rig.software(watermark=True, wakeup_watermark=1600))
    rig.redirected(rig.samples(**fields), ring)
    expect(rig.wakes(ring, 101), [1616], "wakeups of a ring whose watermark is 1600")


@check("K12")
def check_dropping_counts_and_never_signals(rig: Rig) -> None:
    ring = rig.ring(rig.waking(1 << 20, read_format=abi.PERF_FORMAT_LOST))
    fits = rig.fill(ring)
    expect(rig.wakes(ring, 50), [], "wakeups while records are dropped")
    expect(rig.counts(ring.fd), (fits + 50, 50), "count and losses")


@check("K12")
def check_dropping_does_not_signal_by_wakeup_events_either(rig: Rig) -> None:
    ring = rig.ring(rig.samples(wakeup_events=1))
    rig.fill(ring)
    ring.ask()
    expect(rig.wakes(ring, 20), [], "wakeups by wakeup_events = 1 while records are dropped")


@check("K13")
def check_an_oversized_watermark_wakes_a_reader_that_drains_on_a_timer(rig: Rig) -> None:
    ring, woke_at = rig.ring(rig.waking(1 << 20)), []
    for _ in range(3 * ring.size // 1600):
        rig.actor.getppid(100)
        if ring.ask():
            woke_at.append(ring.head)
        ring.free()
    want = [turn * ring.size // 1600 * 1600 + 1600 for turn in (1, 2)]
    expect(woke_at[:2], want, "the wakeups of a reader that drains every 1600 bytes")
