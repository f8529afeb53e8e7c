"""A scenario: which rings, what happens in them, and who reads them how."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, NoReturn

from perfring.geometry import ring_data_bytes
from simkernel.foreign import shown, unprintable
from simkernel.releases import release_named
from simkernel.simulate.durations import is_number, parse_seconds
from simkernel.simulate.readers import READERS

__all__ = ["AUTO", "BURST_SPEED", "EVENTS", "PATTERNS", "Scenario", "ScenarioError"]

AUTO: Final = "auto"
"""The watermark that is the largest safe one for the scenario's records."""
EVENTS: Final = ("getppid", "page-fault", "bpf")
"""What is recorded: a tracepoint, minor page faults, or the output of a BPF program."""
PATTERNS: Final = ("steady", "random", "bursty", "recorded")
"""When: at equal distances, independently of each other, in bursts, or as it was recorded once."""
BURST_SPEED: Final = 10
"""How much faster than on average events come in a burst."""

_MOST_PAGES: Final = 1 << 12
_MOST_CPUS: Final = 256
_MOST_PAYLOAD: Final = 65_000
_MOST_EVENTS: Final = 10_000_000
"""Each is kept until the end, in some 350 bytes, and so is each look of the reader."""
_LEAST_RATE: Final = 1e-9
"""The time between two events of a lower one would end up as infinite."""
_MOST_SECONDS: Final = 86_400.0
_PAGE_SIZES: Final = (4096, 16384, 65536)
_MOST_RING_BYTES: Final = 1 << 30
"""Of all rings together: the simulated ones are real memory."""
_MOST_SIZES: Final = 1000
_MOST_KEY: Final = 40
_MOST_TEXT: Final = 1000


class ScenarioError(ValueError):
    """A scenario that has no meaning.

    Attributes:
        key: which of its settings; empty when it is about all of it.
        value: what it was set to.
        source: the file or the option it came from; empty when it was made in Python.
        problem: what is wrong with the value, and what to do.
    """

    def __init__(self, problem: str, *, key: str = "", value: object = None, source: str = "") -> None:
        self.problem = problem
        self.key = key
        self.value = value
        self.source = source
        named = key if key.isidentifier() and len(key) <= _MOST_KEY else shown(key)
        what = f"{named} is {shown(value)}: " if key else ""
        super().__init__(f"{source}: {what}{problem}" if source else f"{what}{problem}")

    def __reduce__(self) -> tuple[Callable[..., ScenarioError], tuple[str, str, object, str]]:
        # It may come back from a worker process, and exceptions are pickled by their text alone.
        return _made_again, (self.problem, self.key, self.value, self.source)

    def at(self, source: str) -> ScenarioError:
        """The same, with where it was written."""
        return ScenarioError(self.problem, key=self.key, value=self.value, source=source)


def _made_again(problem: str, key: str, value: object, source: str) -> ScenarioError:
    return ScenarioError(problem, key=key, value=value, source=source)


@dataclass(frozen=True, kw_only=True, slots=True)
class Scenario:
    """What to simulate. Every time may be given in seconds or as a text such as ``"10ms"``, and is kept in seconds.

    Attributes:
        name: what it is called.
        about: one sentence for people.
        pages: data pages of each ring, rounded up to a power of two (K1).
        watermark: bytes (K7), or ``"auto"`` for the largest that is safe for these records.
        page_size: bytes of a page.
        cpus: how many CPUs have a ring, and a task that writes into it. The reader has another CPU to itself.
        event: one of `EVENTS`.
        payload: for ``event="bpf"`` the bytes that the program puts out, or a mix as ``{bytes: weight}``.
        pattern: one of `PATTERNS`.
        rate: events per second on each CPU, on average.
        recording: for ``pattern="recorded"`` a perf.data file: each of its records is played on its CPU, at its time,
            as BPF output of its size. `recorded` makes such a scenario; its ``rate`` is for the advice alone.
        burst: events in one burst, for ``pattern="bursty"``; they come `BURST_SPEED` times as fast as on average.
        lifetime: the tasks exit after so long, and the events are those of the tasks; None: the events of the CPUs.
        reader: one of `simkernel.simulate.READERS`.
        start: so long after the events were enabled the reader turns to the rings for the first time.
        latency: the reader looks into the rings after so long without a wakeup; None: it waits for the watermark alone.
        period: the reader looks so often and never waits for a wakeup; None: it waits.
        delay: each wakeup comes so late to the reader, because other tasks have its CPU.
        work: what a record costs the reader.
        duration: how long the simulation is, in virtual seconds.
        seed: decides what Linux leaves open, and the random streams.
        kernel: the release that is simulated.

    Raises:
        ScenarioError: a value that has no meaning, or does not go with another one.
    """

    name: str = "scenario"
    about: str = ""
    pages: int = 8
    watermark: int | str = AUTO
    page_size: int = 4096
    cpus: int = 2
    event: str = "getppid"
    payload: int | Mapping[int, float] | None = None
    pattern: str = "steady"
    rate: float = 10_000.0
    recording: str | None = None
    burst: int | None = None
    lifetime: float | None = None
    reader: str = "perfring"
    start: float = 0.0
    latency: float | None = None
    period: float | None = None
    delay: float = 0.0
    work: float = 0.0
    duration: float = 1.0
    seed: int = 0
    kernel: str = "6.18"

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None and field.default is None:
                continue
            try:
                object.__setattr__(self, field.name, _CHECKS[field.name](value))
            except ValueError as error:
                _refuse(field.name, value, str(error))
        self._check_together()

    def _check_together(self) -> None:
        self._check_recording()
        if (self.payload is not None) != (self.event == "bpf" and self.recording is None):
            what = "it goes with event = 'bpf' alone" if self.payload is not None else "'bpf' needs one, such as 64"
            _refuse("payload", self.payload, what)
        if (self.burst is not None) != (self.pattern == "bursty"):
            what = "it goes with pattern = 'bursty' alone" if self.burst is not None else "'bursty' needs one, as 100"
            _refuse("burst", self.burst, what)
        if self.lifetime is not None and self.event == "bpf":
            _refuse(
                "lifetime", self.lifetime, "BPF output is recorded by CPU and not by task; leave one of the two out"
            )
        if self.period is not None and self.latency is not None:
            _refuse("latency", self.latency, f"a reader that looks every {self.period:g} s anyway needs no bound")
        if self.period is not None and self.delay:
            _refuse("delay", self.delay, "wakeups come late, and a reader with a period waits for none")
        if self.start >= self.duration:
            _refuse(
                "start", self.start, f"the scenario is over by then: it must be below its duration, {self.duration:g} s"
            )
        if self.period is not None and self.period >= self.duration:
            _refuse("period", self.period, f"it never looks: it must be below the duration, {self.duration:g} s")
        self._check_extent()

    def _check_recording(self) -> None:
        if (self.recording is not None) != (self.pattern == "recorded"):
            what = (
                "it goes with pattern = 'recorded' alone" if self.recording is not None else "'recorded' needs a file"
            )
            _refuse("recording", self.recording, what)
        if self.recording is not None and self.event != "bpf":
            _refuse("event", self.event, "a recording is played as BPF output: it must be 'bpf'")
        if self.recording is not None and self.payload is not None:
            _refuse("payload", self.payload, "the recording has the sizes; leave it out")

    def _check_extent(self) -> None:
        rings = self.ring_bytes * self.cpus
        if rings > _MOST_RING_BYTES:
            problem = f"rings of {rings:,} bytes in all are more than {_MOST_RING_BYTES:,}: lower it, or the CPUs"
            _refuse("pages", self.pages, problem)
        events = self.rate * self.duration * self.cpus
        if events > _MOST_EVENTS:
            mend = "lower the rate, the duration or the number of CPUs"
            _refuse("rate", self.rate, f"{events:.3g} events in all are more than {_MOST_EVENTS:,}: {mend}")
        for key in ("period", "latency"):
            interval = getattr(self, key)
            if interval is not None and self.duration / interval > _MOST_EVENTS:
                looks = f"{self.duration / interval:.3g} looks in all are more than {_MOST_EVENTS:,}"
                _refuse(key, interval, f"{looks}: raise it, or lower the duration")

    @property
    def ring_bytes(self) -> int:
        """Data bytes of each ring."""
        return ring_data_bytes(self.pages, self.page_size)


def _refuse(key: str, value: object, problem: str) -> NoReturn:
    raise ScenarioError(problem, key=key, value=value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("it must be a text, in quotes")
    if len(value) > _MOST_TEXT:
        raise ValueError(f"it must have {_MOST_TEXT} characters at most, and has {len(value):,}")
    if found := unprintable(value):
        raise ValueError(f"it must have no control characters, and has {found!r}")
    return value


def _path(value: object) -> str:
    if not _text(value):
        raise ValueError("it must be the path of a file")
    return str(value)


def _one_of(*words: str) -> Callable[[object], str]:
    def check(value: object) -> str:
        if value not in words:
            raise ValueError(f"it must be one of {', '.join(words)}")
        return str(value)

    return check


def _whole(least: int, most: int) -> Callable[[object], int]:
    def check(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError(f"it must be a whole number from {least} to {most}")
        return value

    return check


def _seconds(*, least: float = 0.0, open_below: bool = False) -> Callable[[object], float]:
    def check(value: object) -> float:
        seconds = parse_seconds(value)
        if seconds > _MOST_SECONDS or seconds < least or (open_below and not seconds):
            raise ValueError(f"it must be a time {'above' if open_below else 'from'} {least:g} s, up to a day")
        return seconds

    return check


def _page_size(value: object) -> int:
    if isinstance(value, bool) or value not in _PAGE_SIZES or not isinstance(value, int):
        raise ValueError(f"it must be one of {', '.join(map(str, _PAGE_SIZES))}")
    return value


def _watermark(value: object) -> int | str:
    if value == AUTO:
        return AUTO
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value < 1 << 32:
        raise ValueError("it must be 'auto', or a whole number of bytes from 1 to 4294967295")
    return value


def _rate(value: object) -> float:
    if not is_number(value) or value <= 0:
        raise ValueError("it must be a number of events per second above 0")
    if value < _LEAST_RATE:
        raise ValueError(f"it must be {_LEAST_RATE:g} events per second or more, one in 30 years")
    return float(value)


def _payload(value: object) -> int | Mapping[int, float]:
    if not isinstance(value, Mapping):
        return _whole(0, _MOST_PAYLOAD)(value)
    if not 0 < len(value) <= _MOST_SIZES:
        raise ValueError(f"a mix of payloads must have from one to {_MOST_SIZES} sizes, as {{64 = 9, 4096 = 1}}")
    return {_payload_size(size): _weight(weight) for size, weight in value.items()}


def _payload_size(size: object) -> int:
    # The keys of a TOML table are texts.
    if isinstance(size, str) and size.isdecimal():
        size = int(size)
    try:
        return _whole(0, _MOST_PAYLOAD)(size)
    except ValueError:
        raise ValueError(f"the size {shown(size)} in it must be a whole number from 0 to {_MOST_PAYLOAD}") from None


def _weight(weight: object) -> float:
    if not is_number(weight) or weight <= 0:
        raise ValueError(f"the weight {shown(weight)} in it must be a number above 0")
    return float(weight)


def _kernel(value: object) -> str:
    release_named(_text(value))
    return str(value)


_CHECKS: Final[dict[str, Callable[[object], Any]]] = {
    "name": _text,
    "about": _text,
    "pages": _whole(1, _MOST_PAGES),
    "watermark": _watermark,
    "page_size": _page_size,
    "cpus": _whole(1, _MOST_CPUS),
    "event": _one_of(*EVENTS),
    "payload": _payload,
    "pattern": _one_of(*PATTERNS),
    "rate": _rate,
    "recording": _path,
    "burst": _whole(1, 1_000_000),
    "lifetime": _seconds(open_below=True),
    "reader": _one_of(*READERS),
    "start": _seconds(),
    "latency": _seconds(least=0.001),
    "period": _seconds(open_below=True),
    "delay": _seconds(),
    "work": _seconds(),
    "duration": _seconds(least=0.001),
    "seed": _whole(0, (1 << 63) - 1),
    "kernel": _kernel,
}
