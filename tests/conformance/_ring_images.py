"""Rings as they were found on a real kernel: the bytes between tail and head, and what it takes to read them.

A file holds one session's rings, compressed: a line of JSON, and behind it the unread bytes of each ring. A backward
ring's bytes are those from head on, newest record first (K34).
"""

from __future__ import annotations

import json
import lzma
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from perfring.abi import PerfEventAttr
from perfring.geometry import ring_data_bytes
from perfring.plan import EventKind, EventSpec, SessionPlan
from perfring.tracepoint import parse_format

__all__ = ["FORMAT", "RINGS", "ImageEvent", "RingImage", "SessionImage", "load", "names"]

FORMAT: Final = "perfring rings 1"
RINGS: Final = Path(__file__).parent / "rings"
_SUFFIX: Final = ".ring.xz"


@dataclass(frozen=True)
class ImageEvent:
    """One event of a ring: its attr as bytes, and its tracepoint's format file, if it has one."""

    name: str
    kind: str
    id: int
    attr: bytes
    system: str = ""
    format: str = ""

    def spec(self) -> EventSpec:
        format_ = parse_format(self.format, system=self.system) if self.format else None
        return EventSpec(
            name=self.name, kind=EventKind(self.kind), attr=PerfEventAttr.unpack(self.attr), format=format_
        )


@dataclass(frozen=True)
class RingImage:
    """One ring: its events, the leader first; its unread bytes, and the position at which they begin."""

    cpu: int
    position: int
    events: tuple[ImageEvent, ...]
    stream: bytes


@dataclass(frozen=True)
class SessionImage:
    """All rings of a session.

    Attributes:
        release: of the kernel that wrote them.
        clock_id: the clock of their times.
        page_count: data pages of each ring.
        overwrite: backward rings, of an `OverwriteSession`.
        lost: what read(2) of the events said (K22).
    """

    release: str
    page_size: int
    clock_id: int
    page_count: int
    overwrite: bool
    lost: int
    rings: tuple[RingImage, ...]

    @property
    def ring_bytes(self) -> int:
        return ring_data_bytes(self.page_count, self.page_size)

    def plan(self) -> SessionPlan:
        """A plan that opens such rings again."""
        leader, *events = (event.spec() for event in self.rings[0].events)
        return SessionPlan(
            page_count=self.page_count,
            leader=leader,
            events=tuple(events),
            wakeup_watermark=1,
            cpus=tuple(ring.cpu for ring in self.rings),
            overwrite=self.overwrite,
            clock_id=self.clock_id,
        )

    def save(self, path: Path) -> None:
        head: dict[str, Any] = {"format": FORMAT, **vars(self), "rings": [_ring_as_json(ring) for ring in self.rings]}
        body = b"".join(ring.stream for ring in self.rings)
        path.write_bytes(lzma.compress(json.dumps(head).encode() + b"\n" + body, preset=9 | lzma.PRESET_EXTREME))


def _ring_as_json(ring: RingImage) -> dict[str, Any]:
    events = [{**vars(event), "attr": event.attr.hex()} for event in ring.events]
    return {"cpu": ring.cpu, "position": ring.position, "bytes": len(ring.stream), "events": events}


@lru_cache
def load(name: str) -> SessionImage:
    """Reads a recorded image.

    Raises:
        ValueError: the file is of another format, with what it says of itself.
    """
    line, _, body = lzma.decompress((RINGS / (name + _SUFFIX)).read_bytes()).partition(b"\n")
    head: dict[str, Any] = json.loads(line)
    if head.pop("format", None) != FORMAT:
        raise ValueError(f"{name} is not of the format {FORMAT!r}: it begins with {line[:60]!r}")
    rings, offset = [], 0
    for ring in head.pop("rings"):
        events = tuple(ImageEvent(**{**event, "attr": bytes.fromhex(event["attr"])}) for event in ring["events"])
        stream = body[offset : offset + ring["bytes"]]
        rings.append(RingImage(ring["cpu"], ring["position"], events, stream))
        offset += ring["bytes"]
    return SessionImage(**head, rings=tuple(rings))


def names(*, overwrite: bool) -> list[str]:
    """The recorded images of one kind."""
    found = sorted(path.name.removesuffix(_SUFFIX) for path in RINGS.glob("*" + _SUFFIX))
    return [name for name in found if load(name).overwrite is overwrite]
