"""Event-driven Linux perf rings: the kernel wakes the reader by a byte watermark."""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"
