"""K14 to K19, K9, K10 and K45: what asking a ring answers, and what it takes away.

`waking(W)` records 16 bytes for each getppid(2); two of them cross a watermark of 16 (K7).
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import signal
import threading
from pathlib import Path

import pytest

from perfring import abi
from perfring.kernel import Epoll
from tests.linux._rig import (
    HUP,
    IN,
    OUT,
    PRI,
    RDNORM,
    Rig,
    drain,
    dummy,
    free,
    getppid,
    getppid_samples,
    head,
    refused,
    rename,
    renames,
    status_of,
    tracepoint_id,
    until,
    waking,
)

HALF = 2048 // 16  # samples in half of a ring of one 4096-byte page


def wakes(rig: Rig, fd: int, samples: int) -> list[int]:
    """After which samples the ring reports readiness, asked after each."""
    found = []
    for number in range(1, samples + 1):
        os.getppid()
        if rig.ask(fd) == IN:
            found.append(number)
    return found


def test_k09_every_nth_sample_wakes(rig: Rig) -> None:
    fd, _ = rig.ring(getppid_samples(wakeup_events=3), pages=8)
    assert wakes(rig, fd, 13) == [3, 6, 9, 12]


def test_k09_side_band_is_not_counted(rig: Rig) -> None:
    fd, _ = rig.ring(renames(wakeup_events=1), pages=8)
    rename(5)
    assert rig.ask(fd) == 0


def test_k09_the_count_belongs_to_the_ring_and_each_event_compares_its_own_n(rig: Rig) -> None:
    leader, _ = rig.ring(getppid_samples(wakeup_events=2), pages=8)
    getuid = getppid_samples(config=tracepoint_id("syscalls/sys_enter_getuid"), wakeup_events=3)
    rig.redirected(getuid, leader)
    os.getuid()
    assert rig.ask(leader) == 0
    os.getppid()
    assert rig.ask(leader) == IN


def test_k09_without_the_flag_half_a_ring_still_wakes(rig: Rig) -> None:
    fd, mapping = rig.ring(getppid_samples(wakeup_events=1 << 30))
    half = len(mapping.data) // 2 // 16
    assert wakes(rig, fd, half + 1) == [half + 1]


def test_k09_such_a_wakeup_moves_the_byte_cursor_on_by_one(rig: Rig) -> None:
    fd, mapping = rig.ring(getppid_samples(wakeup_events=1))
    half = len(mapping.data) // 2
    getppid(half // 16)  # as many wakeups, so the cursor stands at half // 16 when bytes begin to matter
    getuid = getppid_samples(config=tracepoint_id("syscalls/sys_enter_getuid"), watermark=True)
    rig.redirected(getuid, fd)
    rig.ask(fd)
    os.getuid()  # head = half + 16, cursor half // 16 > 16: not above half
    assert rig.ask(fd) == 0


def test_k10_a_redirected_event_without_the_flag_defeats_the_watermark(rig: Rig) -> None:
    leader, _ = rig.ring(dummy(watermark=True, wakeup_watermark=4000))
    rig.redirected(getppid_samples(wakeup_events=1), leader)
    assert wakes(rig, leader, 3) == [1, 2, 3]


@pytest.mark.parametrize("attr", [waking(1), waking(0), getppid_samples(wakeup_events=0)])
def test_k10_with_the_flag_or_without_wakeup_events_it_does_not(rig: Rig, attr: abi.PerfEventAttr) -> None:
    leader, _ = rig.ring(dummy(watermark=True, wakeup_watermark=1600))
    rig.redirected(attr, leader)
    assert wakes(rig, leader, 101) == [101]


@pytest.fixture
def crossed(rig: Rig) -> int:
    """A ring whose latch is set: three records over a watermark of 16."""
    fd, _ = rig.ring(waking(16))
    getppid(3)
    return fd


@pytest.mark.parametrize("events", [0, IN, PRI, OUT, RDNORM])
def test_k14_poll_takes_the_readiness_whatever_it_asks_for(rig: Rig, crossed: int, events: int) -> None:
    assert rig.ask(crossed, events) == events & (IN | RDNORM)
    assert rig.ask(crossed) == 0


@pytest.mark.parametrize("place", [0, 1, 2])
def test_k14_select_takes_the_readiness_in_any_of_its_sets(rig: Rig, crossed: int, place: int) -> None:
    sets: list[list[int]] = [[], [], []]
    sets[place] = [crossed]
    select.select(sets[0], sets[1], sets[2], 0)
    assert rig.ask(crossed) == 0


def test_k14_level_triggered_epoll_reports_once(rig: Rig) -> None:
    fd, mapping = rig.ring(waking(16))
    epoll = rig.epoll(fd)
    getppid(3)
    assert epoll.poll(0) == [(fd, IN)]
    assert head(mapping) == 48  # and none of it read
    assert epoll.poll(0) == []


def test_k14_edge_triggered_epoll_reports_once_for_each_crossing(rig: Rig) -> None:
    fd, _ = rig.ring(waking(16))
    epoll = rig.epoll(fd, events=IN | select.EPOLLET)
    for _ in range(3):
        getppid(2)
        assert [epoll.poll(0), epoll.poll(0)] == [[(fd, IN)], []]


def test_k14_a_disabled_event_keeps_its_readiness(rig: Rig, crossed: int) -> None:
    rig.kernel.ioctl(crossed, abi.PERF_EVENT_IOC_DISABLE)
    assert [rig.ask(crossed), rig.ask(crossed)] == [IN, 0]


@pytest.mark.parametrize("events", [0, IN, OUT, IN | select.EPOLLET, IN | select.EPOLLONESHOT])
def test_k15_adding_to_epoll_takes_the_readiness(rig: Rig, crossed: int, events: int) -> None:
    epoll = rig.epoll(crossed, events=events)
    assert epoll.poll(0) == []
    assert rig.ask(crossed) == 0


@pytest.mark.parametrize("events", [0, IN])
def test_k15_modifying_takes_the_readiness(rig: Rig, events: int) -> None:
    fd, _ = rig.ring(waking(16))
    epoll = rig.epoll(fd)
    getppid(3)
    epoll.modify(fd, events)
    assert epoll.poll(0) == []
    assert rig.ask(fd) == 0


def test_k15_deleting_does_not_ask(rig: Rig) -> None:
    fd, _ = rig.ring(waking(16))
    epoll = rig.epoll(fd)
    getppid(3)
    epoll.unregister(fd)
    assert rig.ask(fd) == IN


def test_k15_the_next_crossing_is_reported(rig: Rig, crossed: int) -> None:
    epoll = rig.epoll(crossed)
    getppid(1)
    assert epoll.poll(0) == [(crossed, IN)]


def test_k16_an_epoll_inside_an_epoll_loses_the_readiness(rig: Rig) -> None:
    fd, _ = rig.ring(waking(16))
    inner = rig.epoll(fd)
    outer = rig.epoll(inner.fileno())
    getppid(3)
    assert outer.poll(0) == [(inner.fileno(), IN)]
    assert inner.poll(0) == []


def test_k16_poll_on_the_inner_epoll_loses_it_too(rig: Rig) -> None:
    fd, _ = rig.ring(waking(16))
    inner = rig.epoll(fd)
    getppid(3)
    assert rig.ask(inner.fileno()) == IN
    assert inner.poll(0) == []


def test_k17_a_second_poller_steals_the_readiness(rig: Rig) -> None:
    fd, _ = rig.ring(waking(16))
    mine, theirs = rig.epoll(fd), rig.epoll(fd)
    getppid(3)
    assert theirs.poll(0) == [(fd, IN)]
    assert mine.poll(0) == []


def test_k17_a_redirected_fd_steals_it_from_the_leader(rig: Rig) -> None:
    leader, _ = rig.ring(waking(16))
    other = rig.redirected(waking(16), leader)
    getppid(1)
    assert rig.ask(other) == IN
    assert rig.ask(leader) == 0


def test_k17_with_all_fds_of_a_ring_in_one_epoll_only_the_last_redirected_reports(rig: Rig) -> None:
    # Which one is not in the fact: 6.18 asks the fd that was redirected last first.
    leader, _ = rig.ring(waking(16))
    others = [rig.redirected(waking(16), leader) for _ in range(2)]
    epoll = rig.epoll(leader, *others)
    getppid(1)
    assert epoll.poll(0) == [(others[-1], IN)]


def test_k18_after_a_drain_the_next_question_still_says_readable(rig: Rig) -> None:
    fd, mapping = rig.ring(waking(16))
    getppid(3)
    assert len(drain(mapping)) == 3
    assert rig.ask(fd) == IN
    assert drain(mapping) == []


@pytest.mark.parametrize("events", [0, IN])
def test_k19_an_unmapped_event_reports_hup(rig: Rig, events: int) -> None:
    fd = rig.open(dummy())
    assert rig.ask(fd, events) == HUP
    assert rig.epoll(fd, events=events).poll(0) == [(fd, HUP)]


def test_k19_mapped_with_no_data_pages_it_reports_nothing(rig: Rig) -> None:
    fd, _ = rig.ring(getppid_samples(wakeup_events=1), pages=0)
    os.getppid()
    assert rig.ask(fd) == 0


def test_k19_after_munmap_it_reports_hup_again(rig: Rig) -> None:
    fd, mapping = rig.ring(dummy())
    mapping.close()
    assert rig.ask(fd) == HUP


def test_k19_after_its_task_exited_an_event_reports_hup_instead_of_in(rig: Rig) -> None:
    child = rig.child(lambda: getppid(3))
    fd, mapping = rig.ring(waking(16), pid=child.pid)
    child.step()
    child.finish()
    assert head(mapping) == 48
    assert [rig.ask(fd), rig.ask(fd, 0)] == [HUP, HUP]
    drain(mapping)
    assert rig.ask(fd) == HUP


def test_k19_hup_is_level_triggered(rig: Rig) -> None:
    child = rig.child()
    fd, _ = rig.ring(dummy(), pid=child.pid)
    epoll = rig.epoll(fd)
    child.finish()
    assert [epoll.poll(0) for _ in range(3)] == [[(fd, HUP)]] * 3


def _fork_until_told(reader: int) -> None:
    if os.fork() == 0:
        os.read(reader, 1)
        os._exit(0)


def test_k19_a_child_that_inherited_the_event_holds_hup_back(rig: Rig) -> None:
    reader, writer = os.pipe()
    child = rig.child(lambda: _fork_until_told(reader))
    fd, _ = rig.ring(dummy(inherit=True), pid=child.pid, cpu=0)
    child.step()
    child.finish()
    assert rig.ask(fd) == 0
    os.write(writer, b".")
    until(lambda: rig.ask(fd) == HUP, "HUP after the grandchild's exit")
    os.close(reader)
    os.close(writer)


def test_k19_with_another_live_event_in_the_ring_only_that_ones_fd_reports_data(rig: Rig) -> None:
    leader, _ = rig.ring(dummy(watermark=True, wakeup_watermark=16), cpu=0)
    dead, live = rig.child(), rig.child(_on_cpu_0)
    gone, stays = (rig.redirected(waking(16), leader, pid=child.pid, cpu=0) for child in (dead, live))
    dead.finish()
    live.step()
    assert (rig.ask(gone), rig.ask(stays)) == (HUP, IN)


def _on_cpu_0() -> None:
    os.sched_setaffinity(0, {0})
    getppid(3)


def waiting_thread(epoll: Epoll, answers: list[list[tuple[int, int]]]) -> threading.Thread:
    thread = threading.Thread(target=lambda: answers.append(epoll.poll(10)))
    thread.start()
    wchan = Path(f"/proc/self/task/{thread.native_id}/wchan")
    until(lambda: "poll" in wchan.read_text(), "the thread waits")
    return thread


@pytest.mark.parametrize("unmap_too", [False, True])
def test_k45_closing_the_fd_does_not_end_a_wait_in_epoll(rig: Rig, unmap_too: bool) -> None:
    fd, mapping = rig.ring(waking(16))
    reader, writer = os.pipe()
    epoll, answers = rig.epoll(fd, reader), list[list[tuple[int, int]]]()
    thread = waiting_thread(epoll, answers)
    rig.close(fd)
    if unmap_too:
        mapping.close()
    os.write(writer, b".")  # what ends the wait is this, and nothing else is reported
    thread.join()
    os.close(reader)
    os.close(writer)
    assert answers == [[(reader, IN)]]


def test_k45_unmapping_an_open_fd_does_end_the_wait_with_hup(rig: Rig) -> None:
    # K45 says that it does not: on 6.18 the last munmap wakes who waits for the fd, and finds HUP (K19).
    fd, mapping = rig.ring(waking(16))
    epoll, answers = rig.epoll(fd), list[list[tuple[int, int]]]()
    thread = waiting_thread(epoll, answers)
    mapping.close()
    thread.join()
    assert answers == [[(fd, HUP)]]


def test_k45_a_childs_disable_stops_the_parents_recording(rig: Rig) -> None:
    fd, mapping = rig.ring(getppid_samples())
    assert status_of(lambda: rig.kernel.ioctl(fd, abi.PERF_EVENT_IOC_DISABLE)) == 0
    os.getppid()
    assert head(mapping) == 0


def test_k45_a_child_can_map_the_inherited_fd_itself(rig: Rig) -> None:
    fd, mapping = rig.ring(getppid_samples())
    os.getppid()

    def child() -> None:
        assert head(rig.kernel.mmap(fd, 2 * rig.kernel.page_size)) == 16

    assert status_of(child) == 0
    assert head(mapping) == 16


def test_k45_reading_the_parents_mapping_in_a_child_is_a_segmentation_fault(rig: Rig) -> None:
    rig.ring(dummy())
    with open("/proc/self/maps") as maps:
        address = next(int(line.split("-")[0], 16) for line in maps if "anon_inode:[perf_event]" in line)
    assert os.WTERMSIG(status_of(lambda: ctypes.string_at(address, 1))) == signal.SIGSEGV


def test_k14_an_exclusive_registration_reports_once_and_cannot_be_modified(rig: Rig) -> None:
    fd, _ = rig.ring(waking(16))
    epoll = rig.epoll(fd, events=IN | select.EPOLLEXCLUSIVE)
    getppid(3)
    assert [epoll.poll(0), epoll.poll(0)] == [[(fd, IN)], []]
    with refused(errno.EINVAL):
        epoll.modify(fd, IN)


def test_k14_a_oneshot_registration_leaves_the_next_readiness_alone(rig: Rig) -> None:
    fd, mapping = rig.ring(waking(16))
    epoll = rig.epoll(fd, events=IN | select.EPOLLONESHOT)
    getppid(3)
    assert epoll.poll(0) == [(fd, IN)]
    free(mapping)
    getppid(3)
    assert epoll.poll(0) == []
    assert rig.ask(fd) == IN
