"""`simkernel.procfs.populate`: code that opens /proc, /sys and tracefs itself sees the simulated machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyfakefs.fake_filesystem import FakeFilesystem
from pyfakefs.helpers import reset_ids, set_uid

from perfring import procfs, tracefs
from simkernel import SimKernel
from simkernel.procfs import populate
from tests.unit._files import file_kernel


@pytest.fixture
def ordinary_user() -> Iterator[None]:
    set_uid(1000)
    yield
    reset_ids()


def test_sysctls_are_those_of_the_machine(fs: FakeFilesystem) -> None:
    populate(fs, SimKernel(paranoid=1))
    assert Path("/proc/sys/kernel/perf_event_paranoid").read_text() == "1\n"


def test_cpus_are_those_of_the_machine(fs: FakeFilesystem) -> None:
    populate(fs, SimKernel(cpus=(0, 1, 2, 5)))
    assert file_kernel().online_cpus() == (0, 1, 2, 5)


def test_tasks_and_their_mappings_are_read_alike(fs: FakeFilesystem, sim_kernel: SimKernel) -> None:
    actor = sim_kernel.actor()
    actor.map_executable("/usr/lib/libz.so", 8192)
    populate(fs, sim_kernel)
    files = file_kernel()
    assert list(procfs.tasks(files)) == list(procfs.tasks(sim_kernel))
    assert list(procfs.maps(files, actor.pid)) == list(procfs.maps(sim_kernel, actor.pid)) != []


def test_a_tracepoint_has_the_id_that_the_machine_opens(fs: FakeFilesystem, sim_kernel: SimKernel) -> None:
    populate(fs, sim_kernel)
    name = "sched:sched_switch"
    assert tracefs.read_format(file_kernel(), name).id == tracefs.read_format(sim_kernel, name).id


def test_every_file_has_the_bytes_that_the_seam_gives(fs: FakeFilesystem, sim_kernel: SimKernel) -> None:
    populate(fs, sim_kernel)
    found = [f"{folder}/{name}" for root in ("/proc", "/sys") for folder, _, names in os.walk(root) for name in names]
    assert {path: Path(path).read_bytes() for path in found} == {path: sim_kernel.read_bytes(path) for path in found}


def test_a_second_call_replaces_the_first(fs: FakeFilesystem, sim_kernel: SimKernel) -> None:
    actor = sim_kernel.actor()
    populate(fs, sim_kernel)
    actor.exit()
    populate(fs, sim_kernel)
    assert not os.path.exists(f"/proc/{actor.pid}")


def test_the_rest_of_the_filesystem_stays(fs: FakeFilesystem, sim_kernel: SimKernel) -> None:
    fs.create_file("/home/me/notes")
    populate(fs, sim_kernel)
    assert os.path.exists("/home/me/notes")


@pytest.mark.sim_kernel(capabilities=())
def test_an_ordinary_user_cannot_look_into_tracefs(
    fs: FakeFilesystem, sim_kernel: SimKernel, ordinary_user: None
) -> None:
    populate(fs, sim_kernel)
    with pytest.raises(PermissionError):
        os.listdir("/sys/kernel/tracing")
