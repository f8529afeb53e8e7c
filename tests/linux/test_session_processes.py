"""A session among real threads and processes."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from perfring.errors import ForkedSession, SessionClosed
from perfring.linux import LinuxKernel
from perfring.session import Session
from simkernel.contract.linux_actor import LinuxActor
from tests.session_rig import PATIENCE, watching


@pytest.fixture
def actor() -> Iterator[LinuxActor]:
    with LinuxActor(0) as actor:
        yield actor


@pytest.fixture
def session(kernel: LinuxKernel, actor: LinuxActor) -> Iterator[Session]:
    with watching(actor).build(kernel) as session:
        session.enable()
        yield session


def test_close_ends_a_reader_that_waits_in_another_thread(kernel: LinuxKernel, actor: LinuxActor) -> None:
    session = watching(actor).build(kernel)
    caught: list[BaseException] = []
    waiting = threading.Event()

    def read() -> None:
        try:
            session.next_batch(timeout=0)
            waiting.set()
            session.next_batch()
        except SessionClosed as error:
            caught.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    assert waiting.wait(PATIENCE)
    session.close()
    thread.join(PATIENCE)
    assert (len(caught), thread.is_alive()) == (1, False)


def test_close_ends_an_iteration_in_another_thread_quietly(kernel: LinuxKernel, actor: LinuxActor) -> None:
    session = watching(actor).build(kernel)
    session.enable()
    actor.getppid(1)
    got: list[int] = []
    first = threading.Event()

    def read() -> None:
        for batch in session.batches():
            got.append(len(batch))
            first.set()

    thread = threading.Thread(target=read)
    thread.start()
    assert first.wait(PATIENCE)
    session.close()
    thread.join(PATIENCE)
    assert (got, thread.is_alive()) == ([1], False)


def test_a_forked_child_cannot_stop_what_its_parent_records(session: Session, actor: LinuxActor) -> None:
    pid = os.fork()
    if pid == 0:
        try:
            session.stop()
        except ForkedSession:
            os._exit(0)
        os._exit(1)
    _, status = os.waitpid(pid, 0)
    actor.getppid(2)
    assert (os.waitstatus_to_exitcode(status), session.parse_all()) == (0, 2)


def test_a_forked_child_is_refused_and_its_close_leaves_the_parent_recording(
    session: Session, actor: LinuxActor
) -> None:
    pid = os.fork()
    if pid == 0:
        try:
            session.parse_all()
        except ForkedSession:
            session.close()
            os._exit(0)
        os._exit(1)
    _, status = os.waitpid(pid, 0)
    actor.getppid(2)
    assert (os.waitstatus_to_exitcode(status), session.parse_all()) == (0, 2)
