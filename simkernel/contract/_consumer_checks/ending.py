"""Tasks that exit, and the end of the consumer itself."""

from __future__ import annotations

from simkernel.contract.consumer_suite import consumer_check
from simkernel.contract.rig import require
from simkernel.contract.stage import Stage

_CROSSING = 40
_MOST_READS = 20
_MOST_WAITS = 2_000


def _read_to_the_end(stage: Stage, words: str) -> None:
    for _ in range(_MOST_READS):
        if not stage.read(words):
            return
    raise AssertionError(f"{words}. It came back {_MOST_READS} times without saying that nothing will ever come")


@consumer_check("K19")
def data_of_a_task_that_has_exited(stage: Stage) -> None:
    """A few records, below the watermark, and then the task is gone."""
    stage.start()
    stage.later(0.01, lambda: stage.produce(3))
    stage.later(0.02, stage.actors[0].exit)
    words = "POLLHUP comes instead of POLLIN although there is unread data: drain before the end (K19)"
    _read_to_the_end(stage, words)
    stage.verify(words)


@consumer_check("K19")
def end_of_the_only_task(stage: Stage) -> None:
    """The task exits, and nothing is left to wait for."""
    stage.start()
    stage.later(0.01, stage.actors[0].exit)
    _read_to_the_end(
        stage,
        "POLLHUP stays for ever: take that fd out of the wait, and say that nothing will ever come when none is "
        "left (K19)",
    )


@consumer_check("K19", first=(0, 1))
def end_of_one_of_two_tasks(stage: Stage, first: int) -> None:
    """Two tasks write into one ring; one exits, the other goes on a second later."""
    stage.start(tasks=2)
    stage.later(0.01, stage.actors[first].exit)
    stage.produce_later(1.0, _CROSSING, actor=1 - first)
    words = (
        "POLLHUP belongs to an event and not to the ring, which goes on while another event lives: take that fd "
        "out of the wait, and let a live one of the same ring stand for it (K19)"
    )
    before = stage.watch.waits
    stage.collect(words)
    asked = stage.watch.waits - before
    require(asked < _MOST_WAITS, f"{words}. It asked the kernel {asked} times in a second")
    stage.actors[1 - first].exit()
    _read_to_the_end(stage, f"{words}. Now the other one has exited, too")


@consumer_check("K19")
def close_twice(stage: Stage) -> None:
    """close() again does nothing, and a read afterwards says that nothing will ever come."""
    stage.start()
    stage.close_consumer()
    stage.close_consumer()
    words = "after close() a read must say that nothing will ever come"
    require(not stage.read(words), words)


@consumer_check("K26", "K45")
def close_leaves_nothing_open(stage: Stage) -> None:
    """Whatever the consumer opened."""
    stage.prepare()
    stage.base = frozenset(stage.kernel.descriptors())
    stage.start()
    stage.produce(_CROSSING)
    stage.collect("it must deliver what is there")
    stage.close_consumer()
    left = {fd: what for fd, what in stage.kernel.descriptors().items() if fd not in stage.base}
    require(not left, f"close() left descriptors open: {left}")
    mapped = len(stage.kernel.perf.rings)
    require(not mapped or stage.setup.was_asked, f"close() left {mapped} rings mapped")
