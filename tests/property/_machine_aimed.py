"""The machine of system calls with aimed steps: what a blind walk meets once in a thousand runs, met in every one."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import consumes, multiple, rule

from tests.property import _model as model
from tests.property._machine_raw import Mapped, Person, RawMachine
from tests.property._model import EDGE, HUP, IN, ONESHOT, Kind

__all__ = ["AimedMachine"]

_MOST_RINGS = 8
_KINDS_OF_WAIT = {IN: "level", IN | EDGE: "edge", IN | ONESHOT: "oneshot"}
_MASKS = st.sampled_from([*_KINDS_OF_WAIT])
_WATERMARKS = st.sampled_from([1, 500, 2048, 3000])
_DOUBTFUL = st.sampled_from([4087, 4072, 4064, 4060, 4039, 3991])
# A ring is filled to 4080 bytes by records of 24, and to 4072 when a LOST of 40 is before them: never, once, twice,
# three times, and for ever (K42).
_WEARING = st.sampled_from([4080, 4080, 4079, 4075, 4074, 4072])
_PLAIN = {"kind": Kind.CALLS, "cpu": 0, "wakeup_events": 0, "inherit": False, "enabled": True}


class AimedMachine(RawMachine):
    """Adds steps that work towards something: a watermark, a full ring, a registration that is used up."""

    def _ring_of_its_own(self, watermark: int, *, stamped: bool, trailed: bool = False, n: int = 0) -> Mapped | None:
        """A new actor's getppid(2), in a new ring; None where there are enough."""
        if len(self.mapped) >= _MOST_RINGS:
            return None
        task, _ = self._new_actor()
        fd = self._open(
            task, _PLAIN | {"watermark": watermark, "stamped": stamped, "trailed": trailed} | {"wakeup_events": n}
        )
        made: Mapped = self._map(fd, 1)
        return made

    def _caller(self, ring: model.Ring) -> tuple[Person, int] | None:
        """Who can write samples into the ring, and of what size; what stands in the way is removed."""
        for event in ring.members:
            who = next((one for one in self.people if one[0].alive and one[0] in event.tasks), None)
            if event.kind is Kind.CALLS and event.fd is not None and who is not None:
                self.enable_or_disable(event.fd, True)
                self.pause(event.fd, False)
                if event.cpu not in (-1, who[0].cpu):
                    self.pin(who, event.cpu)
                return who, event.sample(who[0], None).size
        return None

    def _below_the_watermark(self, ring: model.Ring, size: int) -> int:
        """How many records can come before one signals, or fills the ring."""
        room = ring.watermark - (ring.head - ring.wakeup)
        return max(min(room, ring.size - 1 - ring.used) // size, 0)

    def _fds_of(self, ring: model.Ring) -> list[int]:
        return [event.fd for event in ring.members if event.fd is not None]

    @rule(target=RawMachine.maps, watermark=_WATERMARKS | _DOUBTFUL, stamped=st.booleans())
    def map_one_more(self, watermark: int, stamped: bool) -> Any:
        return self._ring_of_its_own(watermark, stamped=stamped) or multiple()

    @rule(each=RawMachine.maps, extra=st.integers(1, 2))
    def ask_below_and_above_the_watermark(self, each: Mapped, extra: int) -> None:
        caller = self._caller(each.ring)
        if caller is None:
            return
        who, size = caller
        fds = self._fds_of(each.ring)[:1]
        self.drain(each, 10_000)
        self.poll(fds, IN)
        self.getppid(who, self._below_the_watermark(each.ring, size))
        self.poll(fds, IN)
        self.getppid(who, extra)
        self.poll(fds, IN)
        self.poll(fds, IN)

    @rule(each=RawMachine.maps, masks=st.permutations([*_KINDS_OF_WAIT]), rearm=st.booleans())
    def wait_below_and_above_the_watermark(self, each: Mapped, masks: list[int], rearm: bool) -> None:
        caller = self._caller(each.ring)
        if caller is None or each.event.fd is None or each.event.over:
            own = self._ring_of_its_own(2048, stamped=False)
            if own is None:
                return
            each, caller = own, (self.people[-1], 24)
        fd = each.event.fd
        assert fd is not None
        for mask in masks:
            self._register(fd, mask)
            for _ in range(2):
                self._wait_until_above(each, mask, *caller)
            if rearm:
                self._register(fd, mask)

    def _wait_until_above(self, each: Mapped, mask: int, who: Person, size: int) -> None:
        self.drain(each, 10_000)
        self.getppid(who, self._below_the_watermark(each.ring, size))
        self._wait()
        self.getppid(who, 1)
        if (each.event.fd, IN) in self._wait():
            self.note(f"epoll IN {_KINDS_OF_WAIT[mask]}")
        elif mask & ONESHOT and each.ring.latch:
            self.note("woken and disarmed")

    def _register(self, fd: int, mask: int) -> None:
        if any(item.fd == fd and item.event.fd == fd for item in self.model.items):
            self.epoll_mod(fd, mask)
        else:
            self.epoll_add(fd, mask)

    @rule(each=RawMachine.maps, who=RawMachine.actors, pages=st.sampled_from([1, 1, 2]), stamped=st.booleans())
    def map_a_follower(self, each: Mapped, who: Person, pages: int, stamped: bool) -> None:
        fd = self._follow(each, who[0], stamped=stamped)
        if isinstance(fd, int):
            self._map(fd, pages)
            self.close(fd)

    def _follow(self, each: Mapped, task: model.Task, *, stamped: bool) -> Any:
        """One more event that writes into the ring, as long as its fd is open."""
        if each.event.fd is None:
            return None
        settings = _PLAIN | {"kind": Kind.TASKS, "watermark": 0, "cpu": each.event.cpu}
        fd = self._open(task, settings | {"stamped": stamped, "trailed": stamped})
        if isinstance(fd, int):
            self._redirect(fd, each.event.fd)
        return fd

    @rule(target=RawMachine.maps, watermark=_WEARING, rounds=st.integers(2, 4))
    def lose_in_every_round(self, watermark: int, rounds: int) -> Any:
        """Waits, drains when woken, and comes too late each time (K42)."""
        each = self._ring_of_its_own(watermark, stamped=False, trailed=True)
        if each is None:
            return multiple()
        for _ in range(rounds):
            self.getppid(self.people[-1], each.ring.size // 24 + 3)
            if not self._is_ready(each.fd):
                self.note("worn out" if each.ring.wakes else "never woken")
                break
            self.drain(each, 10_000)
        return each

    @rule(target=RawMachine.maps, watermark=_DOUBTFUL, stamped=st.booleans())
    def lose_one_with_room_for_one(self, watermark: int, stamped: bool) -> Any:
        """A LOST and a record do not fit where a record would (K43)."""
        each = self._ring_of_its_own(watermark, stamped=stamped, trailed=stamped)
        if each is None:
            return multiple()
        who, size = self.people[-1], each.event.sample(self.people[-1][0], None).size
        self.getppid(who, (each.ring.size - 1) // size - 1)
        self.pause(each.fd, True)
        self.getppid(who, 1)
        self.pause(each.fd, False)
        self.getppid(who, 1)
        if each.ring.untold == 2:
            self.note("refused for the LOST alone")
        if not self._is_ready(each.fd):
            self.note("silent with room")
        return each

    @rule(target=RawMachine.maps, each=consumes(RawMachine.maps), by_exit=st.booleans(), mask=_MASKS)
    def end_a_ring_that_is_waited_for(self, each: Mapped, by_exit: bool, mask: int) -> Any:
        if each.event.fd is None:
            return each
        self._register(each.event.fd, mask)
        self._end(each, by_exit=by_exit)
        return each if by_exit else multiple()

    @rule(target=RawMachine.maps, mask=_MASKS)
    def end_a_ring_twice(self, mask: int) -> Any:
        """Unmapped and mapped again it counts from 0 (K3)."""
        each = self._ring_of_its_own(2048, stamped=False)
        if each is None:
            return multiple()
        who = self.people[-1]
        self._register(each.fd, mask)
        self.getppid(who, 100)
        self.epoll_add(each.fd, mask)
        self._follow(each, who[0], stamped=True)
        self._end(each, by_exit=False)
        self.pause(each.fd, True)
        again: Mapped = self._map(each.fd, 1)
        self._register(each.fd, mask)
        self.getppid(who, 2)
        self._end(again, by_exit=True)
        self.drain(again, 10_000)
        return again

    def _end(self, each: Mapped, *, by_exit: bool) -> None:
        """POLLHUP by the last exit, or by the last munmap while the fd is open (K19, K45)."""
        self._wait()
        if by_exit:
            for who in [one for one in self.people if one[0] in each.event.tasks]:
                self._exit(who)
        else:
            self.unmap(each)
        if (each.event.fd, HUP) in self._wait():
            self.note("HUP by exit" if by_exit else "HUP by munmap")

    @rule(before=st.integers(0, 20))
    def end_on_the_watermark_with_a_loss(self, before: int) -> None:
        """Not above it, so nobody is woken (K7)."""
        each = self._ring_of_its_own(24 * before + 48, stamped=False)
        if each is not None:
            self.getppid(self.people[-1], before)
            self.pause(each.fd, True)
            self.getppid(self.people[-1], 1)
            self.pause(each.fd, False)
            self.getppid(self.people[-1], 1)
            self.poll([each.fd], IN)

    @rule(first=st.integers(1, 4), calls=st.integers(1, 9))
    def count_for_two(self, first: int, calls: int) -> None:
        """One count in the ring, and each event compares it with a number of its own (K9)."""
        each = self._ring_of_its_own(0, stamped=False, n=first)
        if each is None:
            return
        one, other = self.people[-1], self._new_actor()
        fd = self._open(other[0], _PLAIN | {"watermark": 0, "stamped": False, "trailed": False, "wakeup_events": 20})
        self._redirect(fd, each.fd)
        for _ in range(2):
            self.getppid(other, calls)
            self.getppid(one, 1)
            self.poll([each.fd], IN)

    @rule(each=RawMachine.maps, cpu=st.sampled_from([1, -1]))
    def redirect_to_another_ring_and_cpu(self, each: Mapped, cpu: int) -> None:
        """From ring to ring; when the first one goes, that is nothing to the event. Not to another CPU (K25, K26)."""
        first, second = (self._ring_of_its_own(500, stamped=False) for _ in range(2))
        if first is None or second is None:
            return
        task = self.people[-1][0]
        fd = self._follow(first, task, stamped=False)
        self._redirect(fd, second.fd)
        self.unmap(first)
        self.poll([fd], IN)
        settings = _PLAIN | {"kind": Kind.NAMES, "watermark": 1, "stamped": False, "trailed": False}
        stranger = self._open(task, settings | {"cpu": cpu})
        if isinstance(stranger, int):
            self._redirect(stranger, second.fd)
        if isinstance(stranger, int) and each.event.fd is not None:
            self._redirect(stranger, each.event.fd)

    @rule(target=RawMachine.actors)
    def come(self) -> Any:
        return self._new_actor() if sum(one[0].alive for one in self.people) < _MOST_RINGS else multiple()

    @rule(fd=RawMachine.fds, size=st.sampled_from([8, 15]))
    def read_into_too_little(self, fd: int, size: int) -> None:
        self.read(fd, size)

    @rule(who=RawMachine.actors)
    def emit_what_nobody_records(self, who: Person) -> None:
        event = self.model.output.get(who[0].cpu)
        if event is not None and event.fd is not None:
            self.enable_or_disable(event.fd, False)
            self.emit(who, 8, 1)
            self.enable_or_disable(event.fd, True)
