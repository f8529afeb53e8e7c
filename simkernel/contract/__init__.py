"""What a kernel must do, and what a consumer must survive: run against any kernel, any consumer."""

from __future__ import annotations

from simkernel.contract.arm import Actor, Arm, LinuxArm, SimArm
from simkernel.contract.consumer import Consumer, ConsumerFactory, ConsumerSetup, OpenedRing
from simkernel.contract.consumer_suite import check_consumer
from simkernel.contract.linux_actor import ActorGone, LinuxActor
from simkernel.contract.suite import Report, check_kernel

__all__ = [
    "Actor",
    "ActorGone",
    "Arm",
    "Consumer",
    "ConsumerFactory",
    "ConsumerSetup",
    "LinuxActor",
    "LinuxArm",
    "OpenedRing",
    "Report",
    "SimArm",
    "check_consumer",
    "check_kernel",
]
