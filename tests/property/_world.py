"""A simulated machine with something going on, a session on it, and what both of them counted."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from perfring.builder import SessionBuilder
from perfring.errors import WatermarkStallWarning
from perfring.events import BpfOutputEvents, TracepointEvents
from perfring.geometry import ring_data_bytes
from perfring.records import Record, Sample
from perfring.session import Session
from simkernel import Actor, RingBuffer, SimKernel, Writer
from simkernel.tasks import Sleep, Spend
from simkernel.workload import Emit, Mixed, Workload, bursty, constant, poisson

__all__ = ["World", "buffers", "numbers", "worlds"]

GETPPID = "syscalls:sys_enter_getppid"


@dataclass
class World:
    """Everything that was drawn, and everything that happened.

    Attributes:
        mix: payloads of BPF output, by weight; often none, for `build` has to expect them of any size.
        calls: getppid calls and renames, by CPU; each is one sample.
        emits: the acts that put out numbered payloads, by CPU.
        actors: the tasks.
        signals: how often the kernel signalled, by CPU.
        warned: whether `build` found the watermark doubtful.
    """

    seed: int
    cpus: list[int]
    page_size: int
    pages: int
    preemption: float
    budget: int | None
    watermark: int | None
    sampling: dict[str, Any]
    mix: dict[int, float]
    programs: list[tuple[Any, ...]]
    calls: Counter[int] = field(default_factory=Counter)
    emits: dict[int, Emit] = field(default_factory=dict)
    actors: list[Actor] = field(default_factory=list)
    signals: Counter[int] = field(default_factory=Counter)
    warned: bool = False

    @property
    def ring_bytes(self) -> int:
        return ring_data_bytes(self.pages, self.page_size)

    def start(self) -> SimKernel:
        """The machine, with its tasks about to begin."""
        kernel = SimKernel(
            cpus=self.cpus,
            page_size=self.page_size,
            paranoid=-1,
            capabilities={"CAP_SYS_ADMIN"},
            seed=self.seed,
        )
        self.emits = {cpu: Emit(self.mix or 0) for cpu in self.cpus}
        for number, program in enumerate(self.programs):
            cpu = self.cpus[number % len(self.cpus)]
            self.actors.append(kernel.spawn(self._workload(cpu, *program), cpu=cpu))
        return kernel

    def _workload(self, cpu: int, kind: str, rate: int, count: int, sleeps: bool) -> Workload:
        between = Sleep if sleeps else Spend
        act = self.act(cpu)
        if kind == "constant":
            return constant(rate, act=act, count=count, between=between)
        if kind == "poisson":
            return poisson(rate, act=act, count=count, between=between)
        return bursty(20, 20 / rate, act=act, count=count, between=between)

    def act(self, cpu: int) -> Mixed:
        """A getppid call, or a payload that is put out."""

        def call(actor: Actor) -> None:
            self.calls[cpu] += 1
            actor.getppid()

        def rename(actor: Actor) -> None:
            self.calls[cpu] += 1
            actor.rename("renamed")

        return Mixed((2, call), (1, rename), *([(3, self.emits[cpu])] if self.mix else []))

    @property
    def is_live(self) -> bool:
        """The rule, for the largest record that these programs can cause, generously."""
        payload = max(self.mix, default=0)
        stack = self.sampling.get("user_stack", -16) + 16
        chain = 8 * 140 if "callchain" in self.sampling else 0
        largest = max(48 + payload, 120 + stack + chain + 72)
        return self.watermark is not None and self.watermark + largest + 48 <= self.ring_bytes - 1

    def builder(self) -> SessionBuilder:
        """A session on everything that happens."""
        events = TracepointEvents(GETPPID, **self.sampling) + TracepointEvents("task:task_rename")
        builder = SessionBuilder().with_page_count(self.pages).with_tracepoint_events(events)
        if self.mix:
            builder = builder.with_bpf_output_events(BpfOutputEvents())
        if self.budget is not None:
            builder = builder.with_drain_budget(self.budget)
        return builder if self.watermark is None else builder.with_wakeup_watermark(self.watermark)

    @contextmanager
    def session(self, kernel: SimKernel, *, of_tasks: bool = False) -> Iterator[Session]:
        """Open and recording, the whole machine or the tasks alone."""
        builder = self.builder()
        for actor in self.actors if of_tasks else []:
            builder = builder.with_target_pid(actor.pid)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", WatermarkStallWarning)
            session = builder.build(kernel)
        self.warned = bool(caught)
        with session:
            if self.mix:
                session.attach_to_bpf_map(path=kernel.bpf_map_path)
            session.enable()
            self._count_signals(kernel)
            kernel.preemption = self.preemption
            yield session

    def _count_signals(self, kernel: SimKernel) -> None:
        for cpu, buffer in buffers(kernel).items():
            signal = buffer.on_wakeup

            def counted(writer: Writer, cpu: int = cpu, signal: Callable[[Writer], None] = signal) -> None:
                self.signals[cpu] += 1
                signal(writer)

            buffer.on_wakeup = counted

    def produced(self, cpu: int) -> int:
        """Samples that a CPU's ring was asked to take."""
        return self.calls[cpu] + self.emits[cpu].emitted


def buffers(kernel: SimKernel) -> dict[int, RingBuffer]:
    """The kernel's side of the session's rings, by CPU."""
    return {ring.events[0].cpu: ring.buffer for ring in kernel.perf.rings}


def numbers(records: list[Record], cpu: int) -> list[int]:
    """What `Emit` numbered the payloads with that came from one CPU."""
    return [
        int.from_bytes(record.raw[:8], "little")
        for record in records
        if isinstance(record, Sample) and record.event == "bpf-output" and record.cpu == cpu and record.raw is not None
    ]


SAMPLING = st.fixed_dictionaries(
    {},
    optional={
        "callchain": st.just(True),
        "ip": st.just(True),
        "user_regs": st.sampled_from([1, 0xFF]),
        "user_stack": st.sampled_from([8, 256, 1024]),
    },
)
MIXES = st.dictionaries(st.sampled_from([8, 9, 64, 200, 1000, 3000]), st.integers(1, 9).map(float), max_size=4)
KINDS = ("constant", "poisson", "bursty")
RATES = (1_000, 50_000)


@st.composite
def worlds(
    draw: st.DrawFn,
    *,
    kinds: tuple[str, ...] = KINDS,
    mixes: st.SearchStrategy[dict[int, float]] = MIXES,
    rates: tuple[int, ...] = RATES,
    sleeps: tuple[bool, ...] = (False, True),
) -> World:
    """Machines of one to three CPUs, whose numbers may have gaps, with a few hundred events."""
    page_size = draw(st.sampled_from([4096, 4096, 16384, 65536]))
    pages = draw(st.integers(1, 4 if page_size == 4096 else 2))
    size = ring_data_bytes(pages, page_size)
    program = st.tuples(
        st.sampled_from(kinds), st.sampled_from(rates), st.integers(1, 300) | st.just(300), st.sampled_from(sleeps)
    )
    return World(
        seed=draw(st.integers(0, 2**32)),
        cpus=sorted(draw(st.sets(st.integers(0, 5), min_size=1, max_size=3))),
        page_size=page_size,
        pages=pages,
        preemption=draw(st.sampled_from([0.0, 0.5, 1.0])),
        budget=draw(st.sampled_from([None, None, 1, 500])),
        watermark=draw(
            st.none() | st.integers(1, size // 2) | st.integers(1, size - 1) | st.integers(size * 3 // 4, size - 1)
        ),
        sampling=draw(SAMPLING),
        mix=draw(mixes),
        programs=draw(st.lists(program, min_size=1, max_size=4)),
    )
