"""K25 to K28: several events, one ring."""

from __future__ import annotations

import errno
import os

import pytest

from perfring import abi
from tests.linux._rig import HUP, Rig, dummy, getppid, getppid_samples, head, refused

DETACH = -1


def test_k25_an_event_cannot_be_redirected_into_itself(rig: Rig) -> None:
    fd = rig.open(getppid_samples())
    with refused(errno.EINVAL):
        rig.redirect(fd, fd)


def test_k25_nor_into_another_cpus_ring(rig: Rig) -> None:
    target, _ = rig.ring(dummy(), pid=-1, cpu=0)
    with refused(errno.EINVAL):
        rig.redirected(dummy(), target, pid=-1, cpu=rig.kernel.online_cpus()[-1])


def test_k25_nor_into_a_ring_of_another_task(rig: Rig) -> None:
    target, _ = rig.ring(dummy(), pid=rig.child().pid)
    with refused(errno.EINVAL):
        rig.redirected(dummy(), target)


def test_k25_events_of_two_tasks_on_one_cpu_share_a_ring(rig: Rig) -> None:
    target, _ = rig.ring(dummy(), pid=rig.child().pid, cpu=0)
    rig.redirected(dummy(), target, cpu=0)


def test_k25_nor_into_one_with_another_clock(rig: Rig) -> None:
    target, _ = rig.ring(dummy(use_clockid=True, clockid=abi.CLOCK_MONOTONIC))
    with refused(errno.EINVAL):
        rig.redirected(dummy(), target)


def test_k25_nor_into_an_unmapped_event(rig: Rig) -> None:
    target = rig.open(dummy())
    with refused(errno.EINVAL):
        rig.redirected(dummy(), target)


@pytest.mark.parametrize("target", [DETACH, "ring"])
def test_k25_a_mapped_event_can_be_neither_redirected_nor_detached(rig: Rig, target: int | str) -> None:
    ring, _ = rig.ring(dummy())
    mapped, _ = rig.ring(dummy())
    with refused(errno.EINVAL):
        rig.redirect(mapped, ring if target == "ring" else DETACH)


def test_k25_nor_backward_into_forward(rig: Rig) -> None:
    target, _ = rig.ring(dummy())
    with refused(errno.EINVAL):
        rig.redirected(dummy(write_backward=True), target)


def test_k25_what_is_not_a_perf_fd_is_refused(rig: Rig) -> None:
    fd = rig.open(dummy())
    reader, writer = os.pipe()
    for target in (reader, 1 << 20, -2):
        with refused(errno.EBADF):
            rig.redirect(fd, target)
    os.close(reader)
    os.close(writer)


def test_k25_minus_one_detaches(rig: Rig) -> None:
    target, mapping = rig.ring(dummy())
    fd = rig.redirected(getppid_samples(), target)
    rig.redirect(fd, DETACH)
    os.getppid()
    assert head(mapping) == 0
    assert rig.ask(fd) == HUP


def test_k26_the_last_munmap_detaches_every_redirected_event_for_good(rig: Rig) -> None:
    target, mapping = rig.ring(dummy())
    fd = rig.redirected(getppid_samples(), target)
    mapping.close()
    assert rig.ask(fd) == HUP
    again = rig.map(target)
    os.getppid()
    assert (head(again), rig.ask(fd)) == (0, HUP)


def test_k26_closing_the_leaders_fd_does_not(rig: Rig) -> None:
    target, mapping = rig.ring(dummy())
    fd = rig.redirected(getppid_samples(), target)
    rig.close(target)
    os.getppid()
    assert (head(mapping), rig.ask(fd)) == (16, 0)


def _mapped_or_errno(rig: Rig, fd: int) -> int:
    try:
        rig.map(fd)
    except OSError as refusal:
        return refusal.errno or 0
    return 0


def test_k27_a_redirected_event_cannot_be_mapped_or_shares_the_ring(rig: Rig) -> None:
    target, mapping = rig.ring(dummy())
    fd = rig.redirected(getppid_samples(), target)
    assert _mapped_or_errno(rig, fd) in (errno.EBUSY, 0)  # 0 on 5.10, 6.1 and 6.12
    os.getppid()
    assert head(mapping) == 16


@pytest.mark.parametrize("pages", [0, 2])
def test_k27_another_size_is_refused(rig: Rig, pages: int) -> None:
    target, _ = rig.ring(dummy())
    fd = rig.redirected(dummy(), target)
    with refused(errno.EINVAL):
        rig.map(fd, pages)


@pytest.mark.parametrize("pages", [0, 1])
def test_k28_inherit_on_every_cpu_cannot_be_mapped(rig: Rig, pages: int) -> None:
    fd = rig.open(dummy(inherit=True))
    with refused(errno.EINVAL):
        rig.map(fd, pages)


def test_k28_inherit_on_one_cpu_can(rig: Rig) -> None:
    def grandchild() -> None:
        os.sched_setaffinity(0, {0})
        if os.fork() == 0:
            getppid(3)
            os._exit(0)
        os.wait()

    child = rig.child(grandchild)
    _, mapping = rig.ring(getppid_samples(inherit=True), pid=child.pid, cpu=0)
    child.step()
    assert head(mapping) == 48
