"""K21 to K23: what becomes of records that do not fit."""

from __future__ import annotations

from perfring import abi
from simkernel.contract.raw import POLLIN
from simkernel.contract.rig import Rig, expect, types
from simkernel.contract.suite import check

_LOST, _COMM, _SAMPLE = abi.PERF_RECORD_LOST, abi.PERF_RECORD_COMM, abi.PERF_RECORD_SAMPLE


@check("K21")
def check_the_next_record_that_fits_is_preceded_by_one_lost(rig: Rig) -> None:
    ring = rig.ring(rig.samples())
    rig.fill(ring)
    rig.actor.getppid(5)
    ring.free()
    rig.actor.getppid(2)
    records = ring.drain()
    expect(types(records), [_LOST, _SAMPLE, _SAMPLE], "records after a loss")
    expect(records[0].unpack("QQ"), (rig.id_of(ring.fd), 5), "id and count in the LOST")


@check("K21")
def check_the_lost_precedes_but_one_record(rig: Rig) -> None:
    ring = rig.ring(rig.samples())
    for turn in range(3):
        rig.fill(ring)
        rig.actor.getppid(turn + 1)
        ring.free()
    rig.actor.getppid()
    # Each turn fills the ring anew; a LOST and its record take 40 bytes of it, and so 2 or 3 samples fewer fit.
    kinds = types(ring.drain())
    expect(kinds, [_LOST, _SAMPLE], "records after the last loss")


@check("K21")
def check_record_and_lost_must_fit_together(rig: Rig) -> None:
    ring = rig.ring(rig.samples())
    full = rig.fill(ring) * 16
    rig.actor.getppid()
    ring.free(to=24)  # with the 16 that are free, 40 bytes: one too few, as one stays free
    rig.actor.getppid()
    expect(ring.head, full, "head with room for 39 bytes")
    ring.free(to=32)
    rig.actor.getppid()
    expect(ring.head, full + 40, "head with room for 47 bytes")


@check("K21")
def check_the_id_in_the_lost_is_of_the_event_that_writes_next(rig: Rig) -> None:
    loser = rig.ring(rig.samples())
    writer = rig.redirected(rig.software(comm=True), loser)
    rig.fill(loser)
    rig.actor.getppid(3)
    loser.free()
    rig.actor.rename("writer")
    records = loser.drain()
    expect(types(records), [_LOST, _COMM], "records after a loss")
    expect(records[0].unpack("QQ"), (rig.id_of(writer.fd), 3), "id and count in the LOST")


@check("K21")
def check_the_trailer_of_the_lost_is_the_writers(rig: Rig) -> None:
    fields = abi.PERF_SAMPLE_TID | abi.PERF_SAMPLE_IDENTIFIER
    ring = rig.ring(rig.samples(sample_type=fields, sample_id_all=True))
    rig.pause(ring, True)
    rig.actor.getppid()
    rig.pause(ring, False)
    rig.actor.getppid()
    lost = ring.drain()[0]
    want = (rig.id_of(ring.fd), 1, rig.actor.pid, rig.actor.pid, rig.id_of(ring.fd))
    expect(lost.unpack("QQIIQ"), want, "id, count, and pid, tid and id of the trailer")


@check("K22")
def check_losses_without_a_later_record_never_appear_in_the_ring(rig: Rig) -> None:
    ring = rig.ring(rig.samples(read_format=abi.PERF_FORMAT_LOST))
    fits = rig.fill(ring)
    rig.actor.getppid(7)
    expect(set(types(ring.drain())), {_SAMPLE}, "types of all records")
    expect(ring.drain(), [], "records after the drain")
    expect(rig.counts(ring.fd), (fits + 7, 7), "count and losses told by read(2)")


@check("K22")
def check_each_event_counts_its_own_losses(rig: Rig) -> None:
    leader = rig.ring(rig.samples(read_format=abi.PERF_FORMAT_LOST))
    comm = rig.redirected(rig.software(comm=True, read_format=abi.PERF_FORMAT_LOST), leader)
    fits = rig.fill(leader)
    rig.actor.rename("one")
    rig.actor.rename("two")
    rig.actor.getppid(3)
    counts = rig.counts(comm.fd), rig.counts(leader.fd)
    expect(counts, ((0, 2), (fits + 3, 3)), "counts and losses of two events in one ring")


@check("K22")
def check_reporting_a_loss_does_not_take_it_from_the_count(rig: Rig) -> None:
    ring = rig.ring(rig.samples(read_format=abi.PERF_FORMAT_LOST))
    fits = rig.fill(ring)
    rig.actor.getppid(7)
    ring.free()
    rig.actor.getppid()
    expect((types(ring.drain()), rig.counts(ring.fd)), ([_LOST, _SAMPLE], (fits + 8, 7)), "records and counts")


@check("K22")
def check_reset_leaves_the_count_of_losses(rig: Rig) -> None:
    ring = rig.ring(rig.samples(read_format=abi.PERF_FORMAT_LOST))
    rig.fill(ring)
    rig.actor.getppid(7)
    rig.control(ring.fd, abi.PERF_EVENT_IOC_RESET)
    expect(rig.counts(ring.fd), (0, 7), "count and losses after RESET")


@check("K22", pages=[None, 0])
def check_without_a_data_area_nothing_counts_as_lost(rig: Rig, pages: int | None) -> None:
    fd = rig.open(rig.samples(read_format=abi.PERF_FORMAT_LOST))
    if pages is not None:
        rig.map(fd, pages)
    rig.actor.getppid(3)
    expect(rig.counts(fd), (3, 0), "count and losses of an event with nowhere to write")


@check("K23")
def check_pausing_does_not_add_up(rig: Rig) -> None:
    ring = rig.ring(rig.samples())
    for paused in (True, True, False):
        rig.pause(ring, paused)
        rig.actor.getppid()
    records = ring.drain()
    expect(types(records), [_LOST, _SAMPLE], "records around two pauses and one resume")
    expect(records[0].unpack("QQ")[1], 2, "losses of two calls in two pauses")


@check("K23")
def check_a_paused_ring_drops_and_counts(rig: Rig) -> None:
    ring = rig.ring(rig.samples(read_format=abi.PERF_FORMAT_LOST))
    rig.pause(ring, True)
    rig.actor.getppid(4)
    expect((ring.head, rig.counts(ring.fd)), (0, (4, 4)), "head, count and losses of a paused ring")


@check("K23")
def check_after_resuming_the_first_record_carries_the_lost(rig: Rig) -> None:
    ring = rig.ring(rig.samples())
    rig.pause(ring, True)
    rig.actor.getppid(4)
    rig.pause(ring, False)
    expect(ring.head, 0, "head after resuming, before anything is written")
    rig.actor.getppid()
    records = ring.drain()
    expect((types(records), records[0].unpack("QQ")[1]), ([_LOST, _SAMPLE], 4), "records after resuming")


@check("K23")
def check_pausing_does_not_signal(rig: Rig) -> None:
    ring = rig.ring(rig.waking(1))
    rig.pause(ring, True)
    rig.actor.getppid(4)
    expect(ring.ask(), 0, "readiness of a paused ring")
    rig.pause(ring, False)
    expect(ring.ask(), 0, "readiness of a ring that was resumed")
    rig.actor.getppid()
    expect(ring.ask(), POLLIN, "readiness after the first record")


@check("K23")
def check_pause_is_of_the_ring_and_any_of_its_events_may_ask_for_it(rig: Rig) -> None:
    leader = rig.ring(rig.software())
    other = rig.redirected(rig.samples(), leader)
    rig.pause(other, True)
    rig.actor.getppid()
    rig.pause(leader, False)
    rig.actor.getppid()
    expect(types(leader.drain()), [_LOST, _SAMPLE], "records when the one paused and the other resumed")


@check("K23")
def check_pausing_and_resuming_twice_is_the_same_as_once(rig: Rig) -> None:
    ring = rig.ring(rig.samples())
    for paused in (True, True, False, False):
        rig.pause(ring, paused)
    rig.actor.getppid()
    expect(types(ring.drain()), [_SAMPLE], "records")
