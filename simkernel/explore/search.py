"""Breadth first through all states, so that the first rule that breaks is broken on a shortest way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from simkernel._arguments import check_callable, check_count
from simkernel.explore.cpu import Broken
from simkernel.explore.reading import View
from simkernel.explore.scenario import Scenario
from simkernel.explore.world import World
from simkernel.ringbuf import RingBuffer

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from simkernel.explore.reading import ReaderState
    from simkernel.explore.world import Move

__all__ = ["Exploration", "Step", "Trace", "explore"]

# The places of all CPUs, how far the script is, and the reader: what `World` and `View` make a state of.
_State: TypeAlias = tuple[Any, Any, Any]
_READER: Final = ("reader", 0)
_STUCK: Final = "the reader waits, and no ring has room for another record: nothing will ever wake it"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a trace.

    Attributes:
        number: 1 for the first.
        who: "reader", "task on cpu 0", "interrupt on cpu 0", "somebody, cpu 0".
        what: what it did, in words.
        rings: each ring after that.
    """

    number: int
    who: str
    what: str
    rings: tuple[str, ...]

    def __str__(self) -> str:
        """The step, and the rings below it."""
        return "\n".join([f"{self.number:4}  {self.who:19} {self.what}", *(f"      {ring}" for ring in self.rings)])


@dataclass(frozen=True, slots=True)
class Trace:
    """A way through the states, as short as any that ends so.

    Attributes:
        finding: what is the matter at its end.
        steps: from the beginning on.
    """

    finding: str
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        """All steps, and the finding."""
        return "\n".join([*map(str, self.steps), f"after {len(self.steps)} steps: {self.finding}"])


@dataclass(frozen=True, slots=True)
class Exploration:
    """What `explore` found.

    Attributes:
        states: how many different ones were visited.
        transitions: how many steps between them were made.
        depth: the number of steps of the longest of the shortest ways to a state.
        complete: whether these are all states there are.
        wakeups: how many of the steps were the end of a wait.
        counterexample: a shortest way to where a rule breaks, or None. Nothing was explored behind it.
        stuck: a shortest way to where a reader that waits will never be woken again, or None. In a setting that is not
            LIVE this is no fault of the reader's.
    """

    states: int
    transitions: int
    depth: int
    complete: bool
    wakeups: int
    counterexample: Trace | None
    stuck: Trace | None

    @property
    def ok(self) -> bool:
        """Whether no rule was broken in what was visited."""
        return self.counterexample is None

    def __str__(self) -> str:
        """A line, and the counterexample."""
        extent = (
            "all there are" if self.complete else f"not all: {'stopped at the finding' if not self.ok else 'bounded'}"
        )
        line = f"{self.states} states, {self.transitions} transitions, {self.depth} steps deep, {extent}"
        return line if self.counterexample is None else f"{line}\n{self.counterexample}"


def explore(
    reader: Callable[[View, Hashable], Hashable],
    scenario: Scenario | None = None,
    *,
    depth: int | None = None,
    max_states: int | None = None,
    ring: type[RingBuffer] = RingBuffer,
) -> Exploration:
    """Visits every interleaving of a scenario's writers with a reader.

    Checked in every state: records are delivered once, whole, in the order of their ring, and not before they are
    published; delivered, unread and lost ones add up to what was produced; head never passes tail + size; the wakeup
    cursor moves as it should and stays behind head; a reader that waits with a clear latch has no more unread than the
    watermark; in a LIVE setting the next record always has room then.

    Args:
        reader: one turn of it, which is called again and again. It gets a `View`, and what its last turn returned
            (None at first): nothing else may survive a turn. `waiting_reader` is one.
        scenario: who writes what; by default ``Scenario()``.
        depth: steps to go at most; None for all.
        max_states: states to visit at most; None for all.
        ring: the kernel's side, for one with a planted mistake.

    Raises:
        TypeError, ValueError: an argument that is none.
        SimulatorError: the reader does not do the same again in the same situation, or turns in circles.
    """
    check_callable("reader", reader)
    scenario = Scenario() if scenario is None else scenario
    _check_kinds(scenario, ring)
    for name, value in (("depth", depth), ("max_states", max_states)):
        if value is not None:
            check_count(name, value, least=1)
    return _Search(_Machine(reader, scenario, ring)).run(depth, max_states)


def _check_kinds(scenario: object, ring: object) -> None:
    if not isinstance(scenario, Scenario):
        raise TypeError(f"scenario is {scenario!r}: it must be a Scenario")
    if not (isinstance(ring, type) and issubclass(ring, RingBuffer)):
        raise TypeError(f"ring is {ring!r}: it must be RingBuffer or a class made from it")


class _Machine:
    """World and reader, which can be put into any state that they were in."""

    def __init__(
        self, reader: Callable[[View, Hashable], Hashable], scenario: Scenario, ring_class: type[RingBuffer]
    ) -> None:
        self.world = World(scenario, ring_class)
        self.view = View(self.world, reader)

    def start(self) -> _State:
        """The first state: nothing is written, and the reader is at its first access."""
        reader = self.view.start()
        self.world.check(waiting=reader.waits)
        return self._state(reader)

    def load(self, state: _State) -> None:
        """Goes back to a state, as far as the world is concerned."""
        places, self.world.script, _ = state
        for cpu, place in zip(self.world.cpus, places, strict=True):
            cpu.load(place)

    def moves(self, state: _State) -> list[Move]:
        """What may happen in it."""
        self.load(state)
        moves = self.world.moves()
        if not state[2].waits or self.world.is_ready():
            moves.append(_READER)
        return moves

    def make(self, state: _State, move: Move) -> tuple[_State, str]:
        """The state after a move, and what the writing side says of it.

        Raises:
            Broken: a rule does not hold then.
        """
        self.load(state)
        reader, told = state[2], ""
        if move is _READER:
            reader = self.view.advance(reader)
        else:
            told = self.world.make(move)
        self.world.check(waiting=reader.waits)
        return self._state(reader), told

    def _state(self, reader: ReaderState) -> _State:
        return tuple([cpu.save() for cpu in self.world.cpus]), self.world.script, reader


class _Search:
    def __init__(self, machine: _Machine) -> None:
        self._machine = machine
        self._ways: list[tuple[int, Move]] = []  # for each state: from which one it was reached first, and how
        self._transitions = self._wakeups = self._depth = 0
        self._seen: set[_State] = set()
        self._first: _State = ((), (), ())
        self._broken: tuple[list[Move], str] | None = None
        self._stuck_at: int | None = None

    def run(self, depth: int | None, max_states: int | None) -> Exploration:
        complete = self._search(depth, max_states)
        return Exploration(
            states=len(self._ways),
            transitions=self._transitions,
            depth=self._depth,
            complete=complete,
            wakeups=self._wakeups,
            counterexample=None if self._broken is None else self._retrace(*self._broken),
            stuck=None if self._stuck_at is None else self._retrace(self._way_to(self._stuck_at), _STUCK),
        )

    def _search(self, depth: int | None, max_states: int | None) -> bool:
        """Goes on level by level. True when nothing is left."""
        try:
            self._first = self._machine.start()
        except Broken as broken:
            self._broken = [], str(broken)
            return False
        self._seen.add(self._first)
        self._ways.append((-1, _READER))
        level = [(0, self._first)]
        while level and self._depth != depth:
            following = self._expand(level, max_states)
            if following is None:
                return False
            self._depth += bool(following)
            level = following
        return not any(self._machine.moves(state) for _, state in level)

    def _expand(self, level: list[tuple[int, _State]], max_states: int | None) -> list[tuple[int, _State]] | None:
        """The new states one step further, or None when the search is over."""
        machine, ways, seen = self._machine, self._ways, self._seen
        following = []
        for number, state in level:
            for move in machine.moves(state):
                try:
                    after, _ = machine.make(state, move)
                except Broken as broken:
                    self._broken = [*self._way_to(number), move], str(broken)
                    return None
                self._count(state, move)
                if after in seen:
                    continue
                if len(ways) == max_states:
                    return None
                seen.add(after)
                following.append((len(ways), after))
                ways.append((number, move))
                self._look_at(after)
        return following

    def _count(self, state: _State, move: Move) -> None:
        self._transitions += 1
        self._wakeups += move is _READER and state[2].waits

    def _look_at(self, state: _State) -> None:
        """Remembers the first state in which the reader sleeps for ever; the world is in it."""
        if self._stuck_at is None and state[2].waits and self._machine.world.is_stuck():
            self._stuck_at = len(self._ways) - 1

    def _way_to(self, number: int) -> list[Move]:
        way = []
        while number:
            number, move = self._ways[number]
            way.append(move)
        return way[::-1]

    def _retrace(self, way: list[Move], finding: str) -> Trace:
        """Goes a way once more, and tells of it."""
        machine, steps = self._machine, []
        state = self._first
        for number, move in enumerate(way, 1):
            machine.load(state)
            who = "reader" if move is _READER else machine.world.who(move)
            try:
                state, told = machine.make(state, move)
            except Broken:
                told = f"{move[0]}s"
            what = ", ".join(machine.view.told) if move is _READER else told
            steps.append(Step(number, who, what, tuple(map(str, machine.world.cpus))))
        return Trace(finding, tuple(steps))
