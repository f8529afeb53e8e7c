from __future__ import annotations

import asyncio

import pytest

from perfring.batch import Reason
from perfring.errors import SessionBusy, SessionClosed
from tests.unit._fake_kernel import Rings, names


def interrupt() -> None:
    raise KeyboardInterrupt


def waiting(rings: Rings) -> Rings:
    """A reader that has had its first look and would wait now."""
    rings.next(timeout=0)
    rings.kernel.asked.clear()
    return rings


def test_whatever_was_asked_by_registering_is_drained_before_the_first_wait() -> None:
    rings = Rings(2)
    rings.write(1, wake=True)
    rings.write(2, cpu=1, wake=True)
    batch = rings.next()
    assert (names(batch), batch.reason) == (["1", "2"], Reason.START)


def test_a_wakeup_of_one_ring_drains_all() -> None:
    rings = waiting(Rings(2))
    rings.write(1, wake=True)
    rings.write(2, cpu=1)
    batch = rings.next()
    assert (names(batch), batch.reason) == (["1", "2"], Reason.WAKEUP)


def test_a_timeout_is_announced_behind_the_data() -> None:
    rings = waiting(Rings())
    rings.write(1)
    first, second = rings.next(timeout=1), rings.next(timeout=1)
    assert [(names(batch), batch.reason) for batch in (first, second)] == [
        (["1"], Reason.TIMEOUT),
        ([], Reason.TIMEOUT),
    ]


def test_a_deadline_comes_although_every_wait_finds_a_wakeup() -> None:
    rings = waiting(Rings())
    rings.kernel.on_wait = lambda: rings.write(1, wake=True)
    assert [rings.next(timeout=0).reason for _ in range(2)] == [Reason.TIMEOUT] * 2
    rings.kernel.on_wait = rings.wake
    assert len(rings.next(timeout=0)) == 0


def test_a_wait_that_the_kernel_ended_is_no_timeout() -> None:
    rings = Rings()
    rings.kernel.on_wait = rings.wake
    rings.next(timeout=0)
    assert rings.reader.timeouts == 0


def test_the_latency_bound_comes_before_a_later_timeout() -> None:
    rings = waiting(Rings())
    rings.write(1)
    before = rings.kernel.now
    batch = rings.next(timeout=5, max_latency=2)
    assert (batch.reason, rings.kernel.now - before, rings.reader.timeouts) == (Reason.LATENCY, 2 * 10**9, 2)


def test_a_timeout_comes_before_a_later_latency_bound() -> None:
    rings = waiting(Rings())
    before = rings.kernel.now
    batch = rings.next(timeout=1, max_latency=2)
    assert (batch.reason, rings.kernel.now - before) == (Reason.TIMEOUT, 10**9)


def test_a_look_at_the_condition_is_no_drain_and_no_timeout() -> None:
    rings = waiting(Rings())
    rings.write(1)
    looks = iter([False, False, True])
    before = rings.reader.timeouts
    batch = rings.reader.next_batch(timeout=None, max_latency=None, tick=0.1, until=lambda: next(looks))
    assert (len(batch), rings.reader.timeouts, rings.drains[0].statistics.records) == (0, before, 0)


def test_a_flush_is_announced_once_behind_the_data() -> None:
    rings = waiting(Rings())
    rings.write(1)
    rings.reader.flush()
    told = [rings.next(timeout=0) for _ in range(3)]
    assert [(len(batch), batch.reason) for batch in told] == [
        (1, Reason.FLUSH),
        (0, Reason.FLUSH),
        (0, Reason.TIMEOUT),
    ]


def test_a_flush_during_the_sweep_of_another_is_announced_as_well() -> None:
    rings = waiting(Rings())
    rings.write(1)
    rings.reader.flush()
    rings.next()
    rings.reader.flush()
    assert [rings.next().reason for _ in range(2)] == [Reason.FLUSH] * 2


def test_a_flush_whose_waker_somebody_else_cleared_is_announced() -> None:
    rings = waiting(Rings())
    rings.reader.flush()
    rings.waker.clear()
    assert rings.next().reason is Reason.FLUSH


def test_a_flush_whose_reader_was_interrupted_is_announced_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    rings = waiting(Rings())
    rings.reader.flush()
    with monkeypatch.context() as patch:
        patch.setattr(rings.drains[0], "head", interrupt)
        with pytest.raises(KeyboardInterrupt):
            rings.next()
    assert rings.next().reason is Reason.FLUSH


def test_a_stop_whose_waker_somebody_else_cleared_ends_the_reader() -> None:
    rings = waiting(Rings())
    rings.reader.stop()
    rings.waker.clear()
    assert rings.next().reason is Reason.END


def test_stop_disables_and_ends_behind_the_data_for_ever() -> None:
    rings = waiting(Rings())
    rings.write(1)
    rings.reader.stop()
    told = [rings.next() for _ in range(3)]
    assert [(len(batch), batch.reason) for batch in told] == [(1, Reason.END), (0, Reason.END), (0, Reason.END)]
    assert rings.disabled == 1


def test_the_end_releases_what_is_younger_than_its_beginning() -> None:
    rings = waiting(Rings())
    rings.write(10**12)
    rings.reader.stop()
    assert names(rings.next()) == [str(10**12)]


def test_rings_that_all_ended_end_a_reader_that_did_not_see_it() -> None:
    rings = waiting(Rings(2))
    for drain in rings.drains:
        drain.ended = True
    assert rings.next().reason is Reason.END


def test_one_ring_that_ended_does_not_end_the_reader() -> None:
    rings = waiting(Rings(2))
    rings.drains[0].ended = True
    assert rings.next(timeout=0).reason is Reason.TIMEOUT


def test_the_last_hangup_ends_the_reader_with_all_data() -> None:
    rings = waiting(Rings())
    rings.write(1, wake=True)
    rings.kernel.gone.add(100)  # k19: hangup instead of readiness
    assert [(len(batch), batch.reason) for batch in (rings.next(), rings.next())] == [(1, Reason.END), (0, Reason.END)]


def test_what_an_interrupted_wait_had_asked_is_drained_by_the_next() -> None:
    rings = waiting(Rings())
    rings.write(1, wake=True)

    def ask_and_be_interrupted() -> None:
        rings.kernel.on_wait = lambda: None
        rings.kernel.ask(100)
        raise KeyboardInterrupt

    rings.kernel.on_wait = ask_and_be_interrupted
    with pytest.raises(KeyboardInterrupt):
        rings.next()
    assert names(rings.next()) == ["1"]


def test_what_an_interrupted_sweep_had_left_is_drained_by_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    rings = waiting(Rings())
    rings.write(1, wake=True)
    with monkeypatch.context() as patch:
        patch.setattr(rings.drains[0], "head", interrupt)
        with pytest.raises(KeyboardInterrupt):
            rings.next()
    assert names(rings.next()) == ["1"]


def test_an_interrupted_reader_leaves_no_epoll_open(monkeypatch: pytest.MonkeyPatch) -> None:
    rings = waiting(Rings())
    monkeypatch.setattr(rings.kernel, "on_wait", interrupt)
    with pytest.raises(KeyboardInterrupt):
        rings.next()
    assert [epoll.closed for epoll in rings.kernel.epolls] == [True]


def test_what_is_not_in_good_hands_comes_again() -> None:
    rings = Rings()
    rings.write(1)
    rings.reader.next_batch(timeout=0, max_latency=None)
    assert names(rings.next(timeout=0)) == ["1"]


def test_what_was_taken_back_comes_before_the_end() -> None:
    rings = Rings()
    rings.reader.stop()
    while rings.next():
        pass
    rings.write(1)
    rings.sweeper.order.hand_out(next(rings.sweeper.sweep(everything=True)))
    assert [len(rings.next()) for _ in range(2)] == [1, 0]


def test_the_role_is_taken_once() -> None:
    rings = Rings()
    with pytest.raises(SessionBusy, match="K17"):
        rings.reader.alone(rings.reader.alone, list)
    assert rings.reader.alone(list) == []


def test_a_closed_reader_says_closed_and_closes_its_epoll_and_waker() -> None:
    rings = waiting(Rings())
    assert rings.reader.close()
    assert rings.reader.close()
    with pytest.raises(SessionClosed):
        rings.next()
    assert rings.kernel.epolls[0].closed
    assert rings.waker.closed


def test_flush_and_stop_of_a_closed_reader_touch_no_waker() -> None:
    rings = Rings()
    rings.reader.close()
    rings.reader.flush()
    rings.reader.stop()


def test_a_close_in_the_wait_of_this_thread_is_put_off_and_ends_it() -> None:
    rings = waiting(Rings())
    answers = list[bool]()
    rings.kernel.on_wait = lambda: answers.append(rings.reader.close())
    with pytest.raises(SessionClosed):
        rings.next()
    assert (answers, rings.waker.closed) == ([False], False)


def test_a_stream_of_a_closed_reader_just_ends() -> None:
    rings = Rings()
    rings.reader.close()

    async def read() -> int:
        return len([batch async for batch in rings.reader.stream(max_latency=None)])

    assert asyncio.run(read()) == 0
