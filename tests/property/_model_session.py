"""A session as its documentation tells it, over the model of the kernel: who waits, when it looks, what it then gets.

Like that model it shares nothing with perfring. It knows no threads, no time order but that in which things were done,
and no bytes: a look takes everything that is in the rings, in the order in which it came about.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.property._model import HUP, Event, Machine, Record, Ring

__all__ = ["ANNOUNCED", "Asleep", "Look", "Reader", "Side", "Taken", "World"]

ANNOUNCED = ("timeout", "flush", "end")


class Asleep(Exception):
    """The reader waits, and nothing will ever wake it."""


class Taken(NamedTuple):
    """A record outside its ring: when it was made, and where it lay."""

    turn: int
    cpu: int
    position: int
    record: Record


class Look(NamedTuple):
    """A batch: what came, and why the reader looked."""

    taken: list[Taken]
    reason: str


class World(Machine):
    """The kernel's model, with the order in which records were made over all rings."""

    def __init__(self, page: int) -> None:
        super().__init__(page)
        self.turn = 0
        self.turns: dict[Ring, deque[int]] = defaultdict(deque)

    def _write(self, event: Event, record: Record) -> None:
        super()._write(event, record)
        ring = event.ring
        while ring is not None and len(self.turns[ring]) < len(ring.records):
            self.turn += 1
            self.turns[ring].append(self.turn)

    def take_all(self, ring: Ring, cpu: int) -> list[Taken]:
        position, taken = ring.tail, []
        for record in ring.take(len(ring.records)):
            taken.append(Taken(self.turns[ring].popleft(), cpu, position, record))
            position += record.size
        return taken


@dataclass(eq=False)
class Side:
    """One CPU's ring as the session sees it.

    Attributes:
        events: those that write into it, the leader first.
        stand: the one that is registered with the epoll for all of them (K17, K19).
        counts: wakeups, spurious, records, bytes, highest fill, losses told.
    """

    cpu: int
    ring: Ring
    events: list[Event]
    stand: Event
    ended: bool = False
    woken: bool = False
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def lost(self) -> int:
        """What read(2) of all events tells (K22)."""
        return sum(event.lost for event in self.events)

    def look(self) -> None:
        """Loads the head: a wakeup over an empty ring was for what somebody took out before (K18)."""
        self.counts["highest"] = max(self.counts["highest"], self.ring.used)
        self.counts["spurious"] += self.woken and not self.ring.used
        self.woken = False


class Reader:
    """The one reader of a session.

    Attributes:
        now: the clock in nanoseconds, which moves while it sleeps.
        outbox: what was released and not yet handed over.
        due: there is a look to come; ``looked``: one is behind, and its reason may have to be announced.
    """

    def __init__(self, world: World, sides: list[Side], latency: float | None) -> None:
        self.world = world
        self.sides = sides
        self.latency = latency
        self.now = 0
        self.outbox: list[Taken] = []
        self.reason = "start"
        self.due = self.looked = self.registered = self.ended = False
        self.waker = self.flush_asked = self.stop_asked = False
        self.looked_at = 0.0
        self.timeouts = 0

    # What others ask.

    def flush(self) -> None:
        self.flush_asked = self.waker = True

    def stop(self) -> None:
        self.stop_asked = self.waker = True

    # Looking.

    def sweep(self) -> list[Taken]:
        taken = [each for side in self.sides for each in self.sweep_one(side)]
        return sorted(taken)

    def sweep_one(self, side: Side) -> list[Taken]:
        side.look()
        taken = self.world.take_all(side.ring, side.cpu)
        side.counts["records"] += len(taken)
        side.counts["bytes"] += sum(each.record.size for each in taken)
        side.counts["told"] += sum(int.from_bytes(e.record.front[8:], "little") for e in taken if e.record.type == 2)
        return taken

    def parse_all(self) -> list[Taken]:
        left, self.outbox = self.outbox, []
        return left + self.sweep()

    def parse_for_cpu(self, side: Side) -> list[Taken]:
        mine = [each for each in self.outbox if each.cpu == side.cpu]
        self.outbox = [each for each in self.outbox if each.cpu != side.cpu]
        return mine + self.sweep_one(side)

    # Waiting.

    def next_batch(self, *, timeout: float | None, latency: float | None = None) -> Look:
        """One batch, or one announcement. Raises Asleep."""
        bound = self.latency if latency is None else latency
        deadline = None if timeout is None else self.now / 1e9 + timeout
        if not self.registered:
            self._register()
            self._begin("start")
        while (batch := self._advance()) is None:
            self._wait(deadline, bound)
        return batch

    def _advance(self) -> Look | None:
        if self.due and not self.outbox and not self.ended:
            self.due, self.looked = False, True
            self.outbox = self.sweep()
        if self.outbox:
            taken, self.outbox = self.outbox, []
            return Look(taken, self.reason)
        if self.ended:
            return Look([], "end")
        if self.looked:
            self.looked = False
            self.ended = self.reason == "end"
            if self.reason in ANNOUNCED:
                return Look([], self.reason)
        return None

    def _begin(self, reason: str) -> None:
        self.reason, self.due, self.looked = reason, True, False
        self.looked_at = self.now / 1e9

    def _wait(self, deadline: float | None, latency: float | None) -> None:
        at_once = self.stop_asked or self.flush_asked or self.all_ended
        reasons = self._ask()
        expired = None
        if not reasons and not at_once:
            expired = self._sleep(deadline, latency)
        self._answer(reasons, expired, over=deadline is not None and self.now / 1e9 >= deadline)

    def _answer(self, reasons: set[str], expired: str | None, *, over: bool) -> None:
        """The end comes before a flush, data before a deadline, and a wakeup before what somebody asked for."""
        if self.stop_asked or self.all_ended:
            if self.stop_asked:
                self.switch(False)
            self._begin("end")
        elif self.flush_asked:
            self.flush_asked = False
            self._begin("flush")
        elif expired is not None:
            self.timeouts += 1
            self._begin(expired)
        elif reasons and over:
            self._begin("timeout")
        elif reasons - {"flush"}:
            self._begin("wakeup" if "wakeup" in reasons else "hangup")

    def _sleep(self, deadline: float | None, latency: float | None) -> str:
        """Until the first of the two; the kernel counts whole milliseconds, and rounds up."""
        now = self.now / 1e9
        times = [] if deadline is None else [(max(deadline - now, 0.0), "timeout")]
        times += [] if latency is None else [(max(self.looked_at + latency - now, 0.0), "latency")]
        if not times:
            self.registered = False  # what was asked and not looked at would never be told again
            raise Asleep
        seconds, reason = min(times, key=lambda each: each[0])
        self.now += math.ceil(seconds * 1000) * 1_000_000
        return reason

    @property
    def all_ended(self) -> bool:
        return all(side.ended for side in self.sides)

    def _register(self) -> None:
        """To register is to ask (K15)."""
        self.registered = True
        for side in self.sides:
            if not side.ended:
                side.stand = side.events[0]
                self.world.ask(side.stand)

    def _ask(self) -> set[str]:
        reasons = {"flush"} if self.waker else set()
        self.waker = False
        for side in self.sides:
            if not side.ended:
                reasons |= self._ask_one(side)
        return reasons

    def _ask_one(self, side: Side) -> set[str]:
        if side.stand.over:
            living = next((event for event in side.events if self.world.ask(event) != HUP), None)
            if living is None:
                side.ended = True
            else:
                side.stand = living
            return {"hangup"}
        if not self.world.ask(side.stand):
            return set()
        side.counts["wakeups"] += 1
        side.woken = True
        return {"wakeup"}

    def switch(self, on: bool) -> None:
        for side in self.sides:
            for event in side.events:
                event.enabled = on

    # Reading for a while.

    def batches(self, seconds: float, latency: float | None = None) -> Iterator[Look]:
        """Those that a loop gets: the timeout of an earlier call is not its own."""
        deadline = self.now / 1e9 + seconds
        if (self.due or self.looked) and self.reason == "timeout":
            self.reason = "start"
        while True:
            batch = self.next_batch(timeout=max(deadline - self.now / 1e9, 0.0), latency=latency)
            if not batch.taken and (batch.reason == "end" or (batch.reason != "flush" and self.now / 1e9 >= deadline)):
                return
            yield batch
