"""The data of the pictures."""

from __future__ import annotations

import json
from dataclasses import replace

from perfring.geometry import Outcome
from perfring.timeline import Drain, Fill, Loss, RingTimeline, Timeline

EMPTY = RingTimeline(cpu=0, ring_bytes=4096, watermark=1024, fills=(Fill(0, 0, 0),))
FULL = RingTimeline(1, 4096, 4096, (Fill(0, 0, 0), Fill(5, 4088, 8)), losses=(Loss(6, 3), Loss(9, 4)), stalled=True)


def _timeline(*rings: RingTimeline) -> Timeline:
    return Timeline("a run", "simkernel 6.18", 10, rings, Outcome.LIVE, {"rate": "5 a second"})


def test_used_is_what_waits_for_the_reader() -> None:
    assert FULL.fills[1].used == 4080


def test_lost_counts_the_records_of_every_loss() -> None:
    assert (EMPTY.lost, FULL.lost) == (0, 7)


def test_one_stalled_ring_makes_a_stalled_timeline() -> None:
    assert _timeline(EMPTY, FULL).stalled
    assert not _timeline(EMPTY).stalled


def test_a_timeline_is_json() -> None:
    read = json.loads(json.dumps(_timeline(FULL).to_dict()))
    assert read["outcome"] == "LIVE"
    assert read["stalled"] is True
    assert read["rings"][0]["fills"][1] == [5, 4088, 8, None]


def test_a_stalled_ring_is_silent_from_its_first_refusal_on() -> None:
    assert FULL.silent_since_ns == 6
    assert EMPTY.silent_since_ns is None


def test_a_refusal_before_the_last_drain_has_been_survived() -> None:
    ring = replace(FULL, drains=(Drain(7, 1, 8),))
    assert ring.silent_since_ns == 9


def test_a_ring_left_undrained_is_silent_from_its_last_record_on() -> None:
    fills = (Fill(0, 0, 0), Fill(3, 56, 0), Fill(4, 112, 0), Fill(8, 112, 0))
    assert replace(FULL, fills=fills, losses=()).silent_since_ns == 4


def test_a_ring_that_nothing_came_into_is_silent_from_its_last_drain_on() -> None:
    assert replace(FULL, fills=(Fill(0, 0, 0),), losses=(), drains=(Drain(2, 0, 0),)).silent_since_ns == 2
