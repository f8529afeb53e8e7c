from __future__ import annotations

import itertools

import pytest

from perfring.errors import SessionClosed
from tests.unit._fake_kernel import Rings, names

ROUND = (1 << 16) // 48
"""Records of 48 bytes in one round: 64 KiB are taken at least, so that the longest record fits (K5)."""


def flat(pieces: list[list[str]]) -> list[int]:
    return [int(name) for name in itertools.chain(*pieces)]


def test_the_rings_of_two_cpus_come_in_time_order() -> None:
    rings = Rings(2)
    rings.write(1, 4)
    rings.write(2, 3, cpu=1)
    assert flat(rings.sweep()) == [1, 2, 3, 4]


def test_one_ring_waits_for_no_other() -> None:
    rings = Rings()
    rings.write(999, 1001)
    assert flat(rings.sweep()) == [999, 1001]


def test_what_is_younger_than_the_beginning_waits_for_the_next_sweep() -> None:
    rings = Rings(2)
    rings.write(999, 1000, 1001)
    assert flat(rings.sweep()) == [999, 1000]
    rings.kernel.now = 1001
    assert flat(rings.sweep()) == [1001]


def test_the_last_sweep_releases_everything() -> None:
    rings = Rings(2)
    rings.write(999, 1001)
    assert flat(rings.sweep(everything=True)) == [999, 1001]


def test_a_full_ring_comes_in_pieces_of_its_budget() -> None:
    rings = Rings()
    rings.kernel.now = 10**6
    rings.write(*range(2 * ROUND))
    pieces = rings.sweep(everything=True)
    assert (flat(pieces), [len(piece) for piece in pieces]) == ([*range(2 * ROUND)], [ROUND, ROUND])


def test_a_sweep_ends_on_a_ring_that_is_written_all_the_time() -> None:
    rings = Rings()
    rings.write(*range(ROUND))
    number = itertools.count(ROUND)
    pieces = 0
    for _ in rings.sweeper.sweep():
        rings.sweeper.order.outbox = []
        rings.write(*itertools.islice(number, ROUND))
        pieces += 1
        assert pieces < 5
    assert pieces == 1


def test_a_record_that_was_published_a_moment_late_is_found_by_the_second_look() -> None:
    rings = Rings(2)
    rings.kernel.now = 10**6
    rings.write(*range(100, 100 + ROUND + 1))
    sweep = rings.sweeper.sweep()
    next(sweep)
    rings.write(100 + ROUND, cpu=1)
    assert names(next(sweep)).count(str(100 + ROUND)) == 2


def test_a_piece_holds_nothing_younger_than_what_another_ring_still_has() -> None:
    rings = Rings(2)
    rings.kernel.now = 10**6
    rings.write(*range(ROUND * 2))
    rings.write(*range(ROUND, ROUND * 3), cpu=1)
    assert flat(rings.sweep()) == sorted([*range(ROUND * 2), *range(ROUND, ROUND * 3)])
    assert rings.sweeper.order.late == 0


def test_a_ring_that_is_ahead_in_time_is_not_read_on_meanwhile() -> None:
    rings = Rings(2)
    rings.kernel.now = 10**6
    rings.write(*range(ROUND * 2))
    rings.write(*range(ROUND * 3, ROUND * 5), cpu=1)
    sweep = rings.sweeper.sweep()
    next(sweep), next(sweep)
    assert rings.rings[1].tail == rings.rings[1].head - ROUND * 48


def test_no_piece_holds_what_is_younger_than_the_beginning() -> None:
    rings = Rings(2)
    rings.write(*range(2000, 2000 + 2 * ROUND))
    assert flat(rings.sweep()) == []


def test_one_ring_alone_comes_with_what_was_held_back_of_it() -> None:
    rings = Rings(2)
    rings.write(2000)
    rings.write(2001, cpu=1)
    rings.sweep()
    rings.write(2002)
    assert flat(rings.sweep_one()) == [2000, 2002]
    assert names(rings.sweeper.order.pending) == ["2001"]


def test_one_ring_alone_comes_with_what_was_held_back_although_nothing_is_new() -> None:
    rings = Rings(2)
    rings.write(2000)
    rings.sweep()
    assert flat(rings.sweep_one()) == [2000]


def test_one_ring_alone_ends_although_it_is_written_all_the_time() -> None:
    rings = Rings()
    rings.write(1, 2)
    found = []
    for piece in rings.sweeper.sweep_one(rings.drains[0]):
        rings.sweeper.order.outbox = []
        found += names(piece)
        rings.write(3)
        assert len(found) < 5
    assert found == ["1", "2"]


def test_a_sweep_of_a_session_that_is_closed_meanwhile_says_so() -> None:
    rings = Rings()
    rings.write(*range(2 * ROUND))
    sweep = rings.sweeper.sweep()
    next(sweep)
    rings.guard.close()
    with pytest.raises(SessionClosed):
        next(sweep)


def test_between_two_pieces_nothing_is_held() -> None:
    rings = Rings()
    rings.write(*range(2 * ROUND))
    next(rings.sweeper.sweep())
    rings.guard.close()
    assert rings.released == 1


def test_a_ring_in_which_nothing_makes_sense_does_not_hold_up_the_sweep() -> None:
    rings = Rings(2)
    rings.rings[0].write(bytes(8))
    rings.write(1, 2, cpu=1)
    assert flat(rings.sweep()) == [1, 2]
