"""When the kernel wakes a consumer, and when it does not although there is something to read."""

from __future__ import annotations

from simkernel.contract.consumer_suite import consumer_check
from simkernel.contract.rig import Unavailable, require
from simkernel.contract.stage import SAMPLE_BYTES, Stage

_CROSSING = 40
"""Samples that pass the watermark of 1024 bytes once, and leave most of the ring free."""
_MOST_WAITS = 2_000


@consumer_check("K7")
def wakeup_during_the_wait(stage: Stage) -> None:
    """The plain case: it waits, the watermark is passed, it reads."""
    stage.start()
    stage.produce_later(0.001, _CROSSING)
    stage.collect("a wakeup must end the wait, and what is there then be read")


@consumer_check("K14")
def wakeup_between_two_waits(stage: Stage) -> None:
    """A wakeup that comes while the consumer is elsewhere is in the latch; whoever asks takes it."""
    stage.start(pages=4)
    stage.read("with nothing to read it must come back after its timeout", timeout=0.01)
    for _ in range(4):
        stage.produce(_CROSSING)
        stage.collect(
            "a wakeup that came between two waits was lost: whatever asks a ring (poll, epoll_ctl, epoll_wait) "
            "takes its readiness, so each such question must be followed by a look into the ring (K14)"
        )


@consumer_check("K15")
def data_before_the_first_wait(stage: Stage) -> None:
    """Records come between the making of the consumer and its first wait."""
    stage.start()
    stage.produce(_CROSSING)
    stage.collect(
        "it waited for data that was already there: to register an fd takes its wakeup, so after epoll ADD it "
        "must drain once (K15)"
    )


@consumer_check("K15")
def data_before_the_consumer(stage: Stage) -> None:
    """Records, and their wakeup, are older than the consumer; it registers when they are there."""
    stage.prepare()
    stage.setup.rings  # noqa: B018
    stage.setup.was_asked = False
    stage.produce(_CROSSING)
    stage.start()
    if not stage.setup.was_asked:
        raise Unavailable("the consumer opens its rings itself")
    stage.collect(
        "it waited for data that was already there: to register an fd takes its wakeup, so after epoll ADD it "
        "must drain once (K15)"
    )


@consumer_check("K18")
def wakeup_of_an_empty_ring(stage: Stage) -> None:
    """Records that come just before it looks: drained at once, and their wakeup is then reported over an empty ring."""
    stage.start(pages=4)
    stage.produce(_CROSSING)
    left = [_CROSSING]

    def once() -> None:
        stage.produce(left.pop() if left else 0)

    words = "a wakeup may find the ring empty, as its data was drained before: that is no end and no error (K18)"
    with stage.at_each_look(once):
        stage.collect(words)
    stage.produce_later(0.01, _CROSSING)
    stage.collect(words)


@consumer_check("K7")
def timeout_with_nothing_to_read(stage: Stage) -> None:
    """The time is over three times, and nothing has come; then something does."""
    stage.start()
    words = (
        "a timeout is no end: return nothing, an empty list, and None only when nothing will ever come, for below the "
        "watermark nobody is woken, and the next record may come at any time (K7)"
    )
    for _ in range(3):
        require(stage.read(words, timeout=0.25), words)
    stage.produce_later(0.01, _CROSSING)
    stage.collect(words)


@consumer_check("K14")
def waiting_without_spinning(stage: Stage) -> None:
    """A virtual second passes in which nothing happens."""
    stage.start()
    stage.produce_later(1.0, _CROSSING)
    before = stage.watch.waits
    words = "while nothing happens it must sleep in one wait"
    stage.collect(words)
    asked = stage.watch.waits - before
    require(asked < _MOST_WAITS, f"{words}. It asked the kernel {asked} times in a second")


@consumer_check("K7")
def timeout_drains_below_the_watermark(stage: Stage) -> None:
    """A few records, far below the watermark, which will never wake anybody."""
    stage.start()
    words = "when the time is over it must look all the same: what lies below the watermark wakes nobody (K7)"
    stage.read(words, timeout=0.25)
    stage.produce(3)
    stage.collect(words, timeout=0.25, reads=6)


@consumer_check("K45")
def close_during_the_wait(stage: Stage) -> None:
    """Another thread closes the consumer while it waits; closing an fd would wake nobody."""
    stage.start()
    stage.later(0.01, stage.close_consumer)
    words = "close() must end a read that waits: closing perf fd, mapping or epoll wakes nobody, an eventfd does (K45)"
    for _ in range(10):
        if not stage.read(words):
            return
    raise AssertionError(f"{words}. It came back ten times without saying that nothing will ever come")


@consumer_check("K8", "K11", "K12", excess=(0, 1, 4096))
def watermark_that_can_never_be_passed(stage: Stage, excess: int) -> None:
    """The watermark is the whole ring, or more."""
    stage.prepare(watermark=4096 + excess)
    try:
        stage.start()
    except AssertionError as refused:
        if isinstance(refused.__cause__, ValueError):
            return
        raise
    stage.produce_later(0.01, 200)
    stage.collect(
        f"a watermark of {4096 + excess} bytes is never passed in a ring of 4096, which is silent once it is "
        "full: refuse it with a ValueError, or look into the ring from time to time (K11, K12)"
    )


@consumer_check("K10")
def events_that_defeat_the_watermark(stage: Stage) -> None:
    """Its own rings: a redirected event without the flag wakes it at each sample."""
    stage.start(pages=8, watermark=8192)
    stage.require_own_rings()
    events = [str(event) for event in stage.kernel.perf.events if event.ring is not None and not event.attr.watermark]
    stage.produce(400)
    stage.read("it must read what its events wrote")
    most = 400 * 2 * SAMPLE_BYTES // 8192 + 1
    require(
        stage.watch.wakeups <= most,
        f"400 samples woke it {stage.watch.wakeups} times with a watermark of 8192 bytes: an event that is "
        "redirected into the ring must carry the watermark flag, too, or it signals at each sample (K10); "
        f"without it are {events}",
    )
