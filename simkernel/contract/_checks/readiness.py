"""K14, K17 to K19, K45: what asking a ring answers, and what it takes away."""

from __future__ import annotations

from perfring import abi
from simkernel.contract.raw import POLLHUP, POLLIN, POLLOUT, POLLPRI, POLLRDNORM, RawRing
from simkernel.contract.rig import Rig, expect
from simkernel.contract.suite import check


def _crossed(rig: Rig) -> RawRing:
    """A ring whose latch is set: three records of 16 bytes, and a watermark of 16."""
    ring = rig.ring(rig.waking(16))
    rig.actor.getppid(3)
    return ring


@check("K14")
def check_a_ring_below_its_watermark_is_not_readable(rig: Rig) -> None:
    ring = rig.ring(rig.waking(64))
    rig.actor.getppid(4)
    expect((ring.head, ring.ask()), (64, 0), "head and readiness at the watermark")


@check("K14", events=[0, POLLIN, POLLPRI, POLLOUT, POLLRDNORM, POLLIN | POLLRDNORM])
def check_poll_takes_the_readiness_whatever_it_asks_for(rig: Rig, events: int) -> None:
    ring = _crossed(rig)
    expect(ring.ask(events), events & (POLLIN | POLLRDNORM), f"poll with events {events:#x} reports")
    expect(ring.ask(), 0, "the next poll reports")


@check("K14")
def check_unread_data_is_not_reported_again(rig: Rig) -> None:
    ring = _crossed(rig)
    expect([ring.ask(), ring.ask(), ring.ask()], [POLLIN, 0, 0], "three polls with all data unread")


@check("K14")
def check_two_crossings_are_one_readiness(rig: Rig) -> None:
    ring = rig.ring(rig.waking(16))
    rig.actor.getppid(9)
    expect([ring.ask(), ring.ask()], [POLLIN, 0], "two polls after many crossings")


@check("K14")
def check_a_disabled_event_keeps_its_readiness(rig: Rig) -> None:
    ring = _crossed(rig)
    rig.control(ring.fd, abi.PERF_EVENT_IOC_DISABLE)
    expect([ring.ask(), ring.ask()], [POLLIN, 0], "two polls of a disabled event")


@check("K14")
def check_poll_reports_each_ready_fd_and_no_other(rig: Rig) -> None:
    ready, quiet = _crossed(rig), rig.ring(rig.software())
    unmapped = rig.open(rig.software())
    asked = [(fd, POLLIN) for fd in (quiet.fd, ready.fd, unmapped)]
    want = {ready.fd: POLLIN, unmapped: POLLHUP}
    expect(dict(rig.kernel.poll(asked, 0)), want, "poll of a quiet, a ready and an unmapped event")


@check("K14")
def check_a_wait_ends_when_its_time_is_over(rig: Rig) -> None:
    ring = rig.ring(rig.waking(1))
    expect(rig.kernel.poll([(ring.fd, POLLIN)], 0.002), [], "poll of a silent ring with a timeout")


@check("K14")
def check_a_crossing_ends_a_wait(rig: Rig) -> None:
    ring = rig.ring(rig.waking(40))
    actor = rig.actor
    rig.arm.soon(lambda: actor.getppid(3))
    expect(rig.kernel.poll([(ring.fd, POLLIN)], None), [(ring.fd, POLLIN)], "poll while the watermark is crossed")
    rig.arm.settle(lambda: ring.head == 48, "three samples are written")


@check("K14", "K15")
def check_a_crossing_ends_a_wait_in_epoll(rig: Rig) -> None:
    ring = rig.ring(rig.waking(40))
    epoll, actor = rig.epoll(ring.fd), rig.actor
    rig.arm.soon(lambda: actor.getppid(3))
    expect(epoll.poll(None), [(ring.fd, POLLIN)], "epoll_wait while the watermark is crossed")
    expect(epoll.poll(0), [], "epoll_wait afterwards")


@check("K12", "K14")
def check_loss_does_not_end_a_wait(rig: Rig) -> None:
    ring = rig.ring(rig.waking(1 << 20))
    rig.fill(ring)
    waker, actor = rig.waker(), rig.actor
    epoll = rig.epoll(ring.fd, waker.fileno())

    def lose() -> None:
        actor.getppid(20)
        waker.set()

    rig.arm.soon(lose)
    expect(epoll.poll(None), [(waker.fileno(), POLLIN)], "what ends a wait while records are dropped")


@check("K17")
def check_a_second_poller_steals_the_readiness(rig: Rig) -> None:
    ring = rig.ring(rig.waking(16))
    mine, theirs = rig.epoll(ring.fd), rig.epoll(ring.fd)
    rig.actor.getppid(3)
    expect([theirs.poll(0), mine.poll(0)], [[(ring.fd, POLLIN)], []], "two epolls of one fd, one after the other")


@check("K17")
def check_a_redirected_fd_steals_it_from_the_leader(rig: Rig) -> None:
    leader = rig.ring(rig.waking(16))
    other = rig.redirected(rig.waking(16), leader)
    rig.actor.getppid()
    expect([other.ask(), leader.ask()], [POLLIN, 0], "polls of the redirected event and then of the leader")


@check("K17")
def check_a_leader_steals_it_from_the_redirected_fd(rig: Rig) -> None:
    leader = rig.ring(rig.waking(16))
    other = rig.redirected(rig.waking(16), leader)
    rig.actor.getppid()
    expect([leader.ask(), other.ask()], [POLLIN, 0], "polls of the leader and then of the redirected event")


@check("K17")
def check_with_all_fds_of_a_ring_in_one_epoll_only_one_reports(rig: Rig) -> None:
    leader = rig.ring(rig.waking(16))
    others = [rig.redirected(rig.waking(16), leader) for _ in range(2)]
    epoll = rig.epoll(leader.fd, *(other.fd for other in others))
    rig.actor.getppid()
    expect([len(epoll.poll(0)), epoll.poll(0)], [1, []], "fds that report, and those that do afterwards")


@check("K18")
def check_after_a_drain_the_next_question_still_says_readable(rig: Rig) -> None:
    ring = _crossed(rig)
    expect(len(ring.drain()), 3, "records drained")
    expect([ring.ask(), ring.ask()], [POLLIN, 0], "two polls of an empty ring that was drained before asking")
    expect(ring.drain(), [], "records behind the readiness")


@check("K19", events=[0, POLLIN])
def check_an_unmapped_event_reports_hup(rig: Rig, events: int) -> None:
    fd = rig.open(rig.software())
    expect(rig.kernel.poll([(fd, events)], 0), [(fd, POLLHUP)], "poll of an event without a ring")
    expect(rig.epoll(fd, events=events).poll(0), [(fd, POLLHUP)], "epoll_wait of an event without a ring")


@check("K19")
def check_with_no_data_pages_nothing_is_reported(rig: Rig) -> None:
    ring = rig.ring(rig.samples(wakeup_events=1), pages=0)
    rig.actor.getppid()
    expect(ring.ask(), 0, "poll of a ring without data pages")


@check("K19")
def check_after_munmap_it_reports_hup_again(rig: Rig) -> None:
    ring = _crossed(rig)
    ring.mapping.close()
    expect(ring.ask(), POLLHUP, "poll after the last munmap")


@check("K19")
def check_after_its_task_exited_an_event_reports_hup_instead_of_in(rig: Rig) -> None:
    ring = _crossed(rig)
    rig.actor.exit()
    expect([ring.ask(), ring.ask(0)], [POLLHUP, POLLHUP], "polls after the task exited with data unread")
    expect(len(ring.drain()), 3, "records that its ring still holds")
    expect(ring.ask(), POLLHUP, "poll after everything was read")


@check("K19")
def check_hup_is_level_triggered(rig: Rig) -> None:
    ring = rig.ring(rig.software())
    epoll = rig.epoll(ring.fd)
    rig.actor.exit()
    expect([epoll.poll(0) for _ in range(3)], [[(ring.fd, POLLHUP)]] * 3, "three epoll_waits after the task exited")


@check("K19")
def check_the_exit_of_its_task_ends_a_wait(rig: Rig) -> None:
    ring = rig.ring(rig.software())
    epoll, actor = rig.epoll(ring.fd), rig.actor
    rig.arm.soon(actor.exit)
    expect(epoll.poll(None), [(ring.fd, POLLHUP)], "epoll_wait while the task exits")


@check("K19")
def check_an_event_of_a_whole_cpu_does_not_hang_up(rig: Rig) -> None:
    ring = rig.ring(rig.software(), pid=-1, cpu=rig.cpus[0])
    rig.actor.exit()
    expect(ring.ask(), 0, "poll of an event of a CPU after a task exited")


@check("K19")
def check_a_child_that_inherited_the_event_holds_hup_back(rig: Rig) -> None:
    ring = rig.ring(rig.software(inherit=True), cpu=rig.cpus[0])
    child = rig.actor.fork()
    rig.actor.exit()
    expect(ring.ask(), 0, "poll while a child that inherited the event is alive")
    child.exit()
    rig.arm.settle(lambda: ring.ask() == POLLHUP, "the event reports HUP after the last child exited")


@check("K19")
def check_a_child_that_did_not_inherit_does_not(rig: Rig) -> None:
    ring = rig.ring(rig.software())
    rig.actor.fork()
    rig.actor.exit()
    expect(ring.ask(), POLLHUP, "poll while a child that did not inherit the event is alive")


@check("K19")
def check_data_of_a_live_event_is_reported_by_its_own_fd_only(rig: Rig) -> None:
    cpu = rig.cpus[0]
    leader = rig.ring(rig.software(watermark=True, wakeup_watermark=16), cpu=cpu)
    living = rig.another_actor()
    alive = rig.redirected(rig.waking(16), leader, living, cpu=cpu)
    rig.actor.exit()
    living.getppid(3)
    expect([leader.ask(), alive.ask()], [POLLHUP, POLLIN], "polls of the dead task's event and of the live one's")


@check("K19")
def check_with_the_tasks_exit_the_latch_is_kept_for_other_events(rig: Rig) -> None:
    cpu = rig.cpus[0]
    leader = rig.ring(rig.waking(16), cpu=cpu)
    living = rig.redirected(rig.software(watermark=True), leader, rig.another_actor(), cpu=cpu)
    rig.actor.getppid(3)
    rig.actor.exit()
    expect(living.ask(), POLLIN, "poll of a live event after the one that had crossed the watermark died")


@check("K45")
def check_closing_an_fd_does_not_end_a_wait(rig: Rig) -> None:
    ring, waker = rig.ring(rig.waking(16)), rig.waker()
    epoll = rig.epoll(ring.fd, waker.fileno())

    def close() -> None:
        rig.close_fd(ring.fd)
        waker.set()

    rig.arm.soon(close)
    expect(epoll.poll(None), [(waker.fileno(), POLLIN)], "what ends a wait while the perf fd is closed")


@check("K45", "K19")
def check_the_last_munmap_ends_a_wait_with_hup(rig: Rig) -> None:
    # K45 says otherwise of epoll_wait; 6.18 wakes whoever waits when an event loses its ring.
    ring = rig.ring(rig.waking(16))
    epoll = rig.epoll(ring.fd)
    rig.arm.soon(ring.mapping.close)
    expect(epoll.poll(None), [(ring.fd, POLLHUP)], "what ends a wait while the ring is unmapped")


@check("K45")
def check_a_waker_stays_readable_until_it_is_cleared(rig: Rig) -> None:
    waker = rig.waker()
    epoll = rig.epoll(waker.fileno())
    expect(epoll.poll(0), [], "epoll_wait for a waker that is not set")
    waker.set()
    waker.set()
    ready = [(waker.fileno(), POLLIN)]
    expect([epoll.poll(0), epoll.poll(0)], [ready, ready], "two epoll_waits for a waker that is set")
    waker.clear()
    expect(epoll.poll(0), [], "epoll_wait for a waker that was cleared")
