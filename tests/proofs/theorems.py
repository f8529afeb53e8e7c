"""What is claimed of a ring and its reader, and the invariants by which it holds. docs/proofs.md says it in words.

Each `Theorem` is proved by induction over the steps that it allows: its invariant holds at first, every step keeps it,
and the claim follows from it. Each of its `Twin`s changes one thing, and must have a counterexample: a run from the
first state to one where the claim is false.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from tests.proofs.logic import Number, Truth, all_of, any_of, choose, implies, least, most, negation, quotient
from tests.proofs.model import (
    DRAINS,
    OWES_STORE,
    PAUSES,
    READS,
    RESTING,
    SENDS,
    STEPS,
    WAITS,
    WRITER,
    Args,
    Ring,
    State,
    Step,
    accepts,
    is_record,
    pending,
    quiet,
    reserve,
    send,
    used,
)

Hypothesis = Callable[[Ring], Truth]
Invariant = Callable[[Ring, State], Truth]
Claim = Callable[[Ring, State, Args], Truth]


@dataclass(frozen=True)
class Twin:
    """A theorem with one thing changed, which makes it false.

    Attributes:
        name: what was changed.
        hypothesis: what is assumed of the ring instead, and what keeps the counterexample readable.
        steps: what may happen instead; None for what the theorem allows.
        claim: what is claimed instead; None for the same.
        depth: the most steps of a counterexample.
    """

    name: str
    hypothesis: Hypothesis
    steps: tuple[str, ...] | None = None
    claim: Claim | None = None
    depth: int = 12


@dataclass(frozen=True)
class Theorem:
    """A claim about every state that can be reached.

    Attributes:
        name: the letter of the issue, and a word.
        says: the claim in a sentence.
        hypothesis: what is assumed of the ring.
        steps: what may happen, by the names in `ALL_STEPS`.
        invariant: what every reachable state has, by name.
        claim: what follows, for every choice of arguments.
        twins: what must not follow.
    """

    name: str
    says: str
    hypothesis: Hypothesis
    steps: tuple[str, ...]
    invariant: Mapping[str, Invariant]
    claim: Claim
    twins: tuple[Twin, ...]


def any_ring(ring: Ring) -> Truth:
    """What holds of every ring that wakes and refuses: all sizes in bytes, and in eights (K1, K5, K44)."""
    return all_of(
        negation(ring.overwrite),
        ring.size >= 8,
        ring.size % 8 == 0,
        ring.watermark >= 1,
        ring.smallest >= 8,
        ring.smallest % 8 == 0,
        ring.largest >= ring.smallest,
        ring.largest % 8 == 0,
        ring.largest_lost >= 24,
        ring.largest_lost % 8 == 0,
        ring.start >= 0,
    )


def fullest(ring: Ring) -> Number:
    """The highest level that records alone can reach: what `watermark_verdict` calls so."""
    return least(_fit(ring) * ring.largest, ring.size - 8)


def _fit(ring: Ring) -> Number:
    """How many of the smallest records fit."""
    return quotient(ring.size - 8, ring.smallest)


# What every ring keeps to, whoever reads it.

ORDER: Mapping[str, Invariant] = {
    "start <= tail <= published <= head": lambda ring, s: all_of(
        ring.start <= s.tail, s.tail <= s.published, s.published <= s.head
    ),
    "reading: tail <= snapshot <= published": lambda ring, s: implies(
        s.phase == OWES_STORE, all_of(s.tail <= s.snapshot, s.snapshot <= s.published)
    ),
}
ROOM: Mapping[str, Invariant] = {"used <= S - 1": lambda ring, s: used(s) <= ring.size - 1}
CURSOR: Mapping[str, Invariant] = {"wakeup <= head": lambda ring, s: s.wakeup <= s.head}
NESTING: Mapping[str, Invariant] = {
    "unnested: published = head": lambda ring, s: all_of(s.nest >= 0, implies(s.nest == 0, s.published == s.head)),
    "nested: outer_wakeup <= published, outer_wakeup <= wakeup": lambda ring, s: implies(
        s.nest > 0, all_of(s.outer_wakeup <= s.published, s.outer_wakeup <= s.wakeup)
    ),
}


def seen(state: State) -> Number:
    """Up to where the reader has looked, or will have when it has done what it owes."""
    return choose(
        state.phase == RESTING, state.tail, choose(state.phase == OWES_STORE, state.snapshot, state.published)
    )


LATCH: Mapping[str, Invariant] = {
    "nested, no signal to come: head - published <= W": lambda ring, s: implies(
        all_of(s.nest > 0, negation(pending(s))), s.head - s.published <= ring.watermark
    ),
    "quiet: wakeup <= seen": lambda ring, s: implies(quiet(s), s.wakeup <= seen(s)),
    "quiet: head - seen <= W": lambda ring, s: implies(quiet(s), s.head - seen(s) <= ring.watermark),
}

# What is left of it before the first wake, when nobody drains.

SILENT: Mapping[str, Invariant] = {
    "nothing drained": lambda ring, s: all_of(s.phase == RESTING, s.tail == ring.start),
    "cursor unmoved": lambda ring, s: all_of(
        s.wakeup == ring.start, negation(s.latch), implies(s.nest > 0, s.outer_wakeup == ring.start)
    ),
}
IN_EIGHTS: Mapping[str, Invariant] = {"used in eights": lambda ring, s: used(s) % 8 == 0}


def _packed(ring: Ring, state: State) -> Truth:
    """Where not even the largest records fill the ring, nothing is lost before as many as fit are in."""
    count, fit = state.records, _fit(ring)
    return implies(
        fit * ring.largest <= ring.size - 8,
        all_of(
            count <= fit,
            count * ring.smallest <= used(state),
            used(state) <= count * ring.largest,
            any_of(state.lost == 0, count == fit),
        ),
    )


PACKED: Mapping[str, Invariant] = {
    "not paused": lambda ring, s: negation(s.paused),
    "packed": _packed,
}


def _stays_silent(ring: Ring, state: State, args: Args) -> Truth:
    return quiet(state)


def _stays_below(ring: Ring, state: State, args: Args) -> Truth:
    return all_of(quiet(state), used(state) <= fullest(ring))


def _goes_on(ring: Ring, state: State, args: Args) -> Truth:
    """Where the reader waits and nothing will wake it, any next record gets in, and raises the level or wakes."""
    after = reserve(ring, state, args)
    waiting = all_of(state.phase == RESTING, quiet(state), negation(state.paused), is_record(ring, args))
    grown = all_of(used(after) >= used(state) + 8, used(after) <= ring.watermark)
    return implies(waiting, all_of(accepts(ring, state, args), any_of(pending(after), grown)))


def _never_stuck(ring: Ring, state: State, args: Args) -> Truth:
    """`_goes_on` where nobody is writing just now: with equal records and LOSTs, what it denies lasts for ever."""
    return implies(state.nest == 0, _goes_on(ring, state, args))


def _goes_on_in_overwrite(ring: Ring, state: State, args: Args) -> Truth:
    """Any next record gets in; it wakes, or head comes 8 bytes nearer to where it will."""
    after = reserve(ring, state, args)
    nearer = all_of(after.head >= state.head + 8, after.head - after.wakeup <= ring.watermark)
    waiting = all_of(quiet(state), negation(state.paused), is_record(ring, args))
    return implies(waiting, all_of(accepts(ring, state, args), any_of(pending(after), nearer)))


def _in_place(ring: Ring, state: State, args: Args) -> Truth:
    return all_of(state.wakeup <= state.head, used(state) >= 0, used(state) <= ring.size - 1)


def _below_when_quiet(ring: Ring, state: State, args: Args) -> Truth:
    """What the session relies on: where the latch is clear after its drain, the level is not above the watermark."""
    quietly = all_of(state.phase == RESTING, quiet(state))
    return implies(quietly, all_of(state.wakeup <= state.tail, used(state) <= ring.watermark))


# The stream that reaches the fullest level, one record after the other.


def _filler(ring: Ring, state: State) -> Args:
    """The largest record that leaves room for as many smallest ones as are still to come; the last fills exactly."""
    left = _fit(ring) - state.records
    space = ring.size - 8 - used(state)
    exact = most(ring.smallest, space - (left - 1) * ring.largest)
    fills = _fit(ring) * ring.largest > ring.size - 8
    return Args(size=choose(fills, exact, ring.largest), lost_bytes=ring.largest_lost)


def _send_filler(ring: Ring, state: State, args: Args) -> State:
    return send(ring, state, _filler(ring, state))


ALL_STEPS: Mapping[str, Step] = {
    **STEPS,
    "fill": Step(lambda ring, s, args: all_of(s.nest == 0, s.records < _fit(ring)), _send_filler),
}


def spelled_out(ring: Ring, state: State, name: str, args: Args) -> tuple[str, Args]:
    """A step in terms of `STEPS`: ``fill`` is the sending of a certain record."""
    return ("send", _filler(ring, state)) if name == "fill" else (name, args)


def _filling(ring: Ring, state: State) -> Truth:
    left, space = _fit(ring) - state.records, ring.size - 8 - used(state)
    short = used(state) == state.records * ring.largest
    exact = all_of(left * ring.smallest <= space, space <= left * ring.largest)
    return choose(_fit(ring) * ring.largest <= ring.size - 8, short, exact)


FILLING: Mapping[str, Invariant] = {
    "undisturbed": lambda ring, s: all_of(s.nest == 0, s.lost == 0, negation(s.paused), s.phase == RESTING),
    "undrained": lambda ring, s: s.tail == ring.start,
    "in eights": IN_EIGHTS["used in eights"],
    "filling": _filling,
    "silent only below": lambda ring, s: implies(
        negation(s.latch), all_of(s.wakeup == ring.start, used(s) <= ring.watermark)
    ),
}


def _fills_and_wakes(ring: Ring, state: State, args: Args) -> Truth:
    """Until as many are in as fit, the next one is a record and gets in; and then the reader has been woken."""
    following = _filler(ring, state)
    goes_on = all_of(is_record(ring, following), accepts(ring, state, following))
    return all_of(
        implies(state.records < _fit(ring), goes_on),
        implies(state.records == _fit(ring), all_of(state.latch, used(state) == fullest(ring))),
    )


def _with(*conditions: Hypothesis) -> Hypothesis:
    return lambda ring: all_of(*(condition(ring) for condition in conditions))


def _page(ring: Ring) -> Truth:
    """A counterexample that can be replayed, and read: one page, bare LOSTs."""
    return all_of(ring.size == 4096, ring.largest_lost == 24, ring.start == 0, ring.largest <= 65528)


def _equal_records(ring: Ring) -> Truth:
    return ring.smallest == ring.largest


def _many_fit(ring: Ring) -> Truth:
    """Else z3 shows what nobody doubts: a record that does not fit together with a LOST even when all is free."""
    return 2 * (ring.largest + ring.largest_lost) <= ring.size


def _whole_ring(ring: Ring) -> Truth:
    return ring.watermark >= ring.size


def _within_ring(ring: Ring) -> Truth:
    return ring.watermark <= ring.size


def _live(ring: Ring) -> Truth:
    return ring.watermark + ring.largest + ring.largest_lost <= ring.size - 1


def _live_without_lost(ring: Ring) -> Truth:
    return ring.watermark + ring.largest <= ring.size - 1


def _at_fullest(ring: Ring, less: int = 0) -> Truth:
    return ring.watermark >= fullest(ring) - less


_K43_MIXED = _with(any_ring, _page, _many_fit, _live_without_lost)
_K43 = _with(_K43_MIXED, _equal_records)
_OVERWRITE = _with(lambda ring: any_ring(replace(ring, overwrite=False)), _page, _whole_ring, lambda r: r.overwrite)
_WHOLE_PAGE = _with(any_ring, _page, _within_ring, _whole_ring)

NEVER = Theorem(
    "a: the whole ring",
    "W >= S never wakes a reader that does nothing but wait",
    _with(any_ring, _whole_ring),
    (*WRITER, *PAUSES, *WAITS),
    SILENT,
    _stays_silent,
    (
        Twin("an overwrite ring", _with(_OVERWRITE, _within_ring)),
        Twin("a reader that also drains on a timer", _WHOLE_PAGE, (*SENDS, *DRAINS, "drain")),
    ),
)
LIVE = Theorem(
    "b: LIVE",
    "W + r_max + LOST <= S - 1: what is sent to a waiting reader gets in, until it is woken",
    _with(any_ring, _live),
    (*WRITER, *PAUSES, *READS),
    {**ORDER, **CURSOR, **NESTING, **LATCH},
    _goes_on,
    (
        Twin("the bound without LOST, a pause (K43)", _K43, (*SENDS, *PAUSES, *DRAINS), _never_stuck),
        Twin(
            "the bound without LOST, a loss during the drain (K43)",
            _K43_MIXED,
            (*SENDS, *DRAINS, "drain"),
            _never_stuck,
        ),
        Twin(
            "one byte more than the bound",
            _with(any_ring, _page, _equal_records, lambda ring: _live(_lowered(ring))),
            (*SENDS, *PAUSES, *DRAINS),
            _never_stuck,
        ),
    ),
)


OVERWRITTEN = Theorem(
    "b: LIVE, overwrite",
    "in an overwrite ring every watermark wakes (K4)",
    lambda ring: all_of(any_ring(replace(ring, overwrite=False)), ring.overwrite),
    (*WRITER, *PAUSES, *READS),
    {"nest >= 0": lambda ring, s: s.nest >= 0},
    _goes_on_in_overwrite,
    (Twin("a ring that is mapped writable", _with(_WHOLE_PAGE, _many_fit), (*SENDS, *DRAINS)),),
)


def _lowered(ring: Ring) -> Ring:
    return replace(ring, watermark=ring.watermark - 1)


STALLS = Theorem(
    "c: STALLS",
    "W >= min(fit * r_max, S - 8) never wakes a reader that does nothing but wait; no level is higher",
    _with(any_ring, _at_fullest),
    (*WRITER, *WAITS),
    {**SILENT, **ROOM, **IN_EIGHTS, **PACKED},
    _stays_below,
    (
        Twin("one byte less", _with(any_ring, _page, partial(_at_fullest, less=1))),
        Twin(
            "a pause: a LOST lifts the level",
            _with(any_ring, _page, _equal_records, _at_fullest),
            (*SENDS, *PAUSES, *DRAINS),
            _stays_silent,
        ),
    ),
)
PAUSED = Theorem(
    "c: STALLS, paused or not",
    "W >= S - 8 never wakes a reader that does nothing but wait, with PAUSE as well",
    _with(any_ring, lambda ring: ring.watermark >= ring.size - 8),
    (*WRITER, *PAUSES, *WAITS),
    {**SILENT, **ROOM, **IN_EIGHTS},
    lambda ring, s, args: all_of(quiet(s), used(s) <= ring.size - 8),
    (Twin("one byte less", _with(any_ring, _page, lambda ring: ring.watermark == ring.size - 9)),),
)
EXACT = Theorem(
    "c: STALLS is exact",
    "W < min(fit * r_max, S - 8): some stream without any loss reaches that level and wakes the reader",
    _with(any_ring, lambda ring: ring.watermark < fullest(ring)),
    ("fill",),
    FILLING,
    _fills_and_wakes,
    (Twin("one byte more", _with(any_ring, _page, _equal_records, lambda ring: ring.watermark <= fullest(ring))),),
)
IN_PLACE = Theorem(
    "d: the cursor and the room",
    "for every watermark: wakeup <= head and tail <= head <= tail + S - 1, so that masks compute differences",
    any_ring,
    (*WRITER, *PAUSES, *READS),
    {**ORDER, **ROOM, **CURSOR},
    _in_place,
    (Twin("an event without the watermark flag (K9)", _with(any_ring, _page, _within_ring), (*WRITER, "count")),),
)
QUIET_IS_LOW = Theorem(
    "d: the latch",
    "for every watermark: a latch that is clear after the drain means used <= W",
    any_ring,
    (*WRITER, *PAUSES, *READS),
    {**ORDER, **CURSOR, **NESTING, **LATCH},
    _below_when_quiet,
    (Twin("a second poller takes the latch (K17)", _with(any_ring, _page, _within_ring), (*SENDS, *DRAINS, "steal")),),
)

THEOREMS = (NEVER, LIVE, OVERWRITTEN, STALLS, PAUSED, EXACT, IN_PLACE, QUIET_IS_LOW)
