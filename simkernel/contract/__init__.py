"""What a kernel must do, and what a consumer must survive: run against any kernel, any consumer."""

from __future__ import annotations

from simkernel.contract.linux_actor import ActorGone, LinuxActor

__all__ = ["ActorGone", "LinuxActor"]
