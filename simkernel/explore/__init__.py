"""Every interleaving of a small scenario: a reader of rings against writers that may come between any two of its steps.

    found = explore(my_reader, Scenario(ring_bytes=64, watermark=24, records=(16,) * 4, interrupts=(24,), pauses=1))
    assert found.ok, found

`Scenario` says what is written, and what may happen meanwhile; `explore` visits every state that a reader can meet
with it, and returns an `Exploration`: how many there are, and a shortest counterexample if a rule does not hold. The
ring is `simkernel.RingBuffer` itself, the reader any function that keeps to a `View`.

    scenario     what is written
    cpu          one ring, its writers in single steps, and the rules
    world        all CPUs, and what may happen next
    reading      the reader's side: a reader that can be gone back to
    search       breadth first
"""

from __future__ import annotations

from simkernel.explore.reading import ExploredMapping, View, waiting_reader
from simkernel.explore.scenario import Scenario, record_bytes
from simkernel.explore.search import Exploration, Step, Trace, explore

__all__ = [
    "Exploration",
    "ExploredMapping",
    "Scenario",
    "Step",
    "Trace",
    "View",
    "explore",
    "record_bytes",
    "waiting_reader",
]
