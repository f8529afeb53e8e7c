"""K11, K42 to K44: watermarks that stall, at once or after a loss.

KERNEL.md tells these facts with numbers for 4096 bytes. The records here are chosen so that the same thing happens in a
ring of one page of any size, 4, 16 or 64 KiB: all are 4 to some power, and so 0 modulo 16 and 16 modulo 48.
"""

from __future__ import annotations

from perfring import abi
from simkernel.contract.raw import POLLIN, RawRing
from simkernel.contract.rig import Rig, expect, require, types
from simkernel.contract.suite import check

_LOST = 24
_PERSISTENT = 40
"""Records that a full ring refuses before the silence is believed."""


def _woken_until_full(rig: Rig, ring: RawRing, size: int) -> list[int]:
    """Bytes in the ring at each wakeup of a reader that only waits, until the ring has long been full."""
    rig.actor.getppid(ring.size // size - 3)
    woken = [ring.used] if ring.ask() else []
    for _ in range(3 + _PERSISTENT):
        rig.actor.getppid()
        if ring.ask() & POLLIN:
            woken.append(ring.used)
    return woken


@check("K11", size=[8, 16, 24, 32, 40, 48, 56])
def check_one_byte_below_the_fullest_level_a_watermark_wakes(rig: Rig, size: int) -> None:
    full = (rig.kernel.page_size - 1) // size * size
    ring = rig.ring(rig.waking(full - 1, size))
    expect(_woken_until_full(rig, ring, size), [full], f"wakeups with a watermark of {full - 1}")


@check("K11", size=[8, 16, 24, 32, 40, 48, 56])
def check_a_watermark_of_the_fullest_level_never_wakes(rig: Rig, size: int) -> None:
    full = (rig.kernel.page_size - 1) // size * size
    ring = rig.ring(rig.waking(full, size))
    expect(_woken_until_full(rig, ring, size), [], f"wakeups with a watermark of {full}")


@check("K11", above=[-1, 0, 1])
def check_a_watermark_of_about_the_whole_ring_never_wakes(rig: Rig, above: int) -> None:
    ring = rig.ring(rig.waking(rig.kernel.page_size + above, 8))
    expect(_woken_until_full(rig, ring, 8), [], f"wakeups with a watermark of the ring's size and {above}")


@check("K11")
def check_nine_bytes_below_the_ring_a_stream_of_8_bytes_wakes_for_ever(rig: Rig) -> None:
    ring = rig.ring(rig.waking(rig.kernel.page_size - 9, 8))
    for turn in range(4):
        rig.actor.getppid(ring.size // 8 - 1)
        expect(ring.ask(), POLLIN, f"readiness of a ring filled for the {turn + 1}. time")
        ring.free()


@check("K42")
def check_one_loss_can_end_all_wakeups(rig: Rig) -> None:
    size = rig.kernel.page_size
    ring = rig.ring(rig.waking(size - 17, 48))
    expect(_woken_until_full(rig, ring, 48), [size - 16], "the wakeup before the loss")
    ring.free()
    expect(_woken_until_full(rig, ring, 48), [], "wakeups of a waiting reader after its first loss")
    expect(ring.used, size - 40, "bytes in the ring after it fell silent")


@check("K42")
def check_a_watermark_with_room_for_record_and_lost_survives_losses(rig: Rig) -> None:
    safe = rig.kernel.page_size - 1 - 48 - _LOST
    ring = rig.ring(rig.waking(safe, 48))
    for turn in range(8):
        woken = _woken_until_full(rig, ring, 48)
        require(woken, f"no wakeup in round {turn + 1} of losses, with a watermark of {safe}")
        ring.free()


@check("K43")
def check_a_record_lost_while_paused_can_end_all_wakeups(rig: Rig) -> None:
    ring = rig.ring(rig.waking(rig.kernel.page_size - 25))
    level = ring.size - 32  # there is room for one more record, but not for its LOST as well
    _lose_one_at(rig, ring, level)
    expect(rig.wakes(ring, _PERSISTENT), [], "wakeups after a record was lost in a pause")
    expect(ring.head, level, "head of a ring with room for a record but not for its LOST as well")


def _lose_one_at(rig: Rig, ring: RawRing, level: int) -> None:
    rig.actor.getppid(level // 16)
    expect((ring.head, ring.ask()), (level, 0), "head and readiness below the watermark")
    rig.pause(ring, True)
    rig.actor.getppid()
    rig.pause(ring, False)


@check("K43")
def check_a_record_lost_while_the_reader_drains_can_end_all_wakeups(rig: Rig) -> None:
    watermark = rig.kernel.page_size - 25
    ring = rig.ring(rig.waking(watermark))
    snapshot = _second_wakeup(rig, ring, 2 * watermark // 16 * 16 + 16)
    rig.actor.getppid(ring.size // 16 - 1)  # while the reader reads up to the snapshot; the last is lost
    expect((ring.head - snapshot, ring.ask()), (ring.size - 32, 0), "what came while the reader drained, and readiness")
    ring.free(to=snapshot)
    expect(rig.wakes(ring, _PERSISTENT), [], "wakeups after a record was lost while the reader drained")
    expect(ring.used, ring.size - 32, "bytes in the ring that fell silent")


def _second_wakeup(rig: Rig, ring: RawRing, at: int) -> int:
    """Has the ring wake a second time, with the one record before it unread; returns head."""
    for part in (at // 48, at // 48, at // 16 - 1 - 2 * (at // 48)):
        rig.actor.getppid(part)
        ring.free()
    ring.ask()
    expect(rig.wakes(ring, 1), [at], "the second wakeup of a reader with a deadline")
    return at


@check("K43")
def check_with_room_for_record_and_lost_a_pause_is_survived(rig: Rig) -> None:
    ring = rig.ring(rig.waking(rig.kernel.page_size - 1 - 16 - _LOST))
    level = ring.size - 48  # the fullest that the watermark leaves without a wakeup
    _lose_one_at(rig, ring, level)
    expect(rig.wakes(ring, 1), [level + _LOST + 16], "the wakeup by LOST and record together")


_ALL = abi.PERF_SAMPLE_TID | abi.PERF_SAMPLE_TIME | abi.PERF_SAMPLE_ID
_ALL |= abi.PERF_SAMPLE_STREAM_ID | abi.PERF_SAMPLE_CPU | abi.PERF_SAMPLE_IDENTIFIER
_TRAILERS = {
    "TID": (abi.PERF_SAMPLE_TID, 32),
    "IDENTIFIER|TID|TIME": (abi.PERF_SAMPLE_IDENTIFIER | abi.PERF_SAMPLE_TID | abi.PERF_SAMPLE_TIME, 48),
    "all": (_ALL, 72),
    "IP is of samples only": (abi.PERF_SAMPLE_IP | abi.PERF_SAMPLE_ADDR | abi.PERF_SAMPLE_PERIOD, 24),
}


@check("K44", "K21", case=_TRAILERS)
def check_lost_is_24_bytes_and_the_trailer(rig: Rig, case: tuple[int, int]) -> None:
    sample_type, size = case
    ring = rig.ring(rig.samples(sample_type=sample_type, sample_id_all=True))
    expect(_lost(rig, ring), size, "size of a LOST with sample_id_all")


@check("K44", "K21")
def check_without_sample_id_all_lost_has_no_trailer(rig: Rig) -> None:
    expect(_lost(rig, rig.ring(rig.samples(56))), 24, "size of a LOST without sample_id_all")


def _lost(rig: Rig, ring: RawRing) -> int:
    rig.pause(ring, True)
    rig.actor.getppid(3)
    rig.pause(ring, False)
    rig.actor.getppid()
    records = ring.records()
    expect(types(records), [abi.PERF_RECORD_LOST, abi.PERF_RECORD_SAMPLE], "records after a pause")
    return records[0].size
