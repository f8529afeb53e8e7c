"""Records the ring images anew, from the kernel underneath: ``python -m tests.conformance.record_rings [NAME ...]``.

Needs root, tracefs, BPF and a cgroup2 hierarchy. A child, pinned to a CPU, is watched while it does what fills the
ring; the names in it are those of the child's own commands.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import struct
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from perfring import KernelEvents, LinuxKernel, SessionBuilder, TracepointEvents, abi
from perfring._libc import libc
from perfring.abi import PerfEventAttr
from perfring.fields import parse_read
from perfring.opening import Opener, OpenRing
from perfring.plan import EventSpec, SessionPlan
from simkernel.contract.linux_bpf import LinuxBpfOutput
from tests.conformance._ring_images import RINGS, ImageEvent, RingImage, SessionImage

__all__ = ["record"]

GETPPID: Final = "syscalls:sys_enter_getppid"
_REGISTERS: Final = 0b1_0000_0111
_NAME_BYTES: Final = 15
_PROG_TEST_RUN: Final = 10

OUTPUT: Final[list[LinuxBpfOutput]] = []
"""The perf event array of the scenario under way: the child inherits it."""


@dataclass(frozen=True)
class Scenario:
    """What is watched, what the child does, and what the reader gives back before the image is taken.

    Attributes:
        build: the session.
        work: what the child does, in steps: the reader looks at the rings between two.
        keep: bytes of unread data above which the reader gives back what is oldest, record by record; None: all stays.
        refine: changes the plan where a builder would not.
        bpf: the child emits through a perf event array, which `OUTPUT` holds.
    """

    build: Callable[[], SessionBuilder]
    work: tuple[Callable[[], object], ...]
    keep: int | None = None
    refine: Callable[[SessionPlan], SessionPlan] = lambda plan: plan
    bpf: bool = False


def getppid(times: int) -> Callable[[], None]:
    def call() -> None:
        for _ in range(times):
            os.getppid()

    return call


def rename(text: str) -> Callable[[], object]:
    return lambda: Path("/proc/thread-self/comm").write_text(text[:_NAME_BYTES])


def on_cpu(cpu: int) -> Callable[[], None]:
    return lambda: os.sched_setaffinity(0, {cpu})


def fault_pages(count: int) -> Callable[[], None]:
    def touch() -> None:
        page, file = mmap.PAGESIZE, os.memfd_create("pages")
        os.ftruncate(file, page * count)
        with mmap.mmap(file, page * count) as memory:
            for at in range(count):
                memory[at * page] = 1
        os.close(file)

    return touch


def run_commands() -> None:
    """Fork, exec, mappings, exit, switches."""
    for _ in range(2):
        pid = os.fork()
        if not pid:
            os.execv("/bin/true", ["true"])
        os.waitpid(pid, 0)


def make_cgroup() -> None:
    place = Path("/sys/fs/cgroup")
    place = place / "unified" if (place / "unified").is_dir() else place
    (place / "perfring-rings").mkdir()
    (place / "perfring-rings").rmdir()


def load_program() -> None:
    """A program that comes and goes: KSYMBOL and BPF_EVENT records."""
    LinuxBpfOutput(1).close()


def emit(length: int) -> Callable[[], None]:
    """BPF output of so many bytes."""

    def run() -> None:
        (bpf,) = OUTPUT
        bpf.set_payload(bytes(at % 251 for at in range(length)))
        context = ctypes.create_string_buffer(struct.pack("=Q", length), 8)
        words = bpf.program_fd, 0, 0, 0, 0, 0, 0, 0, len(context), 0, ctypes.addressof(context), 0, 0, 0, 0
        libc().bpf(_PROG_TEST_RUN, ctypes.create_string_buffer(struct.pack("=4I2Q4I2Q3I4x", *words)))

    return run


def churn_namespaces() -> None:
    pid = os.fork()
    if not pid:
        ctypes.CDLL(None).unshare(0x0400_0000)  # CLONE_NEWUTS
        os._exit(0)
    os.waitpid(pid, 0)


def one_cpu(pages: int) -> SessionBuilder:
    return SessionBuilder().with_page_count(pages).with_wakeup_watermark(1024).with_target_cpu(0)


def software(config: int, sample_type: int, **fields: Any) -> PerfEventAttr:
    return PerfEventAttr(type=abi.PERF_TYPE_SOFTWARE, config=config, sample_period=1, sample_type=sample_type, **fields)


def samples() -> SessionBuilder:
    return one_cpu(1).with_tracepoint_events(TracepointEvents(GETPPID))


def mixed() -> SessionBuilder:
    """Samples of many forms in one ring."""
    where = abi.PERF_SAMPLE_IP | abi.PERF_SAMPLE_ADDR | abi.PERF_SAMPLE_CPU | abi.PERF_SAMPLE_PERIOD
    state = abi.PERF_SAMPLE_REGS_USER | abi.PERF_SAMPLE_REGS_INTR | abi.PERF_SAMPLE_STACK_USER
    faults = software(
        abi.PERF_COUNT_SW_PAGE_FAULTS,
        where | state | abi.PERF_SAMPLE_CALLCHAIN,
        sample_regs_user=_REGISTERS,
        sample_regs_intr=_REGISTERS,
        sample_stack_user=64,
    )
    switches = software(
        abi.PERF_COUNT_SW_CONTEXT_SWITCHES,
        abi.PERF_SAMPLE_READ | abi.PERF_SAMPLE_ID | abi.PERF_SAMPLE_STREAM_ID,
        read_format=abi.PERF_FORMAT_TOTAL_TIME_ENABLED | abi.PERF_FORMAT_TOTAL_TIME_RUNNING,
    )
    return (
        one_cpu(8)
        .with_event(faults, name="faults")
        .with_event(switches, name="switches")
        .with_kernel_events(KernelEvents(comm=True, task=True))
        .with_tracepoint_events(TracepointEvents(GETPPID, "sched:sched_switch", "task:task_rename"))
    )


def counting_groups(plan: SessionPlan) -> SessionPlan:
    """PERF_FORMAT_GROUP, which a builder refuses: the switches count as a group of one."""

    def grouped(spec: EventSpec) -> EventSpec:
        if spec.name != "switches":
            return spec
        return replace(spec, attr=spec.attr.copy(read_format=spec.attr.read_format | abi.PERF_FORMAT_GROUP))

    return replace(plan, events=tuple(map(grouped, plan.events)))


def sideband() -> SessionBuilder:
    news = PerfEventAttr(
        type=abi.PERF_TYPE_SOFTWARE,
        config=abi.PERF_COUNT_SW_DUMMY,
        mmap=True,
        mmap2=True,
        mmap_data=True,
        comm=True,
        comm_exec=True,
        task=True,
        context_switch=True,
        namespaces=True,
        ksymbol=True,
        bpf_event=True,
        cgroup=True,
    )
    return one_cpu(8).with_event(news, name="news").with_inherit(True)


def output() -> SessionBuilder:
    form = abi.PERF_SAMPLE_RAW
    return (
        one_cpu(4)
        .with_event(software(abi.PERF_COUNT_SW_BPF_OUTPUT, form), name="output")
        .with_tracepoint_events(TracepointEvents(GETPPID))
    )


def two_cpus() -> SessionBuilder:
    return (
        SessionBuilder()
        .with_page_count(2)
        .with_wakeup_watermark(1024)
        .with_target_cpu(0)
        .with_target_cpu(1)
        .with_kernel_events(KernelEvents(comm=True))
        .with_tracepoint_events(TracepointEvents(GETPPID))
    )


def hopping() -> tuple[Callable[[], object], ...]:
    return tuple(step for turn in range(8) for step in (on_cpu(turn % 2), getppid(5 + turn), rename(f"hop {turn}")))


def recorder() -> SessionBuilder:
    return mixed().with_overwrite().with_page_count(2)


_LYING: Final = 0xFFFF
"""A payload that wraps the u16 size of its header: the kernel reserves 16 bytes, and then writes the whole payload over
whatever else is unread. A corrupt ring, made by the kernel itself (measured on 6.18)."""

_MANY = (rename("first"), fault_pages(3), getppid(2), rename("second, longer"), getppid(1)) * 4
SCENARIOS: Final[dict[str, Scenario]] = {
    "samples": Scenario(samples, (getppid(60), getppid(60), getppid(60)), keep=1500),
    "mixed": Scenario(mixed, _MANY, keep=9000, refine=counting_groups),
    "sideband": Scenario(
        sideband, (run_commands, rename("renamed"), make_cgroup, load_program, churn_namespaces, run_commands)
    ),
    "lost": Scenario(samples, (getppid(90), getppid(30), getppid(120), getppid(25)), keep=3000),
    "two-cpus": Scenario(two_cpus, hopping()),
    "large": Scenario(lambda: one_cpu(32).with_tracepoint_events(TracepointEvents(GETPPID)), (getppid(1700),)),
    "output": Scenario(output, (*map(emit, (0, 1, 40, 3000, 7)), getppid(3), emit(500)), bpf=True),
    "output-corrupt": Scenario(output, (emit(40), getppid(9), emit(_LYING), getppid(4), emit(16)), bpf=True),
    "overwrite": Scenario(recorder, (*_MANY, *_MANY), refine=counting_groups),
    "overwrite-new": Scenario(lambda: samples().with_overwrite(), (getppid(20),)),
}


class Child:
    """A forked process that takes its steps one at a time."""

    def __init__(self, steps: Iterable[Callable[[], object]]) -> None:
        theirs, self._orders = os.pipe()
        self._answers, answer = os.pipe()
        self.pid = os.fork()
        if self.pid:
            os.close(theirs)
            os.close(answer)
            return
        os.sched_setaffinity(0, {0})
        for step in steps:
            os.read(theirs, 1)
            step()
            os.write(answer, b".")
        os._exit(0)

    def step(self) -> None:
        os.write(self._orders, b".")
        if os.read(self._answers, 1) != b".":
            raise RuntimeError("the child failed: its traceback is above")

    def finish(self) -> None:
        os.close(self._orders)
        os.close(self._answers)
        os.waitpid(self.pid, 0)


def record(name: str) -> SessionImage:
    """Runs a scenario and takes the image."""
    scenario, kernel = SCENARIOS[name], LinuxKernel()
    if scenario.bpf:
        OUTPUT.append(LinuxBpfOutput(1))
    child = Child(scenario.work)
    plan = scenario.refine(scenario.build().with_target_pid(child.pid).plan(kernel))
    rings = Opener(kernel, plan).open_all()
    try:
        for output in OUTPUT:
            output.connect(next(event.fd for event in rings[0].events if event.spec.name == "output"), 0)
        _each(kernel, rings, abi.PERF_EVENT_IOC_ENABLE)
        for _ in scenario.work:
            child.step()
            for ring in rings:
                _give_back(ring, scenario.keep)
        _each(kernel, rings, abi.PERF_EVENT_IOC_DISABLE)
        return SessionImage(
            release=kernel.release.partition("-")[0],
            page_size=kernel.page_size,
            clock_id=plan.clock_id,
            page_count=plan.page_count,
            overwrite=plan.overwrite,
            lost=sum(_lost(kernel, ring) for ring in rings),
            rings=tuple(_image(ring) for ring in rings),
        )
    finally:
        child.finish()
        for ring in rings:
            ring.close(kernel)
        while OUTPUT:
            OUTPUT.pop().close()


def _each(kernel: LinuxKernel, rings: Iterable[OpenRing], request: int) -> None:
    for ring in rings:
        for event in ring.events:
            kernel.ioctl(event.fd, request, 0)


def _lost(kernel: LinuxKernel, ring: OpenRing) -> int:
    return sum(parse_read(event.read_format, kernel.read(event.fd, 256)).lost or 0 for event in ring.events)


def _give_back(ring: OpenRing, keep: int | None) -> None:
    """Frees the oldest records until no more than ``keep`` bytes are unread."""
    mapping = ring.mapping
    if keep is None or mapping is None:
        return
    tail, head = (mapping.load_u64(at) for at in (abi.MMAP_PAGE_DATA_TAIL, abi.MMAP_PAGE_DATA_HEAD))
    while head - tail > keep:
        at = tail % len(mapping.data)
        tail += struct.unpack_from("=H", mapping.data, at + 6)[0]
    mapping.store_u64(abi.MMAP_PAGE_DATA_TAIL, tail)


def _image(ring: OpenRing) -> RingImage:
    mapping = ring.mapping
    if mapping is None:
        raise RuntimeError(f"the ring of cpu {ring.cpu} has no mapping")
    size, head = len(mapping.data), mapping.load_u64(abi.MMAP_PAGE_DATA_HEAD)
    backward = bool(ring.leader.spec.attr.write_backward)
    start = head if backward else mapping.load_u64(abi.MMAP_PAGE_DATA_TAIL)
    length = min(-head % 2**64, size) if backward else head - start
    at = start % size
    stream = (bytes(mapping.data) * 2)[at : at + length]
    return RingImage(
        ring.cpu, start, tuple(_event(each.spec, each.id, each.read_format) for each in ring.events), stream
    )


def _event(spec: EventSpec, event_id: int, read_format: int) -> ImageEvent:
    system, text = "", ""
    if spec.format is not None:
        system = spec.format.system
        text = Path(f"/sys/kernel/tracing/events/{system}/{spec.format.event}/format").read_text()
    attr = spec.attr.copy(read_format=read_format).pack()
    return ImageEvent(spec.name, spec.kind.value, event_id, attr, system, text)


def main(chosen: list[str]) -> None:
    unknown = set(chosen) - set(SCENARIOS)
    if unknown:
        raise SystemExit(f"no scenario is called {', '.join(sorted(unknown))}: there are {', '.join(SCENARIOS)}")
    for name in chosen or SCENARIOS:
        image, path = record(name), RINGS / f"{name}.ring.xz"
        image.save(path)
        unread = [len(ring.stream) for ring in image.rings]
        sys.stdout.write(
            f"{name}: {unread} bytes of {image.ring_bytes}, {image.lost} lost, file of {path.stat().st_size}\n"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
