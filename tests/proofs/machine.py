"""`RingBuffer` and a reader, driven by the steps of the model; and walks that drive both in lock-step."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from perfring.abi import MMAP_PAGE_DATA_HEAD, MMAP_PAGE_DATA_TAIL
from perfring.geometry import MAX_RECORD_BYTES
from simkernel.ringbuf import REFUSED, RingBuffer, Writer
from tests.proofs.model import STEPS, Args, Ring, State, initial, need, used

U64 = (1 << 64) - 1
Pick = Callable[[int, int], int]
"""Chooses a number, both ends included."""
Observed = dict[str, int | bool]


def writer(args: Args, *, wakeup_events: int = 0) -> Writer:
    """Its LOSTs are as long as the step says (K44)."""
    trailer = bytes(args.lost_bytes - 24) if args.lost_bytes else b""
    return Writer(wakeup_events=wakeup_events, trailer_bytes=len(trailer), trailer=lambda: trailer)


class Machine:
    """The real code, one step at a time."""

    def __init__(self, ring: Ring) -> None:
        self.buffer = RingBuffer(ring.size, watermark=ring.watermark, overwrite=ring.overwrite, start=ring.start)
        self.snapshot = ring.start
        self.records = 0

    def do(self, name: str, args: Args) -> None:
        """One step; those that are only in the reader's mind do nothing here."""
        getattr(self, f"_{name}", lambda args: None)(args)

    def observed(self) -> Observed:
        """What can be compared with a `State`: positions as 64 bits."""
        buffer = self.buffer
        return {
            "head": buffer.head,
            "published": buffer.load_u64(MMAP_PAGE_DATA_HEAD),
            "tail": buffer.load_u64(MMAP_PAGE_DATA_TAIL),
            "wakeup": buffer.wakeup,
            "latch": bool(buffer.latch),
            "lost": buffer.lost,
            "paused": buffer.paused,
            "records": self.records,
            "snapshot": self.snapshot,
        }

    def _reserve(self, args: Args) -> None:
        self.records += self.buffer.reserve(writer(args), args.size) != REFUSED

    def _publish(self, args: Args) -> None:
        self.buffer.publish(writer(args))

    def _send(self, args: Args) -> None:
        self.records += self.buffer.output(writer(args), bytes(args.size))

    def _count(self, args: Args) -> None:
        self.buffer.count_sample(writer(args, wakeup_events=1))

    def _pause(self, args: Args) -> None:
        self.buffer.pause(True)

    def _resume(self, args: Args) -> None:
        self.buffer.pause(False)

    def _ask(self, args: Args) -> None:
        self.buffer.take_latch()

    _wake = _steal = _ask

    def _load(self, args: Args) -> None:
        self.snapshot = self.buffer.load_u64(MMAP_PAGE_DATA_HEAD)

    _peek = _load

    def _free(self, args: Args) -> None:
        self.buffer.store_u64(MMAP_PAGE_DATA_TAIL, args.position & U64)

    def _finish(self, args: Args) -> None:
        self.buffer.store_u64(MMAP_PAGE_DATA_TAIL, self.snapshot)

    def _drain(self, args: Args) -> None:
        self._load(args)
        self._finish(args)


def expected(state: State) -> Observed:
    """What the model says a `Machine` shows."""
    flags: Observed = {"latch": state.latch, "paused": state.paused, "lost": state.lost, "records": state.records}
    positions = ("head", "published", "tail", "wakeup", "snapshot")
    return {name: getattr(state, name) & U64 for name in positions} | flags


def in_step(ring: Ring, steps: Iterable[tuple[str, Args]]) -> tuple[Machine, State]:
    """Takes the same steps on both, and compares after every one.

    Raises:
        AssertionError: they differ, with the step after which they do.
    """
    machine, state = Machine(ring), initial(ring)
    for number, (name, args) in enumerate(steps):
        assert STEPS[name].guard(ring, state, args), f"step {number}, {name}, cannot happen in {state}"
        state = STEPS[name].effect(ring, state, args)
        machine.do(name, args)
        assert machine.observed() == expected(state), f"after step {number}, {name} with {args}, in {ring}"
    return machine, state


def any_ring(pick: Pick) -> Ring:
    """Small rings, so that ends and edges are met often; positions near 0 and near 2**64."""
    size = 8 << pick(0, 6)
    watermark = pick(1, size) if pick(0, 1) else 8 * pick(1, size // 8)
    start = (0, U64 + 1 - 8 * pick(1, 40), 8 * pick(0, 1 << 40))[pick(0, 2)]
    largest = min(8 * pick(1, size // 8 + 4), MAX_RECORD_BYTES)
    return Ring(size, watermark, 8, largest, 24 + 8 * pick(0, 6), start, overwrite=pick(0, 9) == 0)


def walk(ring: Ring, pick: Pick, names: tuple[str, ...], length: int) -> Iterator[tuple[str, Args, State]]:
    """A random run of the model: steps, and the states that they lead to."""
    state = initial(ring)
    for _ in range(length):
        name = names[pick(0, len(names) - 1)]
        args = _any_args(ring, state, pick)
        if STEPS[name].guard(ring, state, args):
            state = STEPS[name].effect(ring, state, args)
            yield name, args, state


def _any_args(ring: Ring, state: State, pick: Pick) -> Args:
    lost = 24 + 8 * pick(0, (ring.largest_lost - 24) // 8)
    # Half of all records end where the ring or the watermark does, or 8 bytes to either side.
    extra = need(state, Args(0, lost))
    edges = (ring.size - used(state) - extra, ring.watermark - (state.head - state.wakeup) - extra)
    size = 8 * pick(1, ring.largest // 8) if pick(0, 1) else edges[pick(0, 1)] // 8 * 8 + 8 * pick(-1, 1)
    unread = max(state.snapshot - state.tail, 0) // 8
    position = state.snapshot if pick(0, 1) else state.tail + 8 * pick(0, unread)
    return Args(min(max(size, ring.smallest), ring.largest), lost, position)
