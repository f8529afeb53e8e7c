from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfring import procfs
from perfring.errors import TargetNotFound
from tests.unit._files import FileKernel, file_kernel

if TYPE_CHECKING:
    from pyfakefs.fake_filesystem import FakeFilesystem

MAPS = b"""\
5600-5700 r-xp 00001000 fe:01 1234                       /usr/bin/with  two blanks
5700-5800 rw-s 00000000 00:0c 99                         /memfd:x (deleted)
5800-5900 r--p 00000000 08:02 7                          /tmp/new\\012line \xff\r
5900-5a00 ---p 00000000 00:00 0\x20
7fff0000-7fff1000 rwxp 00000000 00:00 0                          [stack]
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0          [vsyscall]
"""

STATUS = """\
Name:\tevil\\nUid:\\t0
Umask:\t0022
State:\tR (running)
Tgid:\t41
Pid:\t42
Uid:\t1000\t1001\t1002\t1003
CapInh:\t0000000000000000
CapEff:\t0000004000200000
Seccomp:\t2
"""

LIMITS = """\
Limit                     Soft Limit           Hard Limit           Units
Max locked memory         8388608              unlimited            bytes
Max open files            1024                 4096                 files
Max nice priority         0                    0
"""


@pytest.fixture
def process(fs: FakeFilesystem) -> None:
    """Process 41 with the threads 41, 42 and 100."""
    for tid in (42, 100, 41):
        fs.create_file(f"/proc/41/task/{tid}/comm", contents=f"thread {tid}\n")
    fs.create_file("/proc/41/maps", contents=MAPS)
    fs.create_file("/proc/41/status", contents=STATUS)
    fs.create_file("/proc/41/limits", contents=LIMITS)
    fs.create_file("/proc/uptime")


def entries() -> list[procfs.MapEntry]:
    return list(procfs.maps(file_kernel(), 41))


@pytest.mark.usefixtures("process")
def test_threads_of_a_process_come_in_numeric_order() -> None:
    assert procfs.threads(file_kernel(), 41) == (41, 42, 100)


@pytest.mark.usefixtures("process")
def test_processes_leaves_out_what_is_no_number() -> None:
    assert procfs.processes(file_kernel()) == (41,)


@pytest.mark.usefixtures("process")
@pytest.mark.parametrize("ask", [procfs.threads, procfs.maps, procfs.status, procfs.limits])
def test_a_dead_process_is_named(ask: object) -> None:
    assert callable(ask)
    with pytest.raises(TargetNotFound, match="there is no process 77") as caught:
        ask(file_kernel(), 77)
    assert caught.value.pid == 77


@pytest.mark.usefixtures("process")
def test_a_dead_thread_is_named() -> None:
    with pytest.raises(TargetNotFound, match="process 41 has no thread 43"):
        procfs.comm(file_kernel(), 41, 43)


@pytest.mark.parametrize("pid", [0, -1])
def test_a_pid_below_one_is_refused(pid: int) -> None:
    with pytest.raises(ValueError, match=f"pid is {pid}"):
        procfs.threads(file_kernel(), pid)


@pytest.mark.usefixtures("process")
def test_comm_loses_one_newline_and_keeps_its_own(fs: FakeFilesystem) -> None:
    fs.create_file("/proc/41/task/7/comm", contents=b"a\r\nb\n\xff\n\n")
    assert procfs.comm(file_kernel(), 41, 7) == "a\r\nb\n\udcff\n"


@pytest.mark.usefixtures("process")
def test_tasks_leaves_out_a_thread_that_ends_before_its_name_is_read(fs: FakeFilesystem) -> None:
    fs.remove("/proc/41/task/42/comm")
    found = [task.tid for task in procfs.tasks(file_kernel())]
    assert found == [41, 100]


@pytest.mark.usefixtures("process")
def test_tasks_leaves_out_a_process_that_has_ended() -> None:
    assert [task.pid for task in procfs.tasks(file_kernel(), pids=[77, 41])] == [41, 41, 41]


def test_a_process_that_dies_between_open_and_read_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(_self: FileKernel, _path: str) -> bytes:
        raise ProcessLookupError(3, "No such process")

    monkeypatch.setattr(FileKernel, "read_bytes", dies)
    with pytest.raises(TargetNotFound, match="there is no process 41"):
        procfs.maps(file_kernel(), 41)


@pytest.mark.usefixtures("process")
def test_every_number_of_a_mapping_is_read() -> None:
    assert entries()[0] == procfs.MapEntry(
        start=0x5600,
        end=0x5700,
        prot=1 | 4,
        flags=2,
        pgoff=0x1000,
        major=0xFE,
        minor=1,
        inode=1234,
        path="/usr/bin/with  two blanks",
    )


@pytest.mark.usefixtures("process")
def test_a_shared_writable_mapping_has_the_flags_of_mmap() -> None:
    entry = entries()[1]
    assert (entry.prot, entry.flags) == (1 | 2, 1)


@pytest.mark.usefixtures("process")
def test_an_unlinked_file_is_deleted_and_keeps_the_kernels_path() -> None:
    assert [entry.path for entry in entries() if entry.deleted] == ["/memfd:x (deleted)"]


@pytest.mark.usefixtures("process")
def test_paths_keep_undecodable_bytes_and_carriage_returns() -> None:
    assert entries()[2].path == "/tmp/new\nline \udcff\r"


@pytest.mark.usefixtures("process")
def test_anonymous_memory_has_no_path_and_no_permission() -> None:
    entry = entries()[3]
    assert (entry.path, entry.prot) == ("", 0)


@pytest.mark.usefixtures("process")
def test_only_executable_mappings_when_asked() -> None:
    found = procfs.maps(file_kernel(), 41, executable_only=True)
    assert [entry.start for entry in found] == [0x5600, 0x7FFF0000, 0xFFFFFFFFFF600000]


@pytest.mark.usefixtures("process")
def test_a_zombie_has_no_mappings(fs: FakeFilesystem) -> None:
    fs.create_file("/proc/9/maps", contents="")
    assert list(procfs.maps(file_kernel(), 9)) == []


@pytest.mark.usefixtures("process")
def test_status_is_not_fooled_by_a_name_that_looks_like_a_field() -> None:
    found = procfs.status(file_kernel(), 41)
    assert found == procfs.Status(tgid=41, uid=1001, capabilities=1 << 38 | 1 << 21, seccomp=2)


def test_status_of_a_kernel_without_seccomp(fs: FakeFilesystem) -> None:
    fs.create_file("/proc/self/status", contents=STATUS.replace("Seccomp:\t2\n", ""))
    assert procfs.status(file_kernel(), "self").seccomp is None


@pytest.mark.usefixtures("process")
def test_limits_are_read_by_column() -> None:
    found = procfs.limits(file_kernel(), 41)
    assert found["Max locked memory"] == procfs.Limit(8388608, None)
    assert found["Max nice priority"] == procfs.Limit(0, 0)


@pytest.mark.parametrize(
    ("text", "cpus"),
    [("0-3,5,8-9\n", (0, 1, 2, 3, 5, 8, 9)), ("\n", ()), ("7", (7,)), ("2,0-1", (0, 1, 2))],
)
def test_cpu_lists_are_read(text: str, cpus: tuple[int, ...]) -> None:
    assert procfs.parse_cpu_list(text) == cpus


@pytest.mark.parametrize("text", ["3-1", "a", "0-", "-1", "0--1", "0-99999999", "1 2", "²"])
def test_what_is_no_cpu_list_is_refused_with_the_text(text: str) -> None:
    with pytest.raises(ValueError, match="not a list of CPUs") as caught:
        procfs.parse_cpu_list(text)
    assert repr(text) in str(caught.value)


def test_cpu_lists_are_written_short() -> None:
    assert procfs.format_cpu_list([9, 8, 5, 0, 1, 2, 3]) == "0-3,5,8-9"


@given(st.frozensets(st.integers(0, 300)))
def test_cpu_lists_come_back_as_they_were(cpus: frozenset[int]) -> None:
    assert procfs.parse_cpu_list(procfs.format_cpu_list(cpus)) == tuple(sorted(cpus))
