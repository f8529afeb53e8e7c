"""K25 to K28: several events, one ring."""

from __future__ import annotations

from errno import EBADF, EBUSY, EINVAL

from perfring import abi
from simkernel.contract.raw import POLLHUP, POLLIN
from simkernel.contract.rig import Rig, expect, refused, types
from simkernel.contract.suite import check

_DETACH = -1


@check("K25")
def check_a_redirected_event_writes_into_the_other_ones_ring(rig: Rig) -> None:
    ring = rig.ring(rig.software(comm=True))
    rig.redirected(rig.samples(), ring)
    rig.actor.rename("leader")
    rig.actor.getppid(2)
    kinds = [abi.PERF_RECORD_COMM, abi.PERF_RECORD_SAMPLE, abi.PERF_RECORD_SAMPLE]
    expect(types(ring.drain()), kinds, "records of two events in one ring, in their order")


@check("K25")
def check_an_event_cannot_be_redirected_into_itself(rig: Rig) -> None:
    fd = rig.open(rig.software())
    with refused("SET_OUTPUT of an event into itself", EINVAL):
        rig.redirect(fd, fd)


@check("K25")
def check_nor_into_another_cpus_ring(rig: Rig) -> None:
    target = rig.ring(rig.software(), pid=-1, cpu=rig.cpus[0])
    fd = rig.open(rig.software(), pid=-1, cpu=rig.second_cpu)
    with refused("SET_OUTPUT into a ring of another CPU", EINVAL):
        rig.redirect(fd, target.fd)


@check("K25")
def check_nor_into_another_tasks_ring(rig: Rig) -> None:
    target = rig.ring(rig.software(), rig.another_actor())
    fd = rig.open(rig.software())
    with refused("SET_OUTPUT into a ring of another task, both on any CPU,", EINVAL):
        rig.redirect(fd, target.fd)


@check("K25")
def check_events_of_two_tasks_on_one_cpu_share_a_ring(rig: Rig) -> None:
    cpu, other = rig.cpus[0], rig.another_actor()
    ring = rig.ring(rig.samples(), cpu=cpu)
    rig.redirected(rig.samples(), ring, other, cpu=cpu)
    rig.actor.getppid()
    other.getppid()
    pids = [record.unpack("II")[0] for record in ring.drain()]
    expect(pids, [rig.actor.pid, other.pid], "pids of the samples of two tasks in one ring")


@check("K25")
def check_a_task_and_a_whole_cpu_share_a_ring(rig: Rig) -> None:
    cpu = rig.cpus[0]
    ring = rig.ring(rig.software(), pid=-1, cpu=cpu)
    rig.redirected(rig.samples(), ring, cpu=cpu)
    rig.actor.getppid(2)
    expect(ring.head, 32, "head of the CPU's ring after two samples of the task")


@check("K25")
def check_nor_into_one_with_another_clock(rig: Rig) -> None:
    target = rig.ring(rig.software(use_clockid=True, clockid=abi.CLOCK_MONOTONIC))
    fd = rig.open(rig.software())
    with refused("SET_OUTPUT into a ring with another clock", EINVAL):
        rig.redirect(fd, target.fd)


@check("K25")
def check_nor_into_an_unmapped_event(rig: Rig) -> None:
    target, fd = rig.open(rig.software()), rig.open(rig.software())
    with refused("SET_OUTPUT into an event without a ring", EINVAL):
        rig.redirect(fd, target)


@check("K25", detach=[False, True])
def check_a_mapped_event_can_be_neither_redirected_nor_detached(rig: Rig, detach: bool) -> None:
    ring, mapped = rig.ring(rig.software()), rig.ring(rig.software())
    with refused("SET_OUTPUT of an event that is mapped itself", EINVAL):
        rig.redirect(mapped.fd, _DETACH if detach else ring.fd)


@check("K25")
def check_nor_backward_into_forward(rig: Rig) -> None:
    target = rig.ring(rig.software())
    fd = rig.open(rig.software(write_backward=True))
    with refused("SET_OUTPUT of a backward event into a forward ring", EINVAL):
        rig.redirect(fd, target.fd)


@check("K25")
def check_what_is_not_a_perf_fd_is_refused(rig: Rig) -> None:
    fd, waker = rig.open(rig.software()), rig.waker()
    closed = rig.open(rig.software())
    rig.close_fd(closed)
    for target in (waker.fileno(), closed, -2):
        with refused("SET_OUTPUT into something that is no perf event", EBADF):
            rig.redirect(fd, target)


@check("K25")
def check_minus_one_detaches(rig: Rig) -> None:
    ring = rig.ring(rig.software())
    other = rig.redirected(rig.samples(), ring)
    rig.redirect(other.fd, _DETACH)
    rig.actor.getppid()
    expect((ring.head, other.ask()), (0, POLLHUP), "head, and poll of an event that was detached")


@check("K25")
def check_a_detached_event_may_be_redirected_again(rig: Rig) -> None:
    ring = rig.ring(rig.software())
    other = rig.redirected(rig.samples(), ring)
    rig.redirect(other.fd, _DETACH)
    rig.redirect(other.fd, ring.fd)
    rig.actor.getppid()
    expect(ring.head, 16, "head after a sample of an event that was redirected again")


@check("K25")
def check_a_redirected_event_may_be_moved_to_another_ring(rig: Rig) -> None:
    first, second = rig.ring(rig.software()), rig.ring(rig.software())
    other = rig.redirected(rig.samples(), first)
    rig.actor.getppid()
    rig.redirect(other.fd, second.fd)
    rig.actor.getppid(2)
    expect((first.head, second.head), (16, 32), "heads of the first ring and the second")


@check("K25")
def check_through_a_redirected_event_the_ring_can_be_reached(rig: Rig) -> None:
    ring = rig.ring(rig.software())
    middle = rig.redirected(rig.software(), ring)
    end = rig.open(rig.samples())
    try:
        rig.redirect(end, middle.fd)
    except OSError as refusal:
        expect(refusal.errno, EINVAL, "errno of SET_OUTPUT into an event that is redirected itself")
    else:
        rig.actor.getppid()
        expect(ring.head, 16, "head of the ring behind two redirections")


@check("K26")
def check_the_last_munmap_detaches_every_redirected_event_for_good(rig: Rig) -> None:
    ring = rig.ring(rig.software())
    other = rig.redirected(rig.samples(), ring)
    ring.mapping.close()
    hup = rig.kernel.poll([(other.fd, POLLIN)], 0)
    again = rig.map(ring.fd)
    rig.actor.getppid()
    expect(hup, [(other.fd, POLLHUP)], "poll of a redirected event after munmap")
    expect(again.head, 0, "head of the leader's new ring after a sample of the event that was detached")


@check("K26")
def check_closing_the_leaders_fd_does_not(rig: Rig) -> None:
    ring = rig.ring(rig.software())
    other = rig.redirected(rig.samples(), ring)
    rig.close_fd(ring.fd)
    rig.actor.getppid()
    expect((ring.head, other.ask()), (16, 0), "head, and poll of a redirected event, after the leader's fd is closed")


@check("K26")
def check_with_a_second_mapping_nothing_is_detached(rig: Rig) -> None:
    ring = rig.ring(rig.software())
    again = rig.map(ring.fd)
    rig.redirected(rig.samples(), ring)
    ring.mapping.close()
    rig.actor.getppid()
    expect(again.head, 16, "head after one of two mappings went")


@check("K26")
def check_closing_a_redirected_fd_ends_its_records_only(rig: Rig) -> None:
    ring = rig.ring(rig.software(comm=True))
    other = rig.redirected(rig.samples(), ring)
    rig.close_fd(other.fd)
    rig.actor.getppid()
    rig.actor.rename("leader")
    expect(types(ring.drain()), [abi.PERF_RECORD_COMM], "records after the redirected event was closed")


@check("K27")
def check_a_redirected_event_cannot_be_mapped_or_shares_the_ring(rig: Rig) -> None:
    ring = rig.ring(rig.software())
    other = rig.redirected(rig.samples(), ring)
    try:
        shared = rig.map(other.fd)
    except OSError as refusal:
        expect(refusal.errno, EBUSY, "errno of mapping a redirected event")
    else:  # up to 6.12
        rig.actor.getppid()
        expect((shared.head, ring.head), (16, 16), "heads of the two mappings")


@check("K27", pages=[0, 2])
def check_a_redirected_event_is_not_mapped_with_another_size(rig: Rig, pages: int) -> None:
    ring = rig.ring(rig.software())
    other = rig.redirected(rig.software(), ring)
    with refused(f"a mapping of a redirected event with {pages} data pages and not 1", EINVAL):
        rig.map(other.fd, pages)


@check("K28", pages=[0, 1])
def check_inherit_on_every_cpu_cannot_be_mapped(rig: Rig, pages: int) -> None:
    fd = rig.open(rig.software(inherit=True))
    with refused("a mapping of an event with inherit and cpu = -1", EINVAL):
        rig.map(fd, pages)


@check("K28")
def check_inherit_on_one_cpu_can_and_a_childs_records_come(rig: Rig) -> None:
    ring = rig.ring(rig.samples(inherit=True), cpu=rig.cpus[0])
    child = rig.actor.fork()
    child.getppid(3)
    rig.actor.getppid(2)
    pids = [record.unpack("II")[0] for record in ring.drain()]
    expect(pids, [child.pid] * 3 + [rig.actor.pid] * 2, "pids of the samples of parent and child")


@check("K28")
def check_an_event_of_another_cpu_stays_silent(rig: Rig) -> None:
    ring = rig.ring(rig.samples(), cpu=rig.second_cpu)
    rig.actor.getppid(3)
    expect(ring.head, 0, "head of an event of the other CPU")
    rig.actor.pin(rig.second_cpu)
    rig.actor.getppid(3)
    expect(ring.head, 48, "head after the task has come to that CPU")
