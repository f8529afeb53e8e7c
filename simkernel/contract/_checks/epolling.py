"""K14 to K16: what epoll makes of a latch."""

from __future__ import annotations

from errno import EBADF, EEXIST, EINVAL, ENOENT

from simkernel.contract.raw import POLLHUP, POLLIN, POLLOUT, RawRing
from simkernel.contract.rig import Rig, expect, refused
from simkernel.contract.suite import check

# sys/epoll.h; other systems' select lacks them.
_EPOLLEXCLUSIVE, _EPOLLONESHOT, _EPOLLET = 1 << 28, 1 << 30, 1 << 31


def _crossed(rig: Rig) -> RawRing:
    ring = rig.ring(rig.waking(16))
    rig.actor.getppid(3)
    return ring


@check("K14", flags=[0, _EPOLLET, _EPOLLEXCLUSIVE])
def check_epoll_reports_once_for_each_crossing(rig: Rig, flags: int) -> None:
    ring = rig.ring(rig.waking(16))
    epoll = rig.epoll(ring.fd, events=POLLIN | flags)
    for _ in range(3):
        rig.actor.getppid(2)
        expect([epoll.poll(0), epoll.poll(0)], [[(ring.fd, POLLIN)], []], "two epoll_waits after a crossing")


@check("K14")
def check_a_oneshot_registration_reports_one_crossing_and_leaves_the_next_alone(rig: Rig) -> None:
    ring = rig.ring(rig.waking(16))
    epoll = rig.epoll(ring.fd, events=POLLIN | _EPOLLONESHOT)
    rig.actor.getppid(3)
    expect(epoll.poll(0), [(ring.fd, POLLIN)], "the first epoll_wait")
    rig.actor.getppid(3)
    expect([epoll.poll(0), ring.ask()], [[], POLLIN], "the second epoll_wait, and a poll")


@check("K14", "K15")
def check_a_oneshot_registration_is_armed_again_by_mod(rig: Rig) -> None:
    ring = rig.ring(rig.waking(16))
    epoll = rig.epoll(ring.fd, events=POLLIN | _EPOLLONESHOT)
    rig.actor.getppid(3)
    epoll.poll(0)
    epoll.modify(ring.fd, POLLIN | _EPOLLONESHOT)
    rig.actor.getppid(3)
    expect([epoll.poll(0), epoll.poll(0)], [[(ring.fd, POLLIN)], []], "two epoll_waits after MOD")


@check("K14")
def check_an_exclusive_registration_cannot_be_modified(rig: Rig) -> None:
    ring = rig.ring(rig.waking(16))
    epoll = rig.epoll(ring.fd, events=POLLIN | _EPOLLEXCLUSIVE)
    with refused("EPOLL_CTL_MOD of an exclusive registration", EINVAL):
        epoll.modify(ring.fd, POLLIN)


@check("K14")
def check_an_epoll_that_asks_for_nothing_gets_nothing_and_takes_the_readiness(rig: Rig) -> None:
    ring = rig.ring(rig.waking(16))
    epoll = rig.epoll(ring.fd, events=POLLOUT)
    rig.actor.getppid(3)
    expect([epoll.poll(0), ring.ask()], [[], 0], "epoll_wait for POLLOUT alone, and a poll")


@check("K15", events=[0, POLLIN, POLLOUT, POLLIN | _EPOLLET, POLLIN | _EPOLLONESHOT])
def check_adding_to_epoll_takes_the_readiness(rig: Rig, events: int) -> None:
    ring = _crossed(rig)
    epoll = rig.epoll(ring.fd, events=events)
    expect(epoll.poll(0), [], "epoll_wait for a crossing that came before ADD")
    expect(ring.ask(), 0, "poll after ADD")


@check("K15", events=[0, POLLIN])
def check_modifying_takes_the_readiness(rig: Rig, events: int) -> None:
    ring = rig.ring(rig.waking(16))
    epoll = rig.epoll(ring.fd)
    rig.actor.getppid(3)
    epoll.modify(ring.fd, events)
    expect([epoll.poll(0), ring.ask()], [[], 0], "epoll_wait for a crossing that came before MOD, and a poll")


@check("K15")
def check_deleting_does_not_ask(rig: Rig) -> None:
    ring = rig.ring(rig.waking(16))
    epoll = rig.epoll(ring.fd)
    rig.actor.getppid(3)
    epoll.unregister(ring.fd)
    expect([epoll.poll(0), ring.ask()], [[], POLLIN], "epoll_wait after DEL, and a poll")


@check("K15")
def check_the_crossing_after_add_is_reported(rig: Rig) -> None:
    ring = _crossed(rig)
    epoll = rig.epoll(ring.fd)
    rig.actor.getppid()
    expect(epoll.poll(0), [(ring.fd, POLLIN)], "epoll_wait after the next crossing")


@check("K16")
def check_an_epoll_inside_an_epoll_loses_the_readiness(rig: Rig) -> None:
    ring = rig.ring(rig.waking(16))
    inner = rig.epoll(ring.fd)
    outer = rig.epoll(inner.fileno())
    rig.actor.getppid(3)
    expect(outer.poll(0), [(inner.fileno(), POLLIN)], "what the outer epoll reports")
    expect(inner.poll(0), [], "what the inner epoll then finds")


@check("K16")
def check_poll_on_the_inner_epoll_loses_it_too(rig: Rig) -> None:
    ring = rig.ring(rig.waking(16))
    inner = rig.epoll(ring.fd)
    rig.actor.getppid(3)
    asked = rig.kernel.poll([(inner.fileno(), POLLIN)], 0)
    expect(asked, [(inner.fileno(), POLLIN)], "what poll says of the epoll")
    expect(inner.poll(0), [], "what the epoll then finds")


@check("K16", "K19")
def check_hup_survives_an_epoll_inside_an_epoll(rig: Rig) -> None:
    fd = rig.open(rig.software())
    inner = rig.epoll(fd)
    outer = rig.epoll(inner.fileno())
    expect(outer.poll(0), [(inner.fileno(), POLLIN)], "what the outer epoll reports")
    expect(inner.poll(0), [(fd, POLLHUP)], "what the inner epoll then finds")


@check("K15")
def check_epoll_takes_an_fd_once(rig: Rig) -> None:
    ring = rig.ring(rig.software())
    epoll = rig.epoll(ring.fd)
    with refused("a second ADD of one fd", EEXIST):
        epoll.register(ring.fd, POLLIN)


@check("K15")
def check_epoll_changes_only_what_it_has(rig: Rig) -> None:
    ring = rig.ring(rig.software())
    epoll = rig.epoll()
    with refused("MOD of an fd that was not added", ENOENT):
        epoll.modify(ring.fd, POLLIN)
    with refused("DEL of an fd that was not added", ENOENT):
        epoll.unregister(ring.fd)


@check("K15")
def check_epoll_refuses_a_closed_fd(rig: Rig) -> None:
    fd = rig.open(rig.software())
    epoll = rig.epoll()
    rig.close_fd(fd)
    with refused("ADD of a closed fd", EBADF):
        epoll.register(fd, POLLIN)


@check("K45")
def check_a_closed_fd_leaves_the_epoll(rig: Rig) -> None:
    fd = rig.open(rig.software())
    epoll = rig.epoll(fd)
    rig.close_fd(fd)
    expect(epoll.poll(0), [], "epoll_wait after the only fd was closed")


@check("K14")
def check_maxevents_leaves_the_rest_for_the_next_wait(rig: Rig) -> None:
    rings = [rig.ring(rig.waking(16)) for _ in range(3)]
    epoll = rig.epoll(*(ring.fd for ring in rings))
    rig.actor.getppid(3)
    first, rest = epoll.poll(0, 1), epoll.poll(0)
    expect((len(first), len(rest)), (1, 2), "fds reported by a wait for one, and by the next")
    expect({fd for fd, _ in first + rest}, {ring.fd for ring in rings}, "all that reported")
