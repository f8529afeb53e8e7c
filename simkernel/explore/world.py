"""All CPUs, and what may happen on them next."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from simkernel.explore.cpu import Broken, Cpu

if TYPE_CHECKING:
    from collections.abc import Iterable

    from simkernel.explore.scenario import Scenario
    from simkernel.ringbuf import RingBuffer

__all__ = ["Move", "World"]

Move: TypeAlias = tuple[str, int]
"""What happens next, and on which CPU: ``("reserve", 0)``."""
# Records written, where the task is, interrupts that struck, migrations and pauses that are left.
_Script: TypeAlias = tuple[int, int, int, int, int]


class World:
    """All CPUs, and how far the scenario has come on them.

    Attributes:
        scenario: what is to happen.
        cpus: one, or two if the task may migrate.
        script: how far it has come: for whoever saves the state to keep, and to put back.
    """

    def __init__(self, scenario: Scenario, ring_class: type[RingBuffer]) -> None:
        self.scenario = scenario
        self.cpus = tuple(Cpu(index, scenario, ring_class) for index in range(scenario.cpus))
        self.script: _Script = (0, 0, 0, scenario.migrations, scenario.pauses)

    def moves(self) -> list[Move]:
        """Everything that may happen next, but for the reader."""
        written, task_cpu, struck, migrations, pauses = self.script
        records_left, found = written < len(self.scenario.records), []
        for cpu in self.cpus:
            if cpu.stack:
                found.append((cpu.stack[-1][0], cpu.index))
            elif records_left and cpu.index == task_cpu:
                found.append(("reserve", cpu.index))
                if migrations:
                    found.append(("migrate", cpu.index))
            if struck < len(self.scenario.interrupts):
                found.append(("interrupt", cpu.index))
            if cpu.paused:
                found.append(("resume", cpu.index))
            elif pauses:
                found.append(("pause", cpu.index))
        return found

    def make(self, move: Move) -> str:
        """Lets it happen, and says what it was.

        Raises:
            Broken: a rule of the writing side does not hold.
        """
        name, index = move
        cpu = self.cpus[index]
        cpu.place = None
        written, task_cpu, struck, migrations, pauses = self.script
        number = written + struck + 1  # whoever writes it: what differs in nothing else is to be one state
        if name == "reserve":
            self.script = (written + 1, task_cpu, struck, migrations, pauses)
            return cpu.reserve(number, self.scenario.records[written], 0)
        if name == "interrupt":
            self.script = (written, task_cpu, struck + 1, migrations, pauses)
            return "strikes: " + cpu.reserve(number, self.scenario.interrupts[struck], 1)
        if name == "migrate":
            self.script = (written, 1 - task_cpu, struck, migrations - 1, pauses)
            return f"moves to cpu {1 - task_cpu}"
        if name == "pause":
            self.script = (written, task_cpu, struck, migrations, pauses - 1)
        step: str = getattr(cpu, name)()
        return step

    def who(self, move: Move) -> str:
        """Who is about to make this move."""
        name, index = move
        if name in ("pause", "resume"):
            return f"somebody, cpu {index}"
        stack = self.cpus[index].stack
        interrupt = name == "interrupt" or (name not in ("reserve", "migrate") and stack[-1][4])
        return f"{'interrupt' if interrupt else 'task'} on cpu {index}"

    def take_latches(self, asked: Iterable[int]) -> tuple[int, ...]:
        """Asks the rings of some CPUs, and thereby takes their latches: those whose latch was set (K14)."""
        ready = []
        for cpu in map(self.cpus.__getitem__, asked):
            if cpu.ring.latch:
                cpu.place = None
                cpu.ring.take_latch()
                ready.append(cpu.index)
        return tuple(ready)

    def is_ready(self) -> bool:
        """Whether a reader that waits would be woken."""
        return any(cpu.ring.latch for cpu in self.cpus)

    def check(self, *, waiting: bool) -> None:
        """The rules that need no event. Raises Broken."""
        for cpu in self.cpus:
            cpu.check(waiting=waiting)
        if waiting and self.scenario.must_live and not self.is_ready():
            largest = max(self.scenario.sizes)
            for cpu in self.cpus:
                if cpu.refuses(largest):
                    raise Broken(
                        f"the setting is LIVE, the reader waits, and a record of {largest} bytes has no room: it sticks"
                    )

    def is_stuck(self) -> bool:
        """Whether a reader that waits will never be woken again: no ring has room even for the smallest record."""
        smallest = min(self.scenario.sizes)
        return all(cpu.refuses(smallest) for cpu in self.cpus)
