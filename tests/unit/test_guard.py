from __future__ import annotations

import threading
from contextlib import suppress
from typing import NoReturn

import pytest

from perfring.errors import SessionClosed
from perfring.guard import Guard


def test_closing_releases_and_refuses_what_comes_later() -> None:
    released: list[str] = []
    guard = Guard(lambda: released.append("now"))
    guard.close()
    with pytest.raises(SessionClosed):
        guard.call(released.append, "touched")
    assert released == ["now"]


def test_a_close_by_the_thread_that_holds_is_put_off_until_it_lets_go() -> None:
    released: list[str] = []
    guard = Guard(lambda: released.append("now"))

    def touch() -> list[str]:
        guard.call(guard.close)
        return list(released)

    assert (guard.call(touch), released) == ([], ["now"])


def test_a_close_that_was_put_off_happens_although_the_block_fails() -> None:
    released: list[str] = []
    guard = Guard(lambda: released.append("now"))

    def fail() -> NoReturn:
        guard.close()
        raise ZeroDivisionError

    with suppress(ZeroDivisionError):
        guard.call(fail)
    assert released == ["now"]


def test_a_close_from_another_thread_waits_for_the_one_that_holds() -> None:
    order: list[str] = []
    guard = Guard(lambda: order.append("released"))
    closer = threading.Thread(target=guard.close)

    def touch() -> None:
        closer.start()
        closer.join(0.01)
        order.append("touched")

    guard.call(touch)
    closer.join()
    assert order == ["touched", "released"]


def test_who_holds_closes_for_the_one_who_waits_when_it_lets_go() -> None:
    guard = Guard(lambda: None)
    closer = threading.Thread(target=guard.close)

    def touch() -> None:
        closer.start()
        while not guard.wanted:
            closer.join(0.001)

    guard.call(touch)
    with pytest.raises(SessionClosed):
        guard.call(pytest.fail, "touched")
    closer.join()


def test_an_interrupted_release_goes_on_with_the_next_close() -> None:
    steps = iter([KeyboardInterrupt(), None])

    def release() -> None:
        if error := next(steps):
            raise error

    guard = Guard(release)
    with pytest.raises(KeyboardInterrupt):
        guard.close()
    assert guard.closed
    guard.close()
    assert list(steps) == []


def test_a_close_inside_the_release_does_not_begin_it_again() -> None:
    calls: list[str] = []

    def release() -> None:
        calls.append("release")
        guard.close()

    guard = Guard(release)
    guard.close()
    assert calls == ["release"]
