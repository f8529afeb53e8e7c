"""K47 to K51: what differs between releases. What this kernel is to do, `simkernel.releases` says."""

from __future__ import annotations

import errno
import mmap
import os
import struct
import sys

import pytest

from perfring import abi
from perfring.kernel import Mapping
from simkernel.releases import release_named
from tests.linux._rig import IN, RDNORM, SAMPLE_BYTES, Rig, drain, dummy, getppid_samples, head, refused

RELEASE = release_named(os.uname().release)
GROUP = abi.PERF_FORMAT_GROUP


@pytest.mark.parametrize("asked", [IN, RDNORM, IN | RDNORM])
def test_k47_rdnorm_comes_with_in_or_never(rig: Rig, asked: int) -> None:
    fd, _ = rig.ring(getppid_samples(wakeup_events=1))
    os.getppid()
    assert rig.ask(fd, asked) == asked & (IN | RDNORM if RELEASE.rdnorm else IN)


def dead_leader(rig: Rig) -> int:
    child = rig.child()
    leader = rig.open(dummy(), child.pid)
    child.finish()
    return leader


def test_k48_a_group_of_a_dead_task_is_no_device_or_one_of_another_task(rig: Rig) -> None:
    leader = dead_leader(rig)
    with refused(errno.ENODEV if RELEASE.dead_group_first else errno.EINVAL):
        rig.open(dummy(), group_fd=leader)


def test_k48_it_is_refused_before_what_is_wrong_with_the_event_or_behind_it(rig: Rig) -> None:
    leader = dead_leader(rig)
    with refused(errno.ENODEV if RELEASE.dead_group_first else errno.ENOENT):
        rig.open(abi.PerfEventAttr(type=99), group_fd=leader)


def samples_of_hits(mapping: Mapping, hits: int) -> list[int]:
    """How many samples each getppid(2) brings."""
    before, found = head(mapping), []
    for _ in range(hits):
        os.getppid()
        found.append((head(mapping) - before) // SAMPLE_BYTES)
        before = head(mapping)
    return found


def test_k49_the_first_period_of_a_tracepoint(rig: Rig) -> None:
    _, mapping = rig.ring(getppid_samples(sample_period=3))
    expected = [0, 0, 1, 0, 0, 1, 0] if RELEASE.arms_tracepoints else [2, 0, 1, 0, 0, 1, 0]
    assert samples_of_hits(mapping, 7) == expected


def test_k49_a_new_period_begins_with_a_sample_and_what_is_left_of_the_old_one(rig: Rig) -> None:
    fd, mapping = rig.ring(getppid_samples(sample_period=5))
    os.getppid()
    rig.kernel.ioctl(fd, abi.PERF_EVENT_IOC_PERIOD, struct.pack("=Q", 2))
    assert samples_of_hits(mapping, 8) == [1, 0, 0, 0, 1, 0, 1, 0]


def orphan(rig: Rig, attr: abi.PerfEventAttr) -> int:
    """An event that was in a group of three, whose leader is closed."""
    leader = rig.open(dummy())
    fd = rig.open(attr, group_fd=leader)
    rig.open(dummy(), group_fd=leader)
    rig.close(leader)
    return fd


def test_k50_what_is_read_of_an_orphan_has_room_for_the_group(rig: Rig) -> None:
    left = (0, 0) if RELEASE.orphans_read_as_groups else ()
    assert rig.counts(orphan(rig, dummy(read_format=GROUP))) == (1, 0, *left)


def test_k50_the_samples_of_an_orphan_have_room_for_the_group(rig: Rig) -> None:
    fd = orphan(rig, getppid_samples(read_format=GROUP, sample_type=abi.PERF_SAMPLE_READ))
    mapping = rig.map(fd)
    os.getppid()
    (record,) = drain(mapping)
    assert len(record.body) == (32 if RELEASE.orphans_read_as_groups else 16)


def test_k51_mmap2_tells_what_may_become_executable(rig: Rig) -> None:
    _, mapping = rig.ring(dummy(mmap=True, mmap2=True))
    with (
        open(sys.executable, "rb") as file,
        mmap.mmap(file.fileno(), 4096, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_EXEC),
    ):
        (record,) = drain(mapping)
    assert struct.unpack_from("=II", record.body, 56) == (5, mmap.MAP_PRIVATE | RELEASE.mmap2_flags)


def test_k51_no_data_source_has_a_word_of_its_own(rig: Rig) -> None:
    _, mapping = rig.ring(getppid_samples(sample_type=abi.PERF_SAMPLE_DATA_SRC))
    os.getppid()
    assert [record.u64s for record in drain(mapping)] == [(RELEASE.no_data_source,)]
