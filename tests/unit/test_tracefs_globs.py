"""Globs of tracepoints: what matches, what is left out, and what is said when nothing does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from perfring import tracefs
from perfring.errors import TracepointNotFound
from tests.unit._files import file_kernel

if TYPE_CHECKING:
    from pyfakefs.fake_filesystem import FakeFilesystem

EVENTS = "/sys/kernel/tracing/events"
NAMES = (
    "block:block_rq_issue",
    "ftrace:context_switch",
    "irq_vectors:irq_work_entry",
    "irq_vectors:irq_work_exit",
    "sched:sched_switch",
    "sched:sched_waking",
)


@pytest.fixture(autouse=True)
def _mounted(fs: FakeFilesystem) -> None:
    for name in NAMES:
        fs.create_file(f"{EVENTS}/{name.replace(':', '/')}/format")
    for name in ("enable", "header_page", "sched/enable", "sched/filter"):
        fs.create_file(f"{EVENTS}/{name}")


@pytest.mark.parametrize(
    ("glob", "names"),
    [
        ("sched:*", "sched:sched_switch sched:sched_waking"),
        ("sched:sched_[!s]*", "sched:sched_waking"),
        ("sched:sched_?aking", "sched:sched_waking"),
        ("*:*_[is]*", "block:block_rq_issue sched:sched_switch"),
        ("s*:sched_switch", "sched:sched_switch"),
    ],
)
def test_a_glob_matches_whole_names_and_the_result_is_sorted(glob: str, names: str) -> None:
    assert " ".join(tracefs.matching_names(file_kernel(), glob)) == names


def test_a_glob_takes_nothing_that_nobody_may_sample() -> None:
    assert tracefs.matching_names(file_kernel(), "irq_vectors:*") == ("irq_vectors:irq_work_entry",)


def test_the_tracers_own_entries_are_matched_only_by_name() -> None:
    assert "ftrace:context_switch" not in tracefs.matching_names(file_kernel(), "*:*")
    assert tracefs.matching_names(file_kernel(), "ftrace:*") == ("ftrace:context_switch",)


@pytest.mark.parametrize(
    ("glob", "advice"),
    [
        ("sched:switch*", r"a glob has to match the whole name; did you mean 'sched:\*switch\*'\?"),
        ("schd:*_x", r"did you mean 'sched:\*_x'\?"),
        ("sched:nosuch*", f"see the names by: ls {EVENTS}/sched$"),
        ("sched:SCHED_*", f"see the names by: ls {EVENTS}/sched$"),
        ("sched:[", f"see the names by: ls {EVENTS}/sched$"),
        ("zzzzzz:*", f"see the names by: ls {EVENTS}$"),
    ],
)
def test_a_glob_that_matches_nothing_is_named_with_where_and_what_to_do(glob: str, advice: str) -> None:
    with pytest.raises(TracepointNotFound, match=f"^no tracepoint in {EVENTS} matches .*{advice}") as caught:
        tracefs.matching_names(file_kernel(), glob)
    assert caught.value.name == glob
    assert repr(glob) in str(caught.value)


@pytest.mark.parametrize("glob", ["*", "a:b:*", "../*:y", "x:*/..", ":*", "a*:", "a:{b,*}", "a:*\n", "é:*"])
def test_what_is_no_glob_of_tracepoints_is_refused(glob: str) -> None:
    with pytest.raises(ValueError, match=r"it should look like 'sched:\*'") as caught:
        tracefs.matching_names(file_kernel(), glob)
    assert repr(glob) in str(caught.value)


def test_without_tracefs_a_glob_is_refused_with_the_command_that_mounts_it(fs: FakeFilesystem) -> None:
    fs.remove_object("/sys/kernel/tracing")
    with pytest.raises(TracepointNotFound, match=r"'sched:\*': tracefs is not mounted\n.*sudo mount -t tracefs"):
        tracefs.matching_names(file_kernel(), "sched:*")
