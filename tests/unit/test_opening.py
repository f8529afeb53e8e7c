"""What is refused before the first event is opened."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from perfring import PerfEventAttr, SessionBuilder
from perfring.errors import EventRefused
from tests.unit._machine import Machine
from tests.unit._opening import PaperKernel

if TYPE_CHECKING:
    from pyfakefs.fake_filesystem import FakeFilesystem


@pytest.fixture
def machine(fs: FakeFilesystem) -> Machine:
    return Machine(fs)


def many_events(count: int) -> SessionBuilder:
    builder = SessionBuilder()
    for number in range(count):
        builder = builder.with_event(PerfEventAttr(type=4, config=number, sample_period=1))
    return builder


def test_a_session_that_needs_more_descriptors_than_the_limit_is_refused_before_anything_is_opened(
    machine: Machine,
) -> None:
    machine.limits(files=403)
    kernel = PaperKernel()
    with pytest.raises(EventRefused, match=r"^a session of 100 events on 4 CPUs needs 404 .* allows 403: ") as caught:
        many_events(100).build(kernel.as_kernel())
    assert (caught.value.errno, kernel.attrs) == (errno.EMFILE, [])


@pytest.mark.parametrize(("events", "files"), [(100, 404), (100, "unlimited"), (63, 10)])
def test_what_fits_the_limit_or_is_little_is_the_kernels_to_refuse(
    machine: Machine, events: int, files: int | str
) -> None:
    machine.limits(files=files)
    kernel = PaperKernel()
    kernel.refuse["open on", 0] = errno.EMFILE
    with pytest.raises(EventRefused, match="opening leader on cpu 0 was refused with EMFILE"):
        many_events(events).build(kernel.as_kernel())
