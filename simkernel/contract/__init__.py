"""What a kernel must do, and what a consumer must survive: run against any kernel, any consumer."""

from __future__ import annotations

from simkernel.contract.consumer import Consumer, ConsumerFactory, ConsumerSetup, OpenedRing
from simkernel.contract.consumer_suite import check_consumer
from simkernel.contract.linux_actor import ActorGone, LinuxActor

__all__ = [
    "ActorGone",
    "Consumer",
    "ConsumerFactory",
    "ConsumerSetup",
    "LinuxActor",
    "OpenedRing",
    "check_consumer",
]
