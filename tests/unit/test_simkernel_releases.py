"""The table of releases: each row is so on the releases that it names, and its program shows it."""

from __future__ import annotations

import dataclasses
import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from perfring import abi
from simkernel import SimKernel
from simkernel.contract.corpus import programs_in
from simkernel.contract.running import Outcome
from simkernel.contract.trace import SimBench
from simkernel.releases import BEHAVIOURS, RELEASES, Behaviour, Release, release_named
from simkernel.ringbuf import POISON

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = dict(programs_in(ROOT / "tests" / "conformance" / "corpus"))
NEWEST = list(RELEASES)[-1]
CHANGES = [
    pytest.param(behaviour, version, id=f"{behaviour.name}-{version[0]}.{version[1]}")
    for behaviour in BEHAVIOURS
    for version in list(behaviour.since)[1:]
]


def label(version: tuple[int, int]) -> str:
    return "{}.{}".format(*version)


def outcomes(program: str, version: tuple[int, int]) -> tuple[Outcome, ...]:
    return SimBench(release=label(version)).run(PROGRAMS[program])


def with_one_other_value(behaviour: Behaviour, version: tuple[int, int], value: Any) -> Release:
    return dataclasses.replace(RELEASES[version], **{behaviour.name: value})


def test_each_attribute_of_a_release_is_a_row() -> None:
    assert [field.name for field in dataclasses.fields(Release)] == [behaviour.name for behaviour in BEHAVIOURS]


@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=lambda each: each.name)
def test_a_row_begins_with_the_oldest_release_and_changes(behaviour: Behaviour) -> None:
    assert list(behaviour.since) == sorted(behaviour.since)
    assert next(iter(behaviour.since)) == next(iter(RELEASES))
    assert len(behaviour.since) > 1


@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=lambda each: each.name)
def test_a_row_changes_where_a_release_was_measured(behaviour: Behaviour) -> None:
    assert set(behaviour.since) <= set(RELEASES)


@pytest.mark.parametrize(("behaviour", "version"), CHANGES)
def test_the_program_of_a_row_ends_otherwise_when_this_row_alone_changes(
    behaviour: Behaviour, version: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = outcomes(behaviour.program, version)
    before = behaviour.at(list(RELEASES)[list(RELEASES).index(version) - 1])
    monkeypatch.setitem(RELEASES, version, with_one_other_value(behaviour, version, before))
    assert outcomes(behaviour.program, version) != now


@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=lambda each: each.name)
def test_the_program_of_a_row_cites_its_fact(behaviour: Behaviour) -> None:
    assert behaviour.fact in PROGRAMS[behaviour.program].about


@pytest.mark.parametrize(
    ("name", "version"),
    [("5.10.0-32-cloud-amd64", (5, 10)), ("5.15.0", (5, 10)), ("6.11", (6, 1)), ("6.18.44", (6, 18)), ("9.0", NEWEST)],
)
def test_the_newest_release_that_is_not_newer_decides(name: str, version: tuple[int, int]) -> None:
    assert release_named(name) is RELEASES[version]


@pytest.mark.parametrize("name", ["5.4", "5.9.16", "4.19"])
def test_a_release_that_is_too_old_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"release is '{name}': the oldest that is simulated is 5.10")):
        release_named(name)


def test_what_is_no_release_is_refused() -> None:
    with pytest.raises(ValueError, match=re.escape("release is 'bookworm': it must begin like '6.18'")):
        release_named("bookworm")


def rows(page: str) -> Iterator[list[str]]:
    for line in page.splitlines():
        if line.startswith("| `"):
            yield [cell.strip().strip("`") for cell in line.strip("|").split("|")]


def spelled(value: Any) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else hex(value) if value > 999 else str(value)


def test_the_page_has_the_table() -> None:
    expected = [
        [each.name, each.what, *[spelled(each.at(version)) for version in RELEASES], each.fact, each.program]
        for each in BEHAVIOURS
    ]
    assert list(rows((ROOT / "docs" / "releases.md").read_text())) == expected


# What a program of the corpus cannot show, because its actors sleep while requests are made.


def samples_of_hits(kernel: SimKernel, mapping: Any, hits: int) -> list[int]:
    """How many samples each of so many calls of an actor brings."""
    actor, before, found = kernel.actor(0), mapping.load_u64(1024), []
    for _ in range(hits):
        actor.getppid()
        found.append((mapping.load_u64(1024) - before) // 16)
        before = mapping.load_u64(1024)
    return found


def whole_cpu(kernel: SimKernel, **fields: Any) -> int:
    point = int(kernel.read_text("/sys/kernel/tracing/events/syscalls/sys_enter_getppid/id"))
    attr = abi.PerfEventAttr(type=abi.PERF_TYPE_TRACEPOINT, config=point, sample_type=abi.PERF_SAMPLE_TID)
    return kernel.perf_event_open(attr.copy(**fields), -1, 0, -1)


@pytest.mark.parametrize("version", RELEASES, ids=label)
def test_a_new_period_of_an_event_that_counts_begins_with_what_is_left_of_the_old_one(
    version: tuple[int, int],
) -> None:
    kernel = SimKernel(release=label(version), capabilities={"CAP_SYS_ADMIN"})
    fd = whole_cpu(kernel, sample_period=5)
    mapping = kernel.mmap(fd, 2 * kernel.page_size, writable=True)
    kernel.ioctl(fd, abi.PERF_EVENT_IOC_PERIOD, (2).to_bytes(8, "little"))
    assert samples_of_hits(kernel, mapping, 8) == [1, 0, 0, 0, 1, 0, 1, 0]


@pytest.mark.parametrize("version", RELEASES, ids=label)
def test_bits_of_read_format_are_known_up_to_lost_and_no_further(version: tuple[int, int]) -> None:
    kernel = SimKernel(release=label(version), capabilities={"CAP_SYS_ADMIN"})
    kernel.close(whole_cpu(kernel, read_format=abi.PERF_FORMAT_LOST))
    with pytest.raises(OSError, match=re.escape(os.strerror(errno.EINVAL))):
        whole_cpu(kernel, read_format=abi.PERF_FORMAT_LOST << 1)


def test_padding_behind_a_payload_is_nothing_to_rely_on() -> None:
    kernel = SimKernel(capabilities={"CAP_SYS_ADMIN"})
    attr = abi.PerfEventAttr(type=abi.PERF_TYPE_SOFTWARE, config=abi.PERF_COUNT_SW_BPF_OUTPUT, sample_period=1)
    fd = kernel.perf_event_open(attr.copy(sample_type=abi.PERF_SAMPLE_RAW), -1, 0, -1)
    mapping = kernel.mmap(fd, 2 * kernel.page_size, writable=True)
    kernel.bpf_map_update(kernel.bpf_map_fd(1), 0, fd)
    kernel.actor(0).emit(b"payload")
    assert bytes(mapping.data[12:24]) == b"payload" + bytes([POISON]) * 5
