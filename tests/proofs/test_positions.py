"""64 bits: where the distances are those of theorem (d), masked words compute what the model computes with integers."""

from __future__ import annotations

import pytest

from tests.proofs.logic import Number, Truth, at_most_unsigned, example_of, negation, same, word

HEAD, TAIL, WAKEUP, SIZE = word("head"), word("tail"), word("wakeup"), word("size")


def _power_of_two(size: Number) -> tuple[Truth, ...]:
    return (same(size & (size - 1), 0), negation(same(size, 0)))


def test_the_masked_room_is_the_ring_less_what_is_used_less_one() -> None:
    room = (TAIL - HEAD - 1) & (SIZE - 1)
    filled = at_most_unsigned(HEAD - TAIL, SIZE - 1)
    assert example_of(*_power_of_two(SIZE), filled, negation(same(room, SIZE - 1 - (HEAD - TAIL)))) is None


@pytest.mark.parametrize("broken", ["tail beyond head", "no power of two"])
def test_without_order_or_a_power_of_two_it_is_not(broken: str) -> None:
    room = (TAIL - HEAD - 1) & (SIZE - 1)
    filled = at_most_unsigned(HEAD - TAIL, SIZE - 1)
    known = (filled,) if broken == "no power of two" else _power_of_two(SIZE)
    assert example_of(*known, negation(same(room, SIZE - 1 - (HEAD - TAIL)))) is not None


def test_a_distance_survives_that_both_ends_wrap() -> None:
    by, lag = word("by"), word("lag")
    ahead = same(HEAD - WAKEUP, lag)
    assert example_of(ahead, negation(same((HEAD + by) - (WAKEUP + by), lag))) is None


def test_a_cursor_ahead_of_head_looks_as_if_it_were_far_behind() -> None:
    overtaken = (same(WAKEUP - HEAD, 1), at_most_unsigned(HEAD - WAKEUP, 1 << 62))
    assert example_of(*overtaken) is None
