from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from perfring import environment
from perfring.sideband import Comm, Mmap2
from tests.unit._files import FileKernel, file_kernel

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyfakefs.fake_filesystem import FakeFilesystem

    from perfring.kernel import Kernel

MAPS = """\
5600-5700 r-xp 00001000 fe:01 1234                       /usr/bin/program
5700-5800 rw-s 00002000 00:0c 99                         /memfd:x (deleted)
5900-5a00 rwxp 00000000 00:00 0\x20
"""
PROGRAM = Mmap2(
    time=50,
    pid=41,
    tid=41,
    misc=2,
    addr=0x5600,
    length=0x100,
    pgoff=0x1000,
    maj=0xFE,
    min=1,
    ino=1234,
    prot=5,
    flags=2,
    filename="/usr/bin/program",
)


@pytest.fixture(autouse=True)
def _processes(fs: FakeFilesystem) -> None:
    """Process 41 with two threads, and 7, a kernel thread without mappings."""
    for pid, tid, name in ((41, 41, "main"), (41, 42, "worker"), (7, 7, "kthread")):
        fs.create_file(f"/proc/{pid}/task/{tid}/comm", contents=f"{name}\n")
    fs.create_file("/proc/41/maps", contents=MAPS)
    fs.create_file("/proc/7/maps")


def captured(
    pids: Iterable[int] | None = (41,),
    *,
    mappings: bool = True,
    all_mappings: bool = False,
    kernel: Kernel | None = None,
) -> list[Comm | Mmap2]:
    asked = environment.capture(kernel or file_kernel(), pids, time=50, mappings=mappings, all_mappings=all_mappings)
    return list(asked)


def named(records: list[Comm | Mmap2]) -> list[tuple[int | None, str]]:
    return [(record.tid, record.comm if isinstance(record, Comm) else record.filename) for record in records]


def test_each_thread_has_a_name_and_the_process_its_mappings() -> None:
    assert named(captured()) == [(41, "main"), (42, "worker"), (41, "/usr/bin/program"), (41, "//anon")]


def test_a_name_is_that_of_the_thread() -> None:
    assert captured()[1] == Comm(pid=41, tid=42, comm="worker", time=50)


def test_a_mapping_is_as_the_kernel_would_have_told_it() -> None:
    assert captured()[2] == PROGRAM


def test_the_records_are_marked() -> None:
    assert all(record.synthesized for record in captured())
    assert captured()[0].to_dict()["synthesized"] is True


def test_mappings_without_code_come_when_asked_for() -> None:
    data = [record for record in captured(all_mappings=True) if isinstance(record, Mmap2) and record.data]
    assert [(record.filename, record.prot, record.flags) for record in data] == [("/memfd:x (deleted)", 3, 1)]


def test_names_come_alone_when_no_mappings_are_asked_for() -> None:
    assert named(captured(mappings=False)) == [(41, "main"), (42, "worker")]


def test_all_of_no_mappings_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="all_mappings is True, but mappings is False"):
        environment.capture(file_kernel(), (41,), mappings=False, all_mappings=True)


def test_without_pids_all_processes_are_told() -> None:
    assert named(captured(None))[:3] == [(7, "kthread"), (41, "main"), (42, "worker")]


def test_no_pids_are_no_processes() -> None:
    assert captured(()) == []


def test_a_process_that_is_gone_is_left_out() -> None:
    assert named(captured((40, 7))) == [(7, "kthread")]


class Vanishing(FileKernel):
    """The process ends between the reading of its names and of its mappings."""

    def read_bytes(self, path: str) -> bytes:
        if path.endswith("/maps"):
            raise ProcessLookupError(3, "No such process")
        return super().read_bytes(path)


class Forbidding(FileKernel):
    """The mappings are somebody else's."""

    def read_bytes(self, path: str) -> bytes:
        if path == "/proc/41/maps":
            raise PermissionError(13, "Permission denied")
        return super().read_bytes(path)


def test_a_process_that_ends_meanwhile_keeps_its_names() -> None:
    assert named(captured(kernel=Vanishing())) == [(41, "main"), (42, "worker")]  # type: ignore[arg-type]


def test_mappings_of_others_are_left_out_among_all() -> None:
    assert (42, "worker") in named(captured(None, kernel=Forbidding()))  # type: ignore[arg-type]


def test_mappings_of_others_are_an_error_for_a_named_process() -> None:
    with pytest.raises(PermissionError):
        captured(kernel=Forbidding())  # type: ignore[arg-type]


def test_names_of_others_may_be_read_where_their_mappings_may_not() -> None:
    assert named(captured(mappings=False, kernel=Forbidding())) == [(41, "main"), (42, "worker")]  # type: ignore[arg-type]


@pytest.mark.parametrize("pid", [0, -1])
def test_a_pid_that_cannot_be_is_refused_at_once(pid: int) -> None:
    with pytest.raises(ValueError, match=f"pid {pid} is no process"):
        environment.capture(file_kernel(), (pid,))
