"""Scenarios of what was recorded: would yesterday's traffic have been lost with this watermark?"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from perfring.perfdata.traffic import payload_bytes, read_traffic
from simkernel.simulate.scenario import Scenario, ScenarioError
from simkernel.tasks import Sleep, Spend
from simkernel.workload import replay

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfring.perfdata.traffic import Traffic
    from simkernel.workload import Workload

__all__ = ["between_events", "recorded", "recorded_payloads", "recorded_programs", "recorded_traffic"]

_SECOND: Final = 1_000_000_000
_BUSY: Final = 25.0
_TAIL: Final = 0.001
"""Seconds behind the last record, so that it is part of the scenario."""
_RING_BYTES: Final = 512 * 1024
"""Of ``perfring record``."""


def recorded(
    path: str | os.PathLike[str], *, on_progress: Callable[[float], None] | None = None, page_size: int = 4096
) -> Scenario:
    """The scenario that plays a recording: its CPUs, its rate, its duration, and rings of 512 KiB.

    Change what is asked for by `with_settings`: ``with_settings(recorded("y.data"), {"pages": 8, "watermark": 4096})``.

    Args:
        path: a perf.data file, of perf or of perfring.
        on_progress: called now and then with the share that is read, from 0 to 1.
        page_size: bytes of a page.

    Raises:
        OSError, PerfDataError: as `perfring.perfdata.read_traffic`.
        ScenarioError: it is longer than a day, or of more CPUs or records than can be simulated.
    """
    name = os.fspath(path)
    traffic = recorded_traffic(name, on_progress=on_progress)
    cpus, duration = max(traffic.cpus) + 1, (traffic.end - traffic.start) / _SECOND + _TAIL
    return Scenario(
        name=os.path.basename(name),
        about=f"{len(traffic):,} records as they were recorded" + _but(traffic),
        pages=_RING_BYTES // page_size,
        page_size=page_size,
        cpus=cpus,
        event="bpf",
        pattern="recorded",
        recording=name,
        rate=len(traffic) / duration / cpus,
        duration=duration,
    )


def _but(traffic: Traffic) -> str:
    """What of the recording cannot be played, or not as it was."""
    found = [
        (traffic.lost, "were lost then, and cannot be played"),
        (traffic.unplaced, "tell no CPU, and are played on CPU 0"),
        (traffic.reshaped, "are smaller or larger than BPF output can be"),
        (traffic.bad_records, "make no sense"),
    ]
    damaged = "; the file is damaged or cut off, see `perfring read --summary`" if traffic.problems else ""
    return "".join(f"; {count:,} {words}" for count, words in found if count) + damaged


def recorded_traffic(path: str, *, on_progress: Callable[[float], None] | None = None) -> Traffic:
    """What the recording was like; read once, unless the file changes. Raises as `perfring.perfdata.read_traffic`."""
    found = os.stat(path)
    return _read(_Reading(path, found.st_mtime_ns, found.st_size, on_progress))


class _Reading:
    """A file as it is now, equal to the same file as it was then; what is called while reading makes no difference."""

    def __init__(self, path: str, modified: int, size: int, on_progress: Callable[[float], None] | None) -> None:
        self.path = path
        self.on_progress = on_progress
        self._key = (path, modified, size)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Reading) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)


@lru_cache(maxsize=1)
def _read(reading: _Reading) -> Traffic:
    return read_traffic(reading.path, on_progress=reading.on_progress)


def recorded_payloads(scenario: Scenario) -> list[int]:
    """The sizes of BPF output that the scenario's recording comes to. Raises as `recorded_programs`."""
    return [payload_bytes(size) for size in _traffic_of(scenario).sizes]


def recorded_programs(scenario: Scenario) -> list[Workload]:
    """What plays the scenario's recording, for each of its CPUs.

    Raises:
        ScenarioError: it has fewer CPUs than the recording.
    """
    traffic = _traffic_of(scenario)
    return [_program(traffic, cpu, scenario.duration) for cpu in range(scenario.cpus)]


def _program(traffic: Traffic, cpu: int, duration: float) -> Workload:
    records = sum(1 for _ in traffic.on(cpu))
    return replay(traffic.payloads(cpu), start=traffic.start, between=between_events(records / duration))


def between_events(rate: float) -> type[Sleep | Spend]:
    """What a task of a scenario does between two events; nobody looks at its switches.

    Computing is quicker to simulate than sleeping, but takes a step every few milliseconds: a task that computes for a
    day between two events would be simulated for hours.

    Args:
        rate: of its events, per second.
    """
    return Spend if rate >= _BUSY else Sleep


def _traffic_of(scenario: Scenario) -> Traffic:
    if scenario.recording is None:
        raise AssertionError(f"the scenario {scenario.name!r} has no recording")
    traffic = recorded_traffic(scenario.recording)
    if max(traffic.cpus) >= scenario.cpus:
        raise ScenarioError(f"the recording has records of CPU {max(traffic.cpus)}", key="cpus", value=scenario.cpus)
    return traffic
