"""A session on served rings, all ways of reading it, and the account of every byte that it was given."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, contextmanager, suppress
from functools import lru_cache
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self, cast

from perfring.batch import Batch, Reason
from perfring.errors import BadRecord, RawDataError
from perfring.overwrite import OverwriteSession
from perfring.records import Record, Sample
from perfring.session import Session
from perfring.sideband import Lost
from simkernel import aio
from simkernel.contract.raw import HEADER
from tests.conformance._image_kernel import ImageKernel, ServedRing
from tests.conformance._mutations import split
from tests.conformance._ring_images import SessionImage, load

if TYPE_CHECKING:
    from simkernel.kernel import SimKernel

__all__ = ["WAYS", "Account", "RingRig", "bounded", "bytes_between", "snapshot_of", "sound_reading", "tiles"]

U64: Final = (1 << 64) - 1


class EndlessLoop(AssertionError):
    """More calls than the bytes at hand could cost."""


@contextmanager
def bounded(size: int) -> Iterator[None]:
    """Ends a body that makes far more calls than reading ``size`` bytes takes, by count, not by time."""
    left = 100_000 + 60 * size

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise EndlessLoop(f"{size} bytes, and no end")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        yield
    finally:
        sys.setprofile(before)


class Tile(NamedTuple):
    """A stretch of the stream that comes out as one record, or one bad record."""

    position: int
    size: int


def tiles(stream: bytes, start: int) -> list[Tile]:
    """What has to come of a stream, told by its headers alone (K5): records, and then perhaps a rest."""
    found, offset = [], 0
    while offset < len(stream):
        left = len(stream) - offset
        size = HEADER.unpack_from(stream, offset)[2] if left >= HEADER.size else 0
        if size < HEADER.size or size % 8 or size > left:
            size = left
        found.append(Tile((start + offset) & U64, size))
        offset += size
    return found


def bytes_between(ring: ServedRing, start: int, end: int) -> bytes:
    """What lies in a ring."""
    at = start % len(ring.memory)
    return (bytes(ring.memory) * 2)[at : at + (end - start & U64)]


def plain(record: Record) -> dict[str, Any]:
    """A record without its position, as JSON holds it; and every other thing that a program may ask of it."""
    told = json.loads(json.dumps(record.to_dict()))
    assert repr(record)
    assert record.cpu_mode
    if isinstance(record, Sample):
        with suppress(RawDataError):  # documented: the payload does not fit the format
            assert record.fields is None or record.fields
    del told["position"]
    return cast("dict[str, Any]", told)


class Account:
    """What a session delivered and reported, against what was there.

    Attributes:
        records: delivered.
        bad: reported.
    """

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.bad: list[BadRecord] = []

    def report(self, error: Exception, record: Record | None) -> None:
        """The session's error callback."""
        if not isinstance(error, BadRecord):
            raise error
        self.bad.append(error)

    def of(self, cpu: int) -> list[Tile]:
        """The stretches that one ring came out as, in the order of their positions."""
        good = [Tile(record.position, record.size) for record in self.records if record.cpu == cpu]
        return sorted(good + [Tile(bad.position, bad.skipped) for bad in self.bad if bad.cpu == cpu])

    def check(self, cpu: int, batches: Sequence[bytes], start: int, known: dict[bytes, dict[str, Any]]) -> None:
        """Every byte once, and whatever is undamaged as it was recorded.

        Args:
            cpu: whose ring.
            batches: what was written into it, one after the other; the reader has seen the head after each.
            start: where the first one begins.
            known: what undamaged records are read as.
        """
        expected: list[Tile] = []
        whole = b"".join(batches)
        origin = start
        for stream in batches:
            expected += tiles(stream, start)
            start = (start + len(stream)) & U64
        self.check_tiles(cpu, expected, whole, origin, known)

    def check_tiles(
        self, cpu: int, expected: Sequence[Tile], stream: bytes, start: int, known: dict[bytes, dict[str, Any]]
    ) -> None:
        """As `check`, where the stretches are told."""
        assert self.of(cpu) == sorted(expected)
        delivered = {record.position: plain(record) for record in self.records if record.cpu == cpu}
        for tile in expected:
            offset = tile.position - start & U64
            sound = known.get(stream[offset : offset + tile.size])
            assert sound is None or delivered[tile.position] == sound


class RingRig:
    """A session whose rings are images.

    Args:
        image: what was recorded.
        starts: where each ring begins, by CPU.
    """

    def __init__(self, image: SessionImage, starts: dict[int, int], *, ring_bytes: int | None = None) -> None:
        self.image = image
        size = image.ring_bytes if ring_bytes is None else ring_bytes
        self.rings = {cpu: ServedRing(size, start=start) for cpu, start in starts.items()}
        self.kernel = ImageKernel(image, self.rings)
        self.account = Account()
        self.session = Session(self.kernel.as_kernel(), image.plan())
        self.session.on("*", self.account.records.append)
        self.session.on_error(self.account.report)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.session.close()

    def write(self, streams: dict[int, bytes]) -> None:
        """Appends to each ring, and wakes the reader."""
        for cpu, stream in streams.items():
            self.rings[cpu].write(stream)
        self.kernel.wake()

    def read(self, way: str) -> None:
        """Reads what is there, in one of `WAYS`."""
        with bounded(sum(len(ring.memory) for ring in self.rings.values())):
            getattr(self, "_" + way)()

    def finish(self) -> None:
        """Reads to the end: what was held back as too young comes, too."""
        self.session.stop()
        with bounded(sum(len(ring.memory) for ring in self.rings.values())):
            while (batch := self.session.next_batch()) or batch.reason is not Reason.END:
                self.account.records += batch

    def _parse_all(self) -> None:
        self.session.parse_all()

    def _parse_for_cpu(self) -> None:
        for cpu in self.rings:
            self.session.parse_for_cpu(cpu)

    def _next_batch(self) -> None:
        while (batch := self.session.next_batch(timeout=0)) or batch.reason is not Reason.TIMEOUT:
            self.account.records += batch

    def _parse_until(self) -> None:
        looks = iter((False, False, True))
        self.session.parse_until(lambda: next(looks, True), tick=0)
        self.session.parse_all()

    def _records(self) -> None:
        self.account.records += self.session.records(duration=0)

    def _stream(self) -> None:
        self.session.flush()
        aio.run(cast("SimKernel", self.kernel), self._until_flushed())

    async def _until_flushed(self) -> None:
        async with aclosing(cast("AsyncGenerator[Batch, None]", self.session.stream())) as stream:
            async for batch in stream:
                self.account.records += batch
                if not batch:
                    return


WAYS: Final = ("parse_all", "parse_for_cpu", "next_batch", "parse_until", "records", "stream")
"""Callbacks, pulling, asyncio."""


@lru_cache
def sound_reading(name: str) -> dict[bytes, dict[str, Any]]:
    """What each record of an image is read as when nothing is damaged, by its bytes."""
    image = load(name)
    if image.overwrite:
        streams = {ring.cpu: split(ring.stream) for ring in image.rings}
        rings = {cpu: ServedRing(image.ring_bytes) for cpu in streams}
        for cpu, pieces in streams.items():
            rings[cpu].write_backward(b"".join(pieces)[: image.ring_bytes])
        records = snapshot_of(image, rings).records
    else:
        with RingRig(image, {ring.cpu: 0 for ring in image.rings}) as rig:
            rig.write({ring.cpu: ring.stream for ring in image.rings})
            rig.read("parse_all")
            records = rig.account.records
    by_cpu = {ring.cpu: ring.stream for ring in image.rings}
    base = -image.ring_bytes if image.overwrite else 0
    found = {}
    for record in records:
        offset = record.position - _first(image, base, record.cpu) & U64
        found[by_cpu[record.cpu][offset : offset + record.size]] = plain(record)
    return found


def _first(image: SessionImage, base: int, cpu: int) -> int:
    """Where the stream of a ring begins that was served from position 0."""
    if not base:
        return 0
    return -next(len(ring.stream) for ring in image.rings if ring.cpu == cpu) & U64


def snapshot_of(image: SessionImage, rings: dict[int, ServedRing]) -> Account:
    """What an `OverwriteSession` sees in these rings."""
    account = Account()
    with OverwriteSession(ImageKernel(image, rings).as_kernel(), image.plan()) as session:
        session.on_error(account.report)
        with bounded(sum(len(ring.memory) for ring in rings.values())):
            account.records += session.snapshot()
    return account


def lost_in(records: Sequence[Record]) -> int:
    """The losses that LOST records tell of (K21)."""
    return sum(record.lost for record in records if isinstance(record, Lost))
