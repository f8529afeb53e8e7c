"""The ring and its reader as a transition relation, written once: it runs on numbers, and z3 reasons about it.

A `State` holds numbers or z3's terms, and a step is the same expression for both. ``test_lockstep.py`` runs the steps
on numbers next to `simkernel.ringbuf.RingBuffer`, so that a theorem about these lines is one about that code.

Positions are mathematical integers: they never wrap (docs/proofs.md tells what 64 bits change). Between any two steps
any other may happen: a writing CPU is interrupted between reserve and publish, and the reader between its load of head
and its store of tail.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

from tests.proofs.logic import Number, Truth, all_of, any_of, choose, least, negation

RESTING, OWES_LOAD, OWES_STORE = range(3)
"""The reader waits; has taken the latch, and must look at head; has loaded head, and drains up to there."""


@dataclass(frozen=True)
class Ring:
    """What does not change while a ring lives. Sizes in bytes.

    Attributes:
        size: S, the data area.
        watermark: W, as the kernel took it (K8).
        smallest: the smallest record that anybody writes.
        largest: the largest one.
        largest_lost: the largest PERF_RECORD_LOST (K44).
        start: the position of the first record.
        overwrite: nothing is refused for want of room (K4).
    """

    size: Number
    watermark: Number
    smallest: Number
    largest: Number
    largest_lost: Number
    start: Number
    overwrite: Truth


@dataclass(frozen=True)
class State:
    """What changes.

    Attributes:
        head: the kernel's own head, reserved bytes included.
        published: the head that the reader can load.
        tail: up to where the reader has given back.
        wakeup: the cursor that the watermark counts from (K7).
        outer_wakeup: where the cursor was when the outermost writer began.
        nest: writers between reserve and publish, each of which interrupted the one before.
        latch: a wakeup happened since somebody last asked (K14).
        lost: records refused that no LOST has told of yet (K21).
        paused: by PAUSE_OUTPUT (K23).
        records: how many were accepted, LOST not counted.
        uncounted: of the writers in ``nest``, those whose sample `count` may still count.
        phase: RESTING, OWES_LOAD or OWES_STORE.
        snapshot: the head that the reader loaded last.
    """

    head: Number
    published: Number
    tail: Number
    wakeup: Number
    outer_wakeup: Number
    nest: Number
    latch: Truth
    lost: Number
    paused: Truth
    records: Number
    uncounted: Number
    phase: Number
    snapshot: Number


@dataclass(frozen=True)
class Args:
    """What a step may choose: the size of a record, of the LOST that it may have to bring, and a new tail."""

    size: Number = 0
    lost_bytes: Number = 0
    position: Number = 0


@dataclass(frozen=True)
class Step:
    """When something can happen, and what it does."""

    guard: Callable[[Ring, State, Args], Truth]
    effect: Callable[[Ring, State, Args], State]


TRUTHS = frozenset({"latch", "paused", "overwrite"})
"""The fields that are no numbers."""


def names_of(kind: type[Ring | State | Args]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


def initial(ring: Ring) -> State:
    """A ring that was just made: as the constructor of RingBuffer leaves it."""
    at = ring.start
    return State(
        *(at, at, at, at, at),
        nest=0,
        latch=False,
        lost=0,
        paused=False,
        records=0,
        uncounted=0,
        phase=RESTING,
        snapshot=at,
    )


def used(state: State) -> Number:
    return state.head - state.tail


def pending(state: State) -> Truth:
    """The cursor has moved, and the outermost publish will signal."""
    return all_of(state.nest > 0, state.wakeup != state.outer_wakeup)


def quiet(state: State) -> Truth:
    """No wakeup that the reader could still hear of."""
    return negation(any_of(state.latch, pending(state)))


# The writing CPU.


def need(state: State, args: Args) -> Number:
    """A loss that was not told yet is told by the next record, and both are reserved as one (K21)."""
    return args.size + choose(state.lost > 0, args.lost_bytes, 0)


def is_record(ring: Ring, args: Args) -> Truth:
    return all_of(
        ring.smallest <= args.size,
        args.size <= ring.largest,
        args.size % 8 == 0,
        args.lost_bytes >= 24,
        args.lost_bytes <= ring.largest_lost,
        args.lost_bytes % 8 == 0,
    )


def accepts(ring: Ring, state: State, args: Args) -> Truth:
    """One byte stays free (K6)."""
    fits = any_of(ring.overwrite, used(state) + need(state, args) <= ring.size - 1)
    return all_of(negation(state.paused), fits)


def reserve(ring: Ring, state: State, args: Args) -> State:
    """Room for a record, or a loss; and the test of the watermark (K7, K12)."""
    accepted = accepts(ring, state, args)
    head = state.head + need(state, args)
    crossed = all_of(accepted, head - state.wakeup > ring.watermark)
    return replace(
        state,
        head=choose(accepted, head, state.head),
        wakeup=choose(crossed, state.wakeup + ring.watermark, state.wakeup),
        outer_wakeup=choose(all_of(accepted, state.nest == 0), state.wakeup, state.outer_wakeup),
        nest=choose(accepted, state.nest + 1, state.nest),
        lost=choose(accepted, 0, state.lost + 1),
        records=choose(accepted, state.records + 1, state.records),
        uncounted=choose(accepted, state.uncounted + 1, state.uncounted),
    )


def publish(ring: Ring, state: State, args: Args) -> State:
    """The outermost writer shows the head, and signals if the cursor has moved since it began."""
    outermost = state.nest == 1
    return replace(
        state,
        nest=state.nest - 1,
        uncounted=least(state.uncounted, state.nest - 1),
        published=choose(outermost, state.head, state.published),
        latch=any_of(state.latch, all_of(outermost, pending(state))),
    )


def count(ring: Ring, state: State, args: Args) -> State:
    """A sample of an event without the ``watermark`` flag moves the cursor by 1 (K9). No session has one (K10)."""
    return replace(state, wakeup=state.wakeup + 1, uncounted=state.uncounted - 1)


def pause(ring: Ring, state: State, args: Args) -> State:
    return replace(state, paused=True)


def resume(ring: Ring, state: State, args: Args) -> State:
    return replace(state, paused=False)


# The reader.


def take_latch(ring: Ring, state: State, args: Args) -> State:
    """Whoever asks takes the readiness (K14), and a reader that knows it owes the ring a look (K15)."""
    return replace(state, latch=False, phase=OWES_LOAD)


def steal(ring: Ring, state: State, args: Args) -> State:
    """Somebody asks who does not drain: a second poller, an epoll within an epoll (K16, K17)."""
    return replace(state, latch=False)


def load(ring: Ring, state: State, args: Args) -> State:
    return replace(state, snapshot=state.published, phase=OWES_STORE)


def free(ring: Ring, state: State, args: Args) -> State:
    """Stores a tail: everything up to the snapshot, or only some of the records."""
    return replace(state, tail=args.position)


def rest(ring: Ring, state: State, args: Args) -> State:
    return replace(state, phase=RESTING)


# No steps of their own: several without anything in between, which keeps counterexamples short.


def send(ring: Ring, state: State, args: Args) -> State:
    """One record, undisturbed from reserve to publish."""
    reserved = reserve(ring, state, args)
    published = publish(ring, reserved, args)
    return State(
        *(choose(reserved.nest > 0, *pair) for pair in zip(_values(published), _values(reserved), strict=True))
    )


def _values(state: State) -> tuple[Number | Truth, ...]:
    return tuple(getattr(state, name) for name in names_of(State))


def drain(ring: Ring, state: State, args: Args) -> State:
    """Head loaded and stored as the tail, undisturbed and unasked."""
    return replace(state, snapshot=state.published, tail=state.published)


def finish(ring: Ring, state: State, args: Args) -> State:
    """The snapshot stored as the tail, and the reader waits again."""
    return rest(ring, replace(state, tail=state.snapshot), args)


def _always(ring: Ring, state: State, args: Args) -> Truth:
    return True


def _may_free(ring: Ring, state: State, args: Args) -> Truth:
    order = all_of(state.tail <= args.position, args.position <= state.snapshot)
    return all_of(state.phase == OWES_STORE, order, (args.position - state.tail) % 8 == 0)


STEPS: dict[str, Step] = {
    "reserve": Step(lambda ring, state, args: is_record(ring, args), reserve),
    "publish": Step(lambda ring, state, args: state.nest > 0, publish),
    "send": Step(lambda ring, state, args: all_of(state.nest == 0, is_record(ring, args)), send),
    "count": Step(lambda ring, state, args: state.uncounted > 0, count),
    "pause": Step(_always, pause),
    "resume": Step(_always, resume),
    # epoll_wait(2) returns only for a latch that is set; poll(2) with no timeout, or EPOLL_CTL_ADD, asks at any time.
    "wake": Step(lambda ring, state, args: all_of(state.phase == RESTING, state.latch), take_latch),
    "ask": Step(_always, take_latch),
    "steal": Step(_always, steal),
    "load": Step(lambda ring, state, args: state.phase == OWES_LOAD, load),
    # A reader that drains unasked: on a timer, because another ring woke it, or further than it first meant to.
    "peek": Step(lambda ring, state, args: state.phase != OWES_LOAD, load),
    "drain": Step(lambda ring, state, args: state.phase == RESTING, drain),
    "finish": Step(lambda ring, state, args: state.phase == OWES_STORE, finish),
    "free": Step(_may_free, free),
    "rest": Step(lambda ring, state, args: all_of(state.phase == OWES_STORE, state.tail == state.snapshot), rest),
}

WRITER = ("reserve", "publish")
SENDS = ("send",)
PAUSES = ("pause", "resume")
WAITS = ("wake", "load", "free", "rest")
"""A reader that does nothing but wait."""
DRAINS = ("wake", "load", "finish")
"""The same, which gives back all that it saw at once."""
READS = (*WAITS, "ask", "peek")
"""A session: it asks when it registers, drains when it likes, but after each asking it looks at head."""
