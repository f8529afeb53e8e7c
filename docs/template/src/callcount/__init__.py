"""Counts which processes come by a tracepoint, and sleeps in between."""

from callcount.collector import Collector, collector_of

__all__ = ["Collector", "collector_of"]
