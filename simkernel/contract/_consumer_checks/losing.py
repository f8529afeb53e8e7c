"""Losses: those that a record tells of, and those that only read(2) knows."""

from __future__ import annotations

from simkernel.contract.consumer_suite import consumer_check
from simkernel.contract.rig import require
from simkernel.contract.stage import Stage

_TOO_MANY = 150
"""Samples, of which a ring of one page holds about a hundred."""


@consumer_check("K21")
def loss_told_by_a_record(stage: Stage) -> None:
    """The ring overflows three times, and each time a LOST tells of it before the next sample."""
    stage.start()
    for _ in range(3):
        stage.produce(_TOO_MANY)
        stage.collect("after a loss it must go on reading")
    stage.produce(40)
    stage.collect("after a loss it must go on reading")
    _require_balance(
        stage, "PERF_RECORD_LOST holds how many records were dropped, and is one of many ways to learn it (K21)"
    )


@consumer_check("K22")
def loss_followed_by_silence(stage: Stage) -> None:
    """The ring overflows, and nothing is ever written after that: there will be no LOST."""
    stage.start()
    stage.produce(_TOO_MANY)
    stage.collect("what found room must be delivered")
    _require_balance(
        stage,
        "drops followed by silence never become a LOST: ask read(2) of each event with PERF_FORMAT_LOST at the "
        "end (K22)",
    )


@consumer_check("K12", "K21")
def records_after_a_loss(stage: Stage) -> None:
    """Room was given back after a loss: the record that brings the LOST is the first of a new lap."""
    stage.start()
    stage.produce(_TOO_MANY)
    stage.collect("what found room must be delivered")
    for _ in range(3):
        stage.produce_later(0.01, 40)
        stage.collect("after a loss the ring goes on: LOST is a record of its own size, to be passed over")


def _require_balance(stage: Stage, words: str) -> None:
    stage.close_consumer()
    made, delivered = len(stage.watch.made), len(stage.samples)
    told = stage.consumer.lost
    require(
        delivered + told == made,
        f"{words}. {made} samples were made and {delivered} delivered, so {made - delivered} were lost; it says {told}",
    )
