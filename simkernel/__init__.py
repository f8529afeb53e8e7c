"""A simulated Linux kernel for perf rings, in virtual time, behind the same seam as the real one."""

from __future__ import annotations

__all__: list[str] = []
