from __future__ import annotations

import pytest

from perfring.ordering import TimeOrder
from perfring.sideband import Comm


def record(time: int | None, cpu: int = 0, name: str = "") -> Comm:
    return Comm(cpu=cpu, position=0, misc=0, size=0, time=time, pid=1, tid=1, id=None, event=None, comm=name)


def times(records: list[object]) -> list[object]:
    return [getattr(found, "time") for found in records]  # noqa: B009


def ordered(*moments: int | None) -> TimeOrder:
    order = TimeOrder()
    order.pending += [record(moment) for moment in moments]
    return order


def test_records_of_two_rings_come_out_in_time_order() -> None:
    order = ordered(1, 4, 6)
    order.pending.extend([record(2, cpu=1), record(5, cpu=1)])
    assert times([*order.release()]) == [1, 2, 4, 5, 6]


def test_equal_times_keep_the_order_in_which_they_were_added() -> None:
    order = TimeOrder()
    order.pending.extend([record(3, name="first"), record(3, name="second")])
    order.pending.extend([record(3, cpu=1, name="third")])
    assert [getattr(found, "comm", "") for found in order.release()] == ["first", "second", "third"]


def test_what_is_younger_than_the_bound_is_held_back() -> None:
    order = ordered(1, 2, 3)
    assert (times([*order.release(2)]), times([*order.pending])) == ([1, 2], [3])


def test_nothing_is_late_while_order_is_kept() -> None:
    order = ordered(1, 2, 3)
    order.release(2)
    order.outbox = []
    order.pending.extend([record(2), record(3)])
    order.release()
    assert order.late == 0


def test_a_record_behind_a_younger_delivered_one_is_late_and_delivered() -> None:
    order = ordered(5)
    order.release()
    order.outbox = []
    order.pending.extend([record(3), record(4), record(6)])
    assert (times([*order.release()]), order.late) == ([3, 4, 6], 2)


def test_a_record_without_time_is_not_held_back_and_not_late() -> None:
    order = ordered(5)
    order.release()
    order.outbox = []
    order.pending.extend([record(None)])
    assert (times([*order.release(0)]), order.late) == ([None], 0)


def test_a_record_without_time_is_not_late_when_it_is_the_first_of_all() -> None:
    order = ordered(None)
    assert (times([*order.release()]), order.late) == ([None], 0)


def test_what_is_taken_back_comes_first_and_is_not_late() -> None:
    order = ordered(1, 3, 5)
    next(order.hand_out(order.release(3)).turns)
    order.settle()
    order.pending.append(record(4))
    assert (times([*order.release()]), order.late) == ([3, 4, 5], 0)


def test_what_was_not_handed_over_comes_again() -> None:
    order = ordered(1, 2, 3)
    order.release(2)
    assert len(order) == 3
    assert times([*order.release(3)]) == [1, 2, 3]


def test_one_cpu_can_be_taken_alone() -> None:
    order = ordered(4, 2)
    order.pending.extend([record(1, cpu=1)])
    assert (times([*order.take(0)]), times([*order.pending])) == ([2, 4], [1])


def test_one_cpu_that_was_taken_and_not_handed_over_comes_again() -> None:
    order = ordered(4, 2)
    order.pending.extend([record(1, cpu=1)])
    order.take(0)
    assert (len(order), times([*order.release()])) == (3, [2, 4, 1])


def test_one_cpu_alone_has_what_was_taken_back_first() -> None:
    order = ordered(7)
    order.pending.append(record(8, cpu=1))
    order.hand_out(order.release())
    order.settle()
    order.pending.extend([record(4), record(2)])
    assert (times([*order.take(0)]), times([*order.outbox])) == ([7, 2, 4], [7, 2, 4, 8])


def test_what_is_taken_back_comes_before_what_was_released_since() -> None:
    order = ordered(3, 4)
    next(order.hand_out(order.release()).turns)
    order.pending.append(record(1))
    order.release()
    order.settle()
    assert times([*order.outbox]) == [4, 1]


def test_what_is_handed_out_counts_until_it_is_taken() -> None:
    order = ordered(1, 2, 3)
    handout = order.hand_out(order.release(2))
    next(handout.turns)
    assert (len(order), times(handout.left()), times([*order.pending])) == (2, [2], [3])
    next(handout.turns)
    assert (len(order), handout.left()) == (1, [])


@pytest.mark.parametrize("taken", [1, 2, 3])
def test_the_last_one_that_was_taken_can_be_put_back(taken: int) -> None:
    order = ordered(1, 2, 3)
    handout = order.hand_out(order.release())
    last = [next(handout.turns) for _ in range(taken)][-1]
    handout.put_back = True
    assert times(handout.left()) == [1, 2, 3][taken - 1 :] == [last.time, *range(taken + 1, 4)]


def test_what_stands_behind_a_handout_in_the_outbox_stays_there() -> None:
    order = ordered(4, 2)
    order.pending.append(record(1, cpu=1))
    order.release()
    handout = order.hand_out(order.take(0))
    assert (times(handout.left()), times([*order.outbox])) == ([2, 4], [1])
